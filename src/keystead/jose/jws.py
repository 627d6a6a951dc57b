"""JSON Web Signatures in compact form (RFC 7515 §7.1), parsed whole before anything is believed.

No critical header is understood here, so any ``crit`` is refused; keys come from the caller, so
``jku``, ``jwk``, ``x5u`` and ``x5c`` are never followed (DPoP reads ``jwk`` by itself).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from keystead.codec import base64url
from keystead.codec.json import JSON, encode, find_str, get_str, parse_object
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose.algorithms import DEFAULT_ALGORITHMS
from keystead.jose.batch import verify_signature
from keystead.jose.jwk import MAX_KID_CHARS, PublicJwk

# Web servers cap a request's headers at 8 to 16 KiB; no token we issue comes near.
MAX_TOKEN_BYTES = 16_384
# Room for an RSA-8192 `jwk`; nothing else in a header is long.
MAX_HEADER_BYTES = 4_096
# An RSA-8192 signature.
MAX_SIGNATURE_BYTES = 1_024
# A header holds a `jwk` at most: two levels, and one to spare.
_MAX_HEADER_DEPTH = 3
_MAX_NAME_CHARS = 128
# Members that change what is signed or how (RFC 7797, RFC 7516): meaningless or hostile here.
_REFUSED_HEADERS = ("b64", "zip", "enc")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactJws:
    """A decoded JWS whose signature nobody has checked yet.

    ``protected`` is the header's segment as sent, ``signing_input`` the bytes that were signed.
    """

    header: Mapping[str, JSON]
    algorithm: str
    kid: str | None
    typ: str | None
    protected: bytes
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_compact(token: str | bytes, *, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
    """The three segments of ``token``, decoded.

    Raises ``Malformed`` for what is not exactly three canonical base64url segments of at most
    ``max_bytes`` together, or a header that is not one strict JSON object with a string ``alg``;
    ``TokenRejected`` with ``critical_header_unknown`` for ``crit``, ``b64``, ``zip`` and ``enc``.
    """
    raw = _ascii(token, max_bytes)
    segments = raw.split(b".", 3)
    if len(segments) != 3:
        raise Malformed(Reason.MALFORMED, f"a JWS of {len(segments)} segments")
    protected, payload, signature = segments
    header = parse_object(
        base64url.decode(protected, max_bytes=MAX_HEADER_BYTES), max_depth=_MAX_HEADER_DEPTH
    )
    _check_critical(header)
    return CompactJws(
        header=header,
        algorithm=get_str(header, "alg", max_chars=_MAX_NAME_CHARS),
        kid=find_str(header, "kid", max_chars=MAX_KID_CHARS),
        typ=find_str(header, "typ", max_chars=_MAX_NAME_CHARS),
        protected=protected,
        payload=base64url.decode(payload),
        signing_input=raw[: len(protected) + 1 + len(payload)],
        signature=base64url.decode(signature, max_bytes=MAX_SIGNATURE_BYTES),
    )


def verify_compact(
    jws: CompactJws, *, key: PublicJwk, algorithms: Set[str] = DEFAULT_ALGORITHMS
) -> bytes:
    """The payload, once ``key`` is proved to have signed it with one of ``algorithms``.

    Raises ``TokenRejected``: ``algorithm_not_allowed``, ``key_unsuitable``, ``signature_invalid``.
    """
    check_algorithm(jws, algorithms)
    verify_signature(jws.algorithm, key, jws.signing_input, jws.signature)
    return jws.payload


def check_algorithm(jws: CompactJws, algorithms: Set[str]) -> None:
    """Raise ``TokenRejected`` (``algorithm_not_allowed``) unless the header's is one of these."""
    if jws.algorithm not in algorithms:
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, f"algorithm {jws.algorithm[:32]!r}")


def signing_input(header: Mapping[str, object], payload: Mapping[str, object] | bytes) -> bytes:
    """What a signer signs: ``payload`` is claims, or the payload's own bytes."""
    body = payload if isinstance(payload, bytes) else encode(payload)
    return f"{base64url.encode(encode(header))}.{base64url.encode(body)}".encode("ascii")


def assemble(signing_input: bytes, signature: bytes) -> str:
    """The compact JWS of ``signing_input`` and its raw (JWA) ``signature``."""
    return f"{signing_input.decode('ascii')}.{base64url.encode(signature)}"


def _ascii(token: str | bytes, max_bytes: int) -> bytes:
    if len(token) > max_bytes:
        raise Malformed(Reason.TOO_LARGE, f"a JWS of more than {max_bytes} bytes")
    if isinstance(token, bytes):
        return token
    try:
        return token.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed(Reason.MALFORMED, "a JWS outside ASCII") from error


def _check_critical(header: Mapping[str, JSON]) -> None:
    """RFC 7515 §4.1.11: a critical header that is not understood makes the JWS invalid."""
    if "crit" in header:
        raise TokenRejected(Reason.CRITICAL_HEADER_UNKNOWN, "crit")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise TokenRejected(Reason.CRITICAL_HEADER_UNKNOWN, name)
