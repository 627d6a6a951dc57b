"""Public keys as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2), and sets of them.

Only what can verify a signature is a key here: EC on P-256, P-384 and P-521, Ed25519, and RSA of
2048 to 8192 bits. A private or symmetric member anywhere is refused, not ignored: whoever sent it
published a secret.

    key = parse_public({"kty": "EC", "crv": "P-256", "x": "…", "y": "…"})
    key.thumbprint      # "jkt", RFC 7638
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from keystead.codec import base64url
from keystead.codec.json import (
    JSON,
    canonical,
    find_str,
    find_str_list,
    get_bytes,
    get_object_list,
    get_str,
    parse_object,
)
from keystead.errors import Malformed, Reason, TokenRejected

PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

# Below 2048 bits a modulus can be factored by those who care; above 8192, verifying one hostile
# signature costs more than a hundred honest ones.
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
# 3 and its like are legal but have a history of forgeries; no key made this century needs them.
MIN_RSA_EXPONENT = 65_537
MAX_RSA_EXPONENT = 2**32 - 1
# Rotation keeps a few keys, federations some tens.
MAX_SET_KEYS = 100
# A hundred RSA-8192 keys with certificates would not be a key set any more.
MAX_SET_BYTES = 262_144
MAX_KID_CHARS = 256
# Points that were found on their curve, some 300 bytes each; strangers' keys only push others out.
MAX_KEPT_POINTS = 4_096
_MAX_NAME_CHARS = 64

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
SIGNATURE_USES = frozenset({"sig"})

_CURVES: dict[str, tuple[EllipticCurve, int]] = {
    "P-256": (SECP256R1(), 32),
    "P-384": (SECP384R1(), 48),
    "P-521": (SECP521R1(), 66),
}
_CURVE_NAMES = {curve.name: name for name, (curve, _) in _CURVES.items()}
_ED25519_BYTES = 32
_ED25519_PRIME = 2**255 - 19
# y of the eight points whose order divides 8: with such a key anybody's signature verifies.
_ED25519_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _ED25519_PRIME - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        _ED25519_PRIME - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicJwk:
    """A public key that can verify signatures; equal where kty, members and metadata are equal.

    ``members`` holds the members that RFC 7638 hashes, ``kty`` included, in their only spelling.
    ``key`` is the same key as ``cryptography`` object, ready to verify.
    """

    kty: str
    crv: str | None = None
    members: Mapping[str, str] = field(repr=False, hash=False)
    thumbprint: str
    key: PublicKey = field(repr=False, compare=False)
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] | None = None

    @property
    def spki(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7)."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def to_dict(self) -> dict[str, JSON]:
        """The JWK as JSON: the key's members, then ``kid``, ``alg``, ``use``, ``key_ops``."""
        jwk: dict[str, JSON] = dict(self.members)
        for name, value in (("kid", self.kid), ("alg", self.alg), ("use", self.use)):
            if value is not None:
                jwk[name] = value
        if self.key_ops is not None:
            jwk["key_ops"] = list(self.key_ops)
        return jwk


class JwkSet:
    """The usable keys of a JWK Set (RFC 7517 §5), by ``kid`` and in order.

    ``skipped`` says how many keys were left out as unusable. Raises ``Malformed`` where two keys
    share one ``kid``.
    """

    __slots__ = ("_by_kid", "_keys", "skipped")

    def __init__(self, keys: Iterable[PublicJwk], *, skipped: int = 0) -> None:
        self._keys = tuple(keys)
        self.skipped = skipped
        named = [(key.kid, key) for key in self._keys if key.kid is not None]
        self._by_kid = dict(named)
        if len(self._by_kid) != len(named):
            raise Malformed(Reason.MALFORMED, "two keys with one kid")

    def get(self, kid: str) -> PublicJwk | None:
        """The key called ``kid``, or None."""
        return self._by_kid.get(kid)

    def __iter__(self) -> Iterator[PublicJwk]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def to_dict(self) -> dict[str, JSON]:
        """The set as JSON: ``{"keys": […]}``."""
        return {"keys": [key.to_dict() for key in self._keys]}


