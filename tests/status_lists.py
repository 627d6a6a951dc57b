"""Status lists as an issuer publishes them, signed by the issuer of ``relying_tokens``."""

import zlib
from collections.abc import Mapping
from concurrent.futures import Future

from keystead.codec import base64url
from keystead.errors import Reason, TokenRejected
from keystead.relying import StatusList
from keystead.relying.status import status_unavailable
from keystead.relying.steps import Step
from tests.jose_keys import compact, private_key
from tests.relying_tokens import ISSUER, KID, NOW, merged

BELOW = "https://issuer.example/status-lists/"
URI = BELOW + "1"


def listed(index: object, uri: object = URI) -> dict[str, object]:
    """The ``status`` claim of a token."""
    return {"status_list": {"idx": index, "uri": uri}}


def packed(statuses: list[int], *, bits: int = 1) -> bytes:
    """The bytes of a list, by the drawing in the specification: index 0 in the lowest bits."""
    number = sum(status << bits * index for index, status in enumerate(statuses))
    return number.to_bytes((len(statuses) * bits + 7) // 8, "little")


def status_list(statuses: bytes, *, bits: object = 1, **changes: object) -> dict[str, object]:
    """The ``status_list`` claim of a list."""
    return merged({"bits": bits, "lst": base64url.encode(zlib.compress(statuses))}, changes)


def list_token(
    statuses: bytes = b"\0",
    *,
    bits: object = 1,
    header: Mapping[str, object] | None = None,
    key: str = "issuer",
    algorithm: str = "ES256",
    **changes: object,
) -> bytes:
    """A signed status list; ``changes`` go to its claims, ``header`` over its header."""
    full = merged({"typ": "statuslist+jwt", "alg": algorithm, "kid": KID}, header or {})
    body = merged(
        {
            "iss": ISSUER,
            "sub": URI,
            "iat": NOW - 5,
            "exp": NOW + 600,
            "ttl": 30,
            "status_list": status_list(statuses, bits=bits),
        },
        changes,
    )
    signed = compact(full, body, key=private_key(algorithm, key), algorithm=algorithm)
    return signed.encode("ascii")


class FixedLists:
    """A ``StatusSource`` of lists that were given, and of one that cannot be had."""

    timeout_s = 0.0

    def __init__(self, lists: Mapping[str, tuple[bytes, int]], *, away: str = "") -> None:
        self._lists = lists
        self._away = away

    def find(self, uri: str, *, now: int) -> StatusList:
        if uri == self._away:
            raise status_unavailable("away")
        if uri not in self._lists:
            raise TokenRejected(Reason.CLAIM_INVALID, "no list of ours", step=Step.STATUS)
        statuses, bits = self._lists[uri]
        return StatusList(
            uri=uri,
            bits=bits,
            statuses=statuses,
            issued_at=NOW,
            expires_at=NOW + 60,
            fresh_for_s=None,
        )

    def refresh(self, uri: str, *, now: int) -> Future[None] | None:
        return None
