"""From Intel's certificates to its root: PCK → PCK CA → root, or TCB Signing → root.

The chains come whole and in order, root last, so no path has to be searched. Of X.509 the steps of
RFC 5280 §6.1 that they need are here: names, signatures, validity, BasicConstraints, keyCertSign,
critical extensions, and revocation lists, which Intel has for every CA and which are never left
out. All of Intel's keys are on P-256, all its signatures over SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from keystead.appraisal.anchors import Anchor, AnchorSet
from keystead.appraisal.path import Untrusted
from keystead.appraisal.revocation_lists import RevocationList, parse_revocation_list
from keystead.codec.certificate import (
    BASIC_CONSTRAINTS,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_CERT_SIGN,
    KEY_USAGE,
    Certificate,
    parse_certificate,
)
from keystead.codec.pck import PckTcb, parse_pck_extension
from keystead.codec.pem import certificates
from keystead.errors import Malformed, TokenRejected
from keystead.jose.batch import verify_es256_by_point

TCB_SIGNER: Final = "Intel SGX TCB Signing"
"""Whose signature counts on TCB info and enclave identities: no platform's key has this name."""

_ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"
_OCTETS: Final = 32
# Intel has a root, two CAs and a signer, and a list of each CA: strangers' only push others out.
_KEPT_AUTHORITIES: Final = 32
_KEPT_LISTS: Final = 16