def parse_public(jwk: Mapping[str, JSON]) -> PublicJwk:
    """The public key that ``jwk`` is; members that say nothing about it are ignored.

    Raises ``Malformed`` for missing or mistyped members, coordinates of the wrong length and
    integers with leading zeros; ``TokenRejected`` with ``private_key_member`` for any private or
    symmetric member, and with ``key_unsuitable`` for another ``kty`` or curve, a point off its
    curve or of small order, and RSA outside the sizes and exponents above.
    """
    refuse_private(jwk)
    kty = get_str(jwk, "kty", max_chars=_MAX_NAME_CHARS)
    read = _READERS.get(kty)
    if read is None:
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"key type {kty!r}")
    crv, members, key = read(jwk)
    return PublicJwk(
        kty=kty,
        crv=crv,
        members=members,
        thumbprint=_thumbprint(members),
        key=key,
        kid=find_str(jwk, "kid", max_chars=MAX_KID_CHARS),
        alg=find_str(jwk, "alg", max_chars=_MAX_NAME_CHARS),
        use=find_str(jwk, "use", max_chars=_MAX_NAME_CHARS),
        key_ops=find_str_list(jwk, "key_ops", max_chars=_MAX_NAME_CHARS),
    )


def refuse_private(jwk: Mapping[str, JSON]) -> None:
    """Raise ``TokenRejected`` (``private_key_member``) where ``jwk`` holds a secret."""
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise TokenRejected(Reason.PRIVATE_KEY_MEMBER, "a key with private members")


def from_public_key(
    key: PublicKey, *, kid: str | None = None, alg: str | None = None, use: str | None = None
) -> PublicJwk:
    """The JWK of a ``cryptography`` key; raises as ``parse_public`` does."""
    jwk: dict[str, JSON] = dict(_members_of(key))
    for name, value in (("kid", kid), ("alg", alg), ("use", use)):
        if value is not None:
            jwk[name] = value
    return parse_public(jwk)


def from_spki(
    der: bytes, *, kid: str | None = None, alg: str | None = None, use: str | None = None
) -> PublicJwk:
    """The JWK of a DER SubjectPublicKeyInfo; ``Malformed`` where it is none."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(Reason.MALFORMED, "not a SubjectPublicKeyInfo") from error
    if not isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey):
        raise TokenRejected(Reason.KEY_UNSUITABLE, "a key of another type")
    return from_public_key(key, kid=kid, alg=alg, use=use)


def parse_set(data: bytes | Mapping[str, JSON], *, uses: frozenset[str] = SIGNATURE_USES) -> JwkSet:
    """The keys of a JWK Set that verify signatures.

    As RFC 7517 §5 advises, keys of unknown type, out of range or incomplete are skipped; so are
    keys whose ``use`` is not in ``uses`` (SPIFFE bundles: ``jwt-svid``) or whose ``key_ops`` lacks
    ``verify``. Raises ``Malformed`` for what is no set, more than ``MAX_SET_KEYS`` keys or one
    ``kid`` twice, and ``TokenRejected`` (``private_key_member``) for a secret in any key.
    """
    jwks = parse_object(data, max_bytes=MAX_SET_BYTES) if isinstance(data, bytes) else data
    entries = get_object_list(jwks, "keys", max_items=MAX_SET_KEYS)
    for entry in entries:
        refuse_private(entry)
    keys = [key for key in map(_usable, entries) if key is not None and _verifies(key, uses)]
    return JwkSet(keys, skipped=len(entries) - len(keys))


def _usable(entry: Mapping[str, JSON]) -> PublicJwk | None:
    try:
        return parse_public(entry)
    except (Malformed, TokenRejected):
        return None


def _verifies(key: PublicJwk, uses: frozenset[str]) -> bool:
    return (key.use is None or key.use in uses) and (key.key_ops is None or "verify" in key.key_ops)


def _thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638 §3, over members in their only spelling."""
    return base64url.encode(hashlib.sha256(canonical(members)).digest())


def _read_ec(jwk: Mapping[str, JSON]) -> tuple[str | None, dict[str, str], PublicKey]:
    crv = get_str(jwk, "crv", max_chars=_MAX_NAME_CHARS)
    curve = _CURVES.get(crv)
    if curve is None:
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"curve {crv!r}")
    x, y = _coordinate(jwk, "x", curve[1]), _coordinate(jwk, "y", curve[1])
    members = {"kty": "EC", "crv": crv, "x": base64url.encode(x), "y": base64url.encode(y)}
    return crv, members, _point(crv, x, y)


