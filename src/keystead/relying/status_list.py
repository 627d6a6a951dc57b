"""Status lists: which of its tokens an issuer has taken back (draft-ietf-oauth-status-list).

A token says where it stands in a list, ``status.status_list {idx, uri}``. The list is a JWT of its
own, whose ``sub`` is that ``uri``. A status in it takes ``bits`` bits, those of index 0 being the
lowest of the first byte: 0 is valid, 1 invalid, 2 suspended, any other its issuer's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from math import floor

from keystead.codec.json import (
    JSON,
    find_number,
    find_str,
    get_bytes,
    get_int,
    get_number,
    get_object,
    get_str,
)
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose.jwk import PublicJwk
from keystead.jose.jwt import find_date, verify_jwt
from keystead.relying.claim_reader import get_claim
from keystead.relying.steps import Step

STATUS_LIST_TYPE = "statuslist+jwt"
# Eight million tokens of one bit; an issuer of five-minute tokens that makes a thousand a second
# has three hundred thousand that live.
MAX_STATUSES_BYTES = 1_048_576
# Bits that look random do not compress; base64url, twice, takes 16/9 of them.
MAX_STATUS_LIST_BYTES = 2_097_152
# For how long a list without ``exp`` may be believed; its issuer never said that it is still true.
MAX_AGE_WITHOUT_EXP_S = 86_400

VALID, INVALID, SUSPENDED = range(3)
_BITS = frozenset({1, 2, 4, 8})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReference:
    """Where a token's status stands: the list's URI and the index in it."""

    uri: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """A status list whose signature was verified; times are Unix seconds.

    ``statuses`` has ``bits`` bits a token. After ``fresh_for_s`` seconds another should be fetched,
    if the issuer says so; from ``expires_at`` on it says nothing any more.
    """

    uri: str
    bits: int
    statuses: bytes = field(repr=False)
    issued_at: int
    expires_at: int
    fresh_for_s: int | None

    def status(self, index: int) -> int | None:
        """The status at ``index``; None beyond the end."""
        in_a_byte = 8 // self.bits
        if not 0 <= index < len(self.statuses) * in_a_byte:
            return None
        byte = self.statuses[index // in_a_byte]
        return byte >> index % in_a_byte * self.bits & (1 << self.bits) - 1


def parse_reference(claims: Mapping[str, JSON]) -> StatusReference:
    """Where a token's claims say that its status stands.

    Raises ``TokenRejected`` (``claim_missing``, ``claim_invalid``).
    """
    step = Step.STATUS
    status = get_claim(get_object, claims, "status", step=step)
    reference = get_claim(get_object, status, "status_list", step=step, within="status.")
    return StatusReference(
        index=get_claim(get_int, reference, "idx", step=step, within="status_list."),
        uri=get_claim(get_str, reference, "uri", step=step, within="status_list."),
    )


def check_status(found: int | None) -> None:
    """Raise ``TokenRejected`` unless the status that a list has for a token is "valid"."""
    if found == VALID:
        return
    reason = {INVALID: Reason.TOKEN_REVOKED, SUSPENDED: Reason.TOKEN_SUSPENDED}
    raise TokenRejected(
        Reason.STATUS_UNKNOWN if found is None else reason.get(found, Reason.STATUS_UNKNOWN),
        f"status {found}",
        step=Step.STATUS,
    )


def verify_status_list(
    token: bytes,
    *,
    uri: str,
    keys: Callable[[str | None], PublicJwk],
    algorithms: Set[str],
    issuer: str,
    now: int,
    leeway_s: int,
) -> StatusList:
    """The status list in ``token``, once it is known to be the one at ``uri``.

    1. It is a JWT of at most ``MAX_STATUS_LIST_BYTES`` with the type ``statuslist+jwt``, signed by
       one of the issuer's ``keys`` with one of ``algorithms``.
    2. ``iss``, where there is one, is ``issuer``; ``sub`` is ``uri``.
    3. It was issued, and has not expired; without ``exp`` that is a day after ``iat``.
    4. Its statuses take 1, 2, 4 or 8 bits, and at most ``MAX_STATUSES_BYTES`` altogether.

    Raises ``Malformed``, ``TokenRejected``, or what ``keys`` raises.
    """
    jwt = verify_jwt(
        token,
        keys=keys,
        types={STATUS_LIST_TYPE},
        issuer=None,
        audience=None,
        now=now,
        algorithms=algorithms,
        required={"sub", "iat", "status_list"},
        leeway_s=leeway_s,
        max_bytes=MAX_STATUS_LIST_BYTES,
    )
    claims = jwt.claims
    if find_str(claims, "iss") not in (None, issuer):
        raise TokenRejected(Reason.ISSUER_MISMATCH, "a status list of another issuer")
    if get_str(claims, "sub") != uri:
        raise TokenRejected(Reason.CLAIM_INVALID, "a status list from elsewhere: sub")
    issued_at = floor(get_number(claims, "iat"))
    expires_at = find_date(claims, "exp")
    if expires_at is None:
        expires_at = issued_at + MAX_AGE_WITHOUT_EXP_S
        if now >= expires_at + leeway_s:
            raise TokenRejected(Reason.EXPIRED, f"iat {issued_at}, no exp, now {now}")
    bits, statuses = _statuses(get_object(claims, "status_list"))
    return StatusList(
        uri=uri,
        bits=bits,
        statuses=statuses,
        issued_at=issued_at,
        expires_at=expires_at,
        fresh_for_s=_time_to_live(claims),
    )


def _statuses(members: Mapping[str, JSON]) -> tuple[int, bytes]:
    bits = get_int(members, "bits")
    if bits not in _BITS:
        raise Malformed(Reason.MALFORMED, f"a status of {bits} bits")
    compressed = get_bytes(members, "lst", max_bytes=MAX_STATUS_LIST_BYTES)
    return bits, _decompressed(compressed)


def _decompressed(compressed: bytes) -> bytes:
    """What one ZLIB stream (RFC 1950) holds, without a byte after it."""
    stream = zlib.decompressobj()
    try:
        statuses = stream.decompress(compressed, MAX_STATUSES_BYTES + 1)
    except zlib.error as error:
        raise Malformed(Reason.MALFORMED, f"lst: {error}") from error
    if len(statuses) > MAX_STATUSES_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"lst: more than {MAX_STATUSES_BYTES} bytes")
    if not stream.eof or stream.unused_data:
        raise Malformed(Reason.MALFORMED, "lst: not one whole ZLIB stream")
    return statuses


def _time_to_live(claims: Mapping[str, JSON]) -> int | None:
    ttl = find_number(claims, "ttl")
    if ttl is not None and not ttl > 0:
        raise Malformed(Reason.MALFORMED, "ttl is not a positive number")
    return None if ttl is None else int(min(ttl, MAX_AGE_WITHOUT_EXP_S))