_PCK_CHAIN: Final = 3
_SIGNER_CHAIN: Final = 2
_UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE})
_UNREADABLE: Final = (
    Malformed,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class NotInForce(Untrusted):
    """A revocation list has run out, or is not yet to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerPath:
    """A key whose path holds at every time from ``not_before`` to ``not_after``, Unix seconds.

    ``point`` is the key on P-256: x and y, 32 bytes each.
    """

    point: bytes = field(repr=False)
    not_before: int
    not_after: int

    def holds_at(self, at: int) -> bool:
        """Whether every certificate of the path is valid then, and every revocation list."""
        return self.not_before <= at <= self.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class PckPath(SignerPath):
    """The same of a platform's key, with what its certificate says of the platform, and whose root
    it ends at."""

    anchor: Anchor
    tcb: PckTcb


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A certificate, to us and to ``cryptography``, and what is asked of it every time."""

    parsed: Certificate
    loaded: x509.Certificate
    key: EllipticCurvePublicKey
    point: bytes
    window: tuple[int, int]
    usage: frozenset[int]
    is_ca: bool


def pck_path(
    chain: bytes, *, root_crl: bytes, pck_crl: bytes, anchors: AnchorSet, at: int
) -> PckPath:
    """The path of a quote's chain (PEM) at ``at`` (Unix seconds).

    ``Untrusted``; its ``Revoked`` and ``NotInForce`` where a revocation list is why.

    ``root_crl`` and ``pck_crl`` are the lists (DER) of the root and of the CA below it.
    """
    try:
        leaf, authority, root = links = _links(chain, _PCK_CHAIN)
        anchor = _anchor(root, anchors)
        windows = [
            *_check_links(links, at),
            _check_not_revoked(authority, root, root_crl, at),
            _check_not_revoked(leaf, authority, pck_crl, at),
        ]
        tcb = parse_pck_extension(leaf.parsed.extensions)
    except _UNREADABLE as error:
        raise Untrusted(f"a chain that does not parse: {error}") from error
    start, end = common_window(windows)
    return PckPath(anchor=anchor, point=leaf.point, tcb=tcb, not_before=start, not_after=end)


def signer_path(chain: bytes, *, root_crl: bytes, anchor: Anchor, at: int) -> SignerPath:
    """The path of who signs Intel's statements, by its chain (PEM) to ``anchor``; ``Untrusted``."""
    try:
        leaf, root = links = _links(chain, _SIGNER_CHAIN)
        _anchor(root, AnchorSet(anchors=(anchor,)))
        windows = [
            *_check_links(links, at),
            _check_not_revoked(leaf, root, root_crl, at),
        ]
        names = leaf.loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [each.value for each in names] != [TCB_SIGNER]:
            raise Untrusted("not the certificate of whoever signs TCB info")
    except _UNREADABLE as error:
        raise Untrusted(f"a chain that does not parse: {error}") from error
    start, end = common_window(windows)
    return SignerPath(point=leaf.point, not_before=start, not_after=end)


def common_window(windows: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """When all of ``windows`` hold, both ends included."""
    starts, ends = zip(*windows, strict=True)
    return max(starts), min(ends)


def _links(chain: bytes, size: int) -> list[_Link]:
    ders = certificates(chain)
    if len(ders) != size:
        raise Untrusted(f"a chain of {len(ders)} certificates, not {size}")
    leaf, *authorities = ders
    return [_link(leaf), *map(_authority, authorities)]


def _link(der: bytes) -> _Link:
    parsed, loaded = parse_certificate(der), x509.load_der_x509_certificate(der)
    key = _key(loaded)
    return _Link(
        parsed=parsed,
        loaded=loaded,
        key=key,
        point=key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:],
        window=parsed.valid_from_to(),
        usage=parsed.key_usage() or frozenset(),
        is_ca=parsed.is_ca() or False,
    )


@lru_cache(maxsize=_KEPT_AUTHORITIES)
def _authority(der: bytes) -> _Link:
    """A certificate that comes with every quote, parsed; what it is worth is asked each time."""
    return _link(der)


def _anchor(root: _Link, anchors: AnchorSet) -> Anchor:
    anchor = anchors.by_hash(hashlib.sha256(root.parsed.raw).digest())
    if anchor is None:
        raise Untrusted("the chain does not end at an anchor")
    return anchor


def _check_links(links: Sequence[_Link], at: int) -> list[tuple[int, int]]:
    """When each certificate is valid, which ``at`` is within."""
    windows = [link.window for link in links]
    for start, end in windows:
        if not start <= at <= end:
            raise Untrusted(f"{at} is outside {start} to {end}")
    for subject, issuer in pairwise(links):
        _check_extensions(subject)
        if not issuer.is_ca or KEY_CERT_SIGN not in issuer.usage:
            raise Untrusted("a CA that is not for certificates")
        _check_signed(subject, issuer)
    leaf = links[0]
    if leaf.is_ca or KEY_CERT_SIGN in leaf.usage or DIGITAL_SIGNATURE not in leaf.usage:
        raise Untrusted("a leaf that is a CA, or not for signatures")
    return windows


def _check_extensions(link: _Link) -> None:
    for name, extension in link.parsed.extensions.items():
        if extension.critical and name not in _UNDERSTOOD:
            raise Untrusted(f"critical extension {name}")


def _check_signed(subject: _Link, issuer: _Link) -> None:
    if subject.parsed.signature_algorithm != _ECDSA_SHA256:
        raise Untrusted("a signature that is not by ECDSA over SHA-256")
    if subject.parsed.issuer != issuer.parsed.subject:
        raise Untrusted("a certificate of another issuer")
    r, s = decode_dss_signature(subject.parsed.signature)
    try:
        verify_p256(issuer.point, _octets(r) + _octets(s), subject.parsed.signed)
    except (OverflowError, Untrusted):
        raise Untrusted("a certificate that its issuer did not sign") from None


def verify_p256(point: bytes, signature: bytes, said: bytes) -> None:
    """``signature`` is r and s, over SHA-256 of ``said``, by the key of ``point``, x and y: each 32
    bytes, big-endian. ``Untrusted``, also for a point that is not on the curve.

    The native engine keeps tables of keys that come again.
    """
    try:
        verify_es256_by_point((point[:_OCTETS], point[_OCTETS:]), said, signature)
    except TokenRejected:
        raise Untrusted("a signature by another key, or of something else") from None


def _octets(number: int) -> bytes:
    return number.to_bytes(_OCTETS, "big")


def _check_not_revoked(subject: _Link, issuer: _Link, crl: bytes, at: int) -> tuple[int, int]:
    """By the issuer's list, which is there, its own, signed and in force; when it is in force."""
    listed = _revocation_list(crl)
    if CRL_SIGN not in issuer.usage:
        raise Untrusted("a CA that is not for revocation lists")
    if listed.issuer != issuer.parsed.subject:
        raise Untrusted("a revocation list of another CA")
    start, end = listed.check(subject.parsed.serial, key=issuer.key)
    if not start <= at <= end:
        raise NotInForce(f"a revocation list from {start} to {end}, not {at}")
    return start, end


@lru_cache(maxsize=_KEPT_LISTS)
def _revocation_list(data: bytes) -> RevocationList:
    listed = parse_revocation_list(data)
    if not isinstance(listed.crl.signature_hash_algorithm, SHA256):
        raise Untrusted("a revocation list whose signature is not over SHA-256")
    return listed


def _key(certificate: x509.Certificate) -> EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Untrusted("a key that is not on P-256")
    return key