@lru_cache(maxsize=MAX_KEPT_POINTS)
def _point(crv: str, x: bytes, y: bytes) -> EllipticCurvePublicKey:
    """The point; holders of DPoP keys come again with every request, and its check is the dear part
    of a key."""
    try:
        return EllipticCurvePublicKey.from_encoded_point(_CURVES[crv][0], b"\x04" + x + y)
    except ValueError as error:
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"no point of {crv}") from error


def _read_okp(jwk: Mapping[str, JSON]) -> tuple[str | None, dict[str, str], PublicKey]:
    crv = get_str(jwk, "crv", max_chars=_MAX_NAME_CHARS)
    if crv != "Ed25519":
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"curve {crv!r}")
    x = _coordinate(jwk, "x", _ED25519_BYTES)
    if not may_be_ed25519(x):
        raise TokenRejected(Reason.KEY_UNSUITABLE, "no point of Ed25519 that can be a key")
    members = {"kty": "OKP", "crv": crv, "x": base64url.encode(x)}
    return crv, members, Ed25519PublicKey.from_public_bytes(x)


def may_be_ed25519(x: bytes) -> bool:
    """Whether the 32 octets ``x`` (RFC 8037 §2) can be a key: y below p, and of no point of small
    order. Whether there is a point with that y, each verification sees."""
    y = int.from_bytes(x, "little") & (2**255 - 1)
    return y < _ED25519_PRIME and y not in _ED25519_SMALL_ORDER_Y


def _read_rsa(jwk: Mapping[str, JSON]) -> tuple[str | None, dict[str, str], PublicKey]:
    n, e = _unsigned(jwk, "n"), _unsigned(jwk, "e")
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS or n % 2 == 0:
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"RSA modulus of {n.bit_length()} bits")
    if not MIN_RSA_EXPONENT <= e <= MAX_RSA_EXPONENT or e % 2 == 0:
        raise TokenRejected(Reason.KEY_UNSUITABLE, "RSA exponent out of range")
    try:
        key = RSAPublicNumbers(e, n).public_key()
    except ValueError as error:
        raise TokenRejected(Reason.KEY_UNSUITABLE, "RSA key that OpenSSL refuses") from error
    return None, {"kty": "RSA", "n": _unsigned_text(n), "e": _unsigned_text(e)}, key


_READERS: dict[
    str, Callable[[Mapping[str, JSON]], tuple[str | None, dict[str, str], PublicKey]]
] = {"EC": _read_ec, "OKP": _read_okp, "RSA": _read_rsa}


def _coordinate(jwk: Mapping[str, JSON], name: str, size: int) -> bytes:
    """A coordinate at its curve's full length (RFC 7518 §6.2.1.2)."""
    value = get_bytes(jwk, name, max_bytes=size)
    if len(value) != size:
        raise Malformed(Reason.MALFORMED, f"{name} of {len(value)} bytes, not {size}")
    return value


def _unsigned(jwk: Mapping[str, JSON], name: str) -> int:
    """A Base64urlUInt: no leading zero byte (RFC 7518 §2)."""
    value = get_bytes(jwk, name, max_bytes=MAX_RSA_BITS // 8)
    if value[:1] in (b"", b"\0"):
        raise Malformed(Reason.MALFORMED, f"{name} is empty or starts with a zero byte")
    return int.from_bytes(value, "big")


def _unsigned_text(value: int) -> str:
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _members_of(key: PublicKey) -> dict[str, str]:
    if isinstance(key, EllipticCurvePublicKey):
        crv = _CURVE_NAMES.get(key.curve.name)
        if crv is None:
            raise TokenRejected(Reason.KEY_UNSUITABLE, f"curve {key.curve.name}")
        size = _CURVES[crv][1]
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        x, y = base64url.encode(point[:size]), base64url.encode(point[size:])
        return {"kty": "EC", "crv": crv, "x": x, "y": y}
    if isinstance(key, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(key.public_bytes_raw())}
    numbers = key.public_numbers()
    return {"kty": "RSA", "n": _unsigned_text(numbers.n), "e": _unsigned_text(numbers.e)}
