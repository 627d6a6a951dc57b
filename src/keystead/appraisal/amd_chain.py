"""From a VCEK or VLEK to AMD's root: VCEK → ASK → ARK, or VLEK → ASVK → ARK.

AMD signs its certificates by RSA-PSS and numbers them 0, which path builders refuse, and never has
more than one CA between a chip and a root, so no path has to be searched: the leaf's issuer is
found by name, and the issuer's issuer is an anchor (AMD 57230 §3). Of X.509 the steps of RFC 5280
§6.1 that such a path needs are here: names, signatures, validity, BasicConstraints, keyCertSign,
critical extensions, revocation lists where the policy has some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keystead.appraisal.anchors import Anchor, AnchorSet
from keystead.appraisal.chain import MIN_RSA_BITS
from keystead.appraisal.path import Untrusted
from keystead.appraisal.revocation_lists import RevocationList
from keystead.codec.certificate import (
    BASIC_CONSTRAINTS,
    KEY_CERT_SIGN,
    KEY_USAGE,
    Certificate,
    parse_certificate,
)
from keystead.codec.snp import KeyEndorsement, parse_endorsement
from keystead.errors import Malformed

_RSASSA_PSS: Final = "1.2.840.113549.1.1.10"
_SALT_BYTES: Final = 48
# AMD has a root and two CAs a product, each with one key; strangers' only push others out.
_KEPT_AUTHORITIES: Final = 32
_UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPath:
    """A path that holds at every time from ``not_before`` to ``not_after``, Unix seconds.

    ``key`` is the chip's or the cloud's, ``endorsement`` what its certificate says of it.
    """

    anchor: Anchor
    key: EllipticCurvePublicKey = field(repr=False)
    endorsement: KeyEndorsement
    not_before: int
    not_after: int

    def holds_at(self, at: int) -> bool:
        """Whether everything in the path is valid then, revocation lists included."""
        return self.not_before <= at <= self.not_after


def build_amd_path(
    leaf: bytes,
    *,
    intermediates: Sequence[bytes],
    anchors: AnchorSet,
    revocations: Sequence[RevocationList],
    at: int,
) -> AmdPath:
    """The path of ``leaf`` (DER) at ``at`` (Unix seconds); ``Untrusted``, or its ``Revoked``.

    ``intermediates`` are what the attester sent, with or without the root; nothing is believed of
    them.
    """
    try:
        path = _find(parse_certificate(leaf), (*intermediates, *anchors.intermediates), anchors)
        return _checked(path, revocations, at)
    except (Malformed, ValueError, UnsupportedAlgorithm) as error:
        raise Untrusted(f"a certificate that does not parse: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    leaf: Certificate
    authority: Certificate
    authority_key: RSAPublicKey
    root: Certificate
    root_key: RSAPublicKey
    anchor: Anchor


def _find(leaf: Certificate, helpers: Sequence[bytes], anchors: AnchorSet) -> _Path:
    """The path whose names and signatures fit: by name alone one could be led astray."""
    roots = [(anchor, _root(anchor.der)) for anchor in anchors.anchors]
    for authority in map(parse_certificate, helpers):
        if authority.subject == authority.issuer:
            continue  # A root that came along: it makes CAs, and no chip's certificate.
        for anchor, root in roots:
            if leaf.issuer != authority.subject or authority.issuer != root.subject:
                continue
            authority_key, root_key = _rsa_key(authority.spki), _rsa_key(root.spki)
            if _signed_by(root_key, authority) and _signed_by(authority_key, leaf):
                return _Path(
                    leaf=leaf,
                    authority=authority,
                    authority_key=authority_key,
                    root=root,
                    root_key=root_key,
                    anchor=anchor,
                )
    raise Untrusted("no CA that came was made by an anchor and made the certificate")


def _checked(path: _Path, revocations: Sequence[RevocationList], at: int) -> AmdPath:
    _check_extensions(path)
    key = load_der_public_key(path.leaf.spki)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise Untrusted("a key that is not on P-384")
    windows = [each.valid_from_to() for each in (path.leaf, path.authority, path.root)]
    for listed in revocations:
        for certificate, issuer, issuer_key in (
            (path.leaf, path.authority, path.authority_key),
            (path.authority, path.root, path.root_key),
        ):
            if listed.issuer == issuer.subject:
                windows.append(listed.check(certificate.serial, key=issuer_key))
    found = AmdPath(
        anchor=path.anchor,
        key=key,
        endorsement=parse_endorsement(path.leaf.extensions),
        not_before=max(start for start, _ in windows),
        not_after=min(end for _, end in windows),
    )
    if not found.holds_at(at):
        raise Untrusted(f"{at} is outside {found.not_before} to {found.not_after}")
    return found


def _check_extensions(path: _Path) -> None:
    for certificate in (path.leaf, path.authority):
        unknown = [
            name
            for name, extension in certificate.extensions.items()
            if extension.critical and name not in _UNDERSTOOD
        ]
        if unknown:
            raise Untrusted(f"critical extensions {unknown}")
    if not path.authority.is_ca() or KEY_CERT_SIGN not in (path.authority.key_usage() or ()):
        raise Untrusted("a CA that is not for certificates")
    if path.leaf.is_ca() or KEY_CERT_SIGN in (path.leaf.key_usage() or ()):
        raise Untrusted("a leaf that is a CA")


@lru_cache(maxsize=_KEPT_AUTHORITIES)
def _root(der: bytes) -> Certificate:
    return parse_certificate(der)


@lru_cache(maxsize=_KEPT_AUTHORITIES)
def _rsa_key(spki: bytes) -> RSAPublicKey:
    key = load_der_public_key(spki)
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise Untrusted("a CA whose key is not RSA, or too small")
    return key


def _signed_by(key: RSAPublicKey, certificate: Certificate) -> bool:
    """By RSA-PSS over SHA-384 with a salt of 48 octets, as AMD signs everything."""
    if certificate.signature_algorithm != _RSASSA_PSS:
        return False
    try:
        key.verify(
            certificate.signature, certificate.signed, PSS(MGF1(SHA384()), _SALT_BYTES), SHA384()
        )
    except InvalidSignature:
        return False
    return True
