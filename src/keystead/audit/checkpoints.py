"""Signed checkpoints: a JWS by the audit key that pins how far the chain had come.

Header ``{alg, kid, typ: "keystead-audit-checkpoint+jwt"}``; claims ``iss``, ``iat``, ``seq`` and
``hash`` of the last event, and ``counter``, the value of the TPM's NV counter after it was
incremented for this checkpoint. Somebody outside who keeps one can tell later whether the log was
shortened, rewritten or restored from an older copy.

A crash between the increment and the checkpoint leaves the counter ahead by one, as a rollback
would. So the service first signs the checkpoint that it is about to store, with the value that the
counter is going to have, and stores that JWS as the fact ``ANNOUNCED_CHECKPOINT``; only then it
increments. When it finds the counter ahead, what was announced is the checkpoint, if the audit key
signed it and the log has what it pins; a number that somebody wrote into the file would not do.

Before the first checkpoint there is no audit key. The counter's value at the first start is the
fact ``COUNTER_BASELINE``, unsigned, and believed only of a log in which nothing happened yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.audit.chain import FIRST_SEQUENCE, HASH_BYTES
from keystead.codec import base64url
from keystead.codec.json import (
    JSON,
    get_bytes,
    get_int,
    get_str,
    parse_object,
    refuse_other_members,
)
from keystead.errors import Malformed, Reason, Rejected, TokenRejected
from keystead.jose import jws
from keystead.jose.jwk import JwkSet
from keystead.model import Checkpoint, Kid

CHECKPOINT_TYPE = "keystead-audit-checkpoint+jwt"
# Name of the fact that holds the next checkpoint's JWS, from before its counter was reached.
ANNOUNCED_CHECKPOINT = "audit.checkpoint.announced"
# Name of the fact that holds the counter at the first start as decimal ASCII digits.
COUNTER_BASELINE = "audit.counter.baseline"
# A header, five short claims and an RSA-4096 signature.
MAX_CHECKPOINT_BYTES = 4_096

_CLAIMS = frozenset({"iss", "iat", "seq", "hash", "counter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointClaims:
    """What a checkpoint states; ``at`` is Unix seconds."""

    issuer: str
    sequence: int
    hash: bytes
    counter: int
    at: int


def checkpoint_signing_input(claims: CheckpointClaims, *, kid: Kid, algorithm: str) -> bytes:
    """What the audit key signs; ``jws.assemble`` joins it with the signature."""
    header = {"alg": algorithm, "kid": kid, "typ": CHECKPOINT_TYPE}
    payload = {
        "iss": claims.issuer,
        "iat": claims.at,
        "seq": claims.sequence,
        "hash": base64url.encode(claims.hash),
        "counter": claims.counter,
    }
    return jws.signing_input(header, payload)


def parse_checkpoint(checkpoint_jws: str) -> Checkpoint:
    """The checkpoint as it describes itself, its signature unchecked.

    Raises Malformed, or Rejected (checkpoint_invalid) for critical headers.
    """
    try:
        parsed = jws.parse_compact(checkpoint_jws, max_bytes=MAX_CHECKPOINT_BYTES)
    except TokenRejected as error:
        raise Rejected(Reason.CHECKPOINT_INVALID, str(error)) from error
    return _checkpoint(parsed, _claims(parsed.payload), checkpoint_jws)


def verify_checkpoint(checkpoint_jws: str, *, keys: JwkSet, issuer: str) -> Checkpoint:
    """The checkpoint, proved to be ``issuer``'s by one of its audit ``keys``.

    Raises Malformed where the bytes do not decode, else Rejected (checkpoint_invalid) with what
    was wrong in its detail: type, kid, algorithm, signature or issuer.
    """
    try:
        parsed = jws.parse_compact(checkpoint_jws, max_bytes=MAX_CHECKPOINT_BYTES)
        payload = _verified_payload(parsed, keys)
    except TokenRejected as error:
        raise Rejected(Reason.CHECKPOINT_INVALID, str(error)) from error
    claims = _claims(payload)
    if claims.issuer != issuer:
        raise Rejected(Reason.CHECKPOINT_INVALID, f"issued by {claims.issuer!r}")
    return _checkpoint(parsed, claims, checkpoint_jws)


def parse_announced(fact: bytes | None) -> Checkpoint | None:
    """The ``ANNOUNCED_CHECKPOINT`` as it describes itself, its signature unchecked.

    None too where it is no checkpoint: what cannot be read vouches for no count.
    """
    try:
        return None if fact is None else parse_checkpoint(fact.decode("ascii"))
    except (UnicodeDecodeError, Malformed, Rejected):
        return None


def parse_baseline(fact: bytes | None) -> int | None:
    """The value of the ``COUNTER_BASELINE`` fact, None where there is none; Malformed."""
    if fact is None:
        return None
    # The NV counter has 64 bits: at most twenty digits.
    if not fact.isdigit() or len(fact) > 20:
        raise Malformed(Reason.MALFORMED, "the counter's baseline is not a number")
    return int(fact)


def _verified_payload(parsed: jws.CompactJws, keys: JwkSet) -> bytes:
    if parsed.typ != CHECKPOINT_TYPE:
        raise TokenRejected(Reason.TYPE_MISMATCH, f"typ {parsed.typ!r}")
    key = keys.get(parsed.kid) if parsed.kid is not None else None
    if key is None:
        raise TokenRejected(Reason.KEY_UNKNOWN, f"kid {parsed.kid!r}")
    return jws.verify_compact(parsed, key=key)


def _claims(payload: bytes) -> CheckpointClaims:
    members: Mapping[str, JSON] = parse_object(payload, max_depth=1)
    refuse_other_members(members, _CLAIMS)
    digest = get_bytes(members, "hash", max_bytes=HASH_BYTES)
    if len(digest) != HASH_BYTES:
        raise Malformed(Reason.MALFORMED, "hash is not SHA-256")
    return CheckpointClaims(
        issuer=get_str(members, "iss"),
        sequence=get_int(members, "seq", minimum=FIRST_SEQUENCE),
        hash=digest,
        counter=get_int(members, "counter"),
        at=get_int(members, "iat"),
    )


def _checkpoint(parsed: jws.CompactJws, claims: CheckpointClaims, text: str) -> Checkpoint:
    if not parsed.kid:
        raise Malformed(Reason.MALFORMED, "a checkpoint without kid")
    return Checkpoint(
        sequence=claims.sequence,
        hash=claims.hash,
        counter=claims.counter,
        at=claims.at,
        kid=Kid(parsed.kid),
        jws=text,
    )
