"""The rules of the issuer's keys: which one signs, which are published, when one follows another.

A key's life is pending (published, so that relying parties have it before it signs), active,
retired (still published until nothing it signed can be alive). There is one set for each purpose:
``/jwks`` holds token keys alone, so that nobody who trusts access tokens trusts an EAR by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from keystead.codec.json import JSON
from keystead.errors import Reason, Refused
from keystead.jose.jwt import normalise_type
from keystead.model import KeyPurpose, KeyState, Kid, SigningKey

OWN_OWNER = "keystead"

# How long after retirement a signature may still be alive; None: checkpoints and what external
# issuers sign are checked years later.
RETIRED_PUBLISHED_S: Mapping[KeyPurpose, int | None] = {
    KeyPurpose.TOKEN: 3_600,
    KeyPurpose.STATUS: 3_600,
    KeyPurpose.SVID: 86_400,
    KeyPurpose.EAR: 2 * 86_400,
    KeyPurpose.AUDIT: None,
    KeyPurpose.EXTERNAL: None,
}
# JWTs that Keystead itself makes or believes; whoever delegates signing to it needs none of them.
_OWN_TYPE_PREFIX = "keystead"
_OWN_TYPES = frozenset({"ear+jwt", "eat+jwt", "dpop+jwt"})


def active_key(
    keys: Sequence[SigningKey],
    purpose: KeyPurpose,
    algorithm: str | None,
    *,
    owner: str = OWN_OWNER,
) -> SigningKey | None:
    """The key that signs for ``purpose``: the newest active one, of ``algorithm`` if given."""
    candidates = [
        key
        for key in keys
        if key.purpose is purpose
        and key.owner == owner
        and key.state is KeyState.ACTIVE
        and algorithm in (None, key.algorithm)
    ]
    return max(candidates, key=_age, default=None)


def next_states(keys: Iterable[SigningKey], *, now: int) -> list[tuple[Kid, KeyState]]:
    """The moves that are due, in the order in which to make them.

    A pending key becomes active at its ``activates_at``; the key that it replaces, of the same
    purpose, owner and algorithm, retires in the same breath. Of external keys, of which one owner
    may have many, only the newest is replaced.
    """
    known = list(keys)
    due = [key for key in known if key.state is KeyState.PENDING and key.activates_at <= now]
    moves: list[tuple[Kid, KeyState]] = []
    retired: set[Kid] = set()
    for successor in sorted(due, key=_age):
        moves.append((successor.kid, KeyState.ACTIVE))
        for key in _replaced(known, successor, due):
            if key.kid not in retired:
                retired.add(key.kid)
                moves.append((key.kid, KeyState.RETIRED))
    return moves


def published(
    keys: Iterable[SigningKey], purpose: KeyPurpose, *, now: int
) -> tuple[SigningKey, ...]:
    """The keys that relying parties need: all but those retired for long; newest last."""
    keep_s = RETIRED_PUBLISHED_S[purpose]
    return tuple(
        sorted(
            (key for key in keys if key.purpose is purpose and _alive(key, keep_s, now)), key=_age
        )
    )


def jwks(keys: Iterable[SigningKey]) -> dict[str, JSON]:
    """The JWK Set of these keys (RFC 7517 §5): public members, ``kid``, ``alg``, ``use``."""
    return {"keys": [_public_jwk(key) for key in keys]}


def check_external_payload(claims: Mapping[str, JSON], *, typ: str, issuer: str) -> None:
    """Raise ``Refused`` (payload_names_this_issuer) unless an external key may sign this.

    1. ``iss`` is a string or absent; 2. it is not this issuer's name, nor a spelling that a
    careless reader would take for it; 3. ``typ`` is none that Keystead gives a meaning to.
    """
    iss = claims.get("iss", "")
    if not isinstance(iss, str):
        raise Refused(Reason.PAYLOAD_NAMES_THIS_ISSUER, "iss is not a string", step=1)
    if _loosely(iss) == _loosely(issuer):
        raise Refused(Reason.PAYLOAD_NAMES_THIS_ISSUER, "iss is this issuer", step=2)
    name = normalise_type(typ.strip())
    if name in _OWN_TYPES or name.startswith(_OWN_TYPE_PREFIX):
        raise Refused(Reason.PAYLOAD_NAMES_THIS_ISSUER, f"typ {name[:64]!r} is Keystead's", step=3)


def _age(key: SigningKey) -> tuple[int, int, str]:
    return (key.activates_at, key.created_at, key.kid)


def _replaced(
    keys: Sequence[SigningKey], successor: SigningKey, due: Sequence[SigningKey]
) -> Iterator[SigningKey]:
    older = [
        key
        for key in keys
        if (key.purpose, key.owner, key.algorithm)
        == (successor.purpose, successor.owner, successor.algorithm)
        and (key.state is KeyState.ACTIVE or key in due)
        and _age(key) < _age(successor)
    ]
    if successor.purpose is KeyPurpose.EXTERNAL and older:
        older = [max(older, key=_age)]
    yield from older


def _alive(key: SigningKey, keep_s: int | None, now: int) -> bool:
    return keep_s is None or key.retired_at is None or now < key.retired_at + keep_s


def _public_jwk(key: SigningKey) -> dict[str, JSON]:
    return {**key.jwk, "kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _loosely(url: str) -> str:
    return url.strip().rstrip("/").casefold()
