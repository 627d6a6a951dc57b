"""From an evidence's certificate to a trust anchor: the path builder of ``cryptography``.

It checks signatures, names, validity at one time, BasicConstraints and path length (RFC 5280 §6),
with algorithms that are all strong. Its ready-made profiles are those of TLS, which no attestation
certificate keeps, so what they would ask of extensions is asked here: a CA's keyCertSign, and for
the leaf digitalSignature and that it is no CA. (TPM vendors' chains need OpenSSL's builder:
``appraisal.chain``.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from keystead.appraisal.anchors import Anchor, AnchorSet

MIN_EC_BITS: Final = 256

MAX_INTERMEDIATES: Final = 4
"""Nitro has three below its root."""

_CA: Final = ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, Criticality.AGNOSTIC, None
)
_LEAF: Final = ExtensionPolicy.permit_all()

# What reading a hostile certificate may raise, now or when a field of it is asked for.
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class Untrusted(Exception):
    """Why there is no path, in words for the log."""


LeafKey: TypeAlias = EllipticCurvePublicKey
"""Every kind of evidence whose path is built here has all its keys on curves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedPath:
    """A path that holds at every time from ``not_before`` to ``not_after``, Unix seconds.

    Both ends are included; ``key`` is the leaf's.
    """

    anchor: Anchor
    key: LeafKey = field(repr=False)
    not_before: int
    not_after: int

    def holds_at(self, at: int) -> bool:
        """Whether every certificate of the path is valid then."""
        return self.not_before <= at <= self.not_after


def build_path(
    leaf: bytes, *, intermediates: Sequence[bytes], anchors: AnchorSet, at: int
) -> TrustedPath:
    """The path of ``leaf`` (DER) at ``at`` (Unix seconds); ``Untrusted``.

    ``intermediates`` are what the attester sent, with or without the root; nothing is believed of
    them.
    """
    try:
        certificate = x509.load_der_x509_certificate(leaf)
        found = _build(certificate, _helpers(intermediates, anchors), anchors, at)
        return _checked(found, anchors)
    except _UNREADABLE as error:
        raise Untrusted(f"a certificate that does not parse: {error}") from error
    except VerificationError as error:
        raise Untrusted(str(error)) from error


def _helpers(intermediates: Sequence[bytes], anchors: AnchorSet) -> list[x509.Certificate]:
    """Without the roots, which are anchors already and would only lengthen the path."""
    sent = [der for der in intermediates if anchors.by_hash(hashlib.sha256(der).digest()) is None]
    if len(sent) > MAX_INTERMEDIATES:
        raise Untrusted(f"{len(sent)} intermediate certificates")
    return [x509.load_der_x509_certificate(der) for der in (*sent, *anchors.intermediates)]


def _build(
    leaf: x509.Certificate, helpers: list[x509.Certificate], anchors: AnchorSet, at: int
) -> list[x509.Certificate]:
    roots = [x509.load_der_x509_certificate(anchor.der) for anchor in anchors.anchors]
    verifier = (
        PolicyBuilder()
        .store(Store(roots))
        .time(datetime.fromtimestamp(at, UTC).replace(tzinfo=None))
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(ca_policy=_CA, ee_policy=_LEAF)
        .build_client_verifier()
    )
    return verifier.verify(leaf, helpers).chain


def _checked(path: list[x509.Certificate], anchors: AnchorSet) -> TrustedPath:
    leaf, *authorities = path
    key, *_ = [_strong_key(certificate) for certificate in path]
    for authority in authorities:
        if not _usage(authority).key_cert_sign:
            raise Untrusted("a CA that is not for certificates")
    if not _usage(leaf).digital_signature or _is_ca(leaf):
        raise Untrusted("a leaf that is a CA, or not for signatures")
    return TrustedPath(
        anchor=_anchor(path[-1], anchors),
        key=key,
        not_before=max(int(each.not_valid_before_utc.timestamp()) for each in path),
        not_after=min(int(each.not_valid_after_utc.timestamp()) for each in path),
    )


def _strong_key(certificate: x509.Certificate) -> LeafKey:
    """The path builder looks at the keys that sign, and at no leaf's."""
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or key.key_size < MIN_EC_BITS:
        raise Untrusted("a key that is weak, or of another type")
    return key


def _anchor(root: x509.Certificate, anchors: AnchorSet) -> Anchor:
    for anchor in anchors.anchors:
        if x509.load_der_x509_certificate(anchor.der) == root:
            return anchor
    raise Untrusted("the path does not end at an anchor")


def _usage(certificate: x509.Certificate) -> x509.KeyUsage:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise Untrusted("a certificate without KeyUsage") from error


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
