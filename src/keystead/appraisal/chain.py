"""From a certificate to a trust anchor, at a given time.

OpenSSL builds and checks the path (RFC 5280 §6): signatures, validity, BasicConstraints, path
lengths, keyCertSign, critical extensions. What its defaults leave to the caller is checked here:
the path ends at one of the pinned roots, is short, and uses no weak hash or key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from OpenSSL import crypto

from keystead.appraisal.anchors import Anchor, AnchorSet, load, reload
from keystead.appraisal.path import MIN_EC_BITS, Untrusted
from keystead.codec.certificate import parse_certificate
from keystead.errors import EvidenceRejected, Malformed, Reason

MAX_PATH_CERTIFICATES: Final = 6
"""Leaf, up to four CAs and the root; the longest vendor path has five."""

MIN_RSA_BITS: Final = 2_048

# sha{256,384,512}WithRSAEncryption, RSASSA-PSS, ecdsa-with-SHA{256,384,512}. SHA-1 and older are
# not here: chosen-prefix collisions make forged certificates a matter of money.
STRONG_SIGNATURES: Final = frozenset(
    {
        "1.2.840.113549.1.1.10",
        "1.2.840.113549.1.1.11",
        "1.2.840.113549.1.1.12",
        "1.2.840.113549.1.1.13",
        "1.2.840.10045.4.3.2",
        "1.2.840.10045.4.3.3",
        "1.2.840.10045.4.3.4",
    }
)


def verify_chain(
    leaf: bytes,
    *,
    intermediates: Sequence[bytes],
    anchors: AnchorSet,
    now: int,
    reason: Reason = Reason.EK_CHAIN_UNTRUSTED,
    step: int | None = None,
) -> Anchor:
    """The anchor that ``leaf`` (DER) chains to at ``now`` (Unix seconds).

    ``intermediates`` are what the attester sent; nothing in them is trusted. Raises
    EvidenceRejected with ``reason`` and ``step``.
    """
    try:
        return build_chain(leaf, intermediates=intermediates, anchors=anchors, at=now).anchor
    except Untrusted as error:
        raise EvidenceRejected(reason, str(error), step=step) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredChain:
    """A path that holds at every time from ``not_before`` to ``not_after``, Unix seconds.

    Both ends are included, and its root's times count as everyone's. OpenSSL may have several paths
    to choose from and prefer another at another time: this one holds all the same.
    """

    anchor: Anchor
    not_before: int
    not_after: int

    def holds_at(self, at: int) -> bool:
        """Whether every certificate of the path is valid then."""
        return self.not_before <= at <= self.not_after


def build_chain(
    leaf: bytes, *, intermediates: Sequence[bytes], anchors: AnchorSet, at: int
) -> AnchoredChain:
    """The path that OpenSSL finds for ``leaf`` (DER) at ``at`` (Unix seconds); ``Untrusted``.

    ``intermediates`` are what the attester sent; nothing in them is trusted.
    """
    path = _build(leaf, intermediates=intermediates, anchors=anchors, now=at)
    anchor = _check_path(path, anchors)
    start, end = _window(path)
    return AnchoredChain(anchor=anchor, not_before=start, not_after=end)


def _window(path: Sequence[crypto.X509]) -> tuple[int, int]:
    """When all of ``path`` is valid; never, where OpenSSL knows a time that our codec does not:
    such a path is built anew each time that it is asked for."""
    try:
        windows = [parse_certificate(_der(each)).valid_from_to() for each in path]
    except Malformed:
        return 1, 0
    return max(start for start, _ in windows), min(end for _, end in windows)


def _build(
    leaf: bytes, *, intermediates: Sequence[bytes], anchors: AnchorSet, now: int
) -> list[crypto.X509]:
    store = crypto.X509Store()
    try:
        for anchor in anchors.anchors:
            store.add_cert(reload(anchor.der))
        store.set_time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
        helpers = [load(der) for der in intermediates]
        helpers += [reload(der) for der in anchors.intermediates]
        context = crypto.X509StoreContext(store, load(leaf), helpers)
        return context.get_verified_chain()
    except Malformed as error:
        raise Untrusted(error.detail) from error
    except crypto.X509StoreContextError as error:
        raise Untrusted(str(error)) from error


def _check_path(path: Sequence[crypto.X509], anchors: AnchorSet) -> Anchor:
    if not 2 <= len(path) <= MAX_PATH_CERTIFICATES:
        raise Untrusted(f"a path of {len(path)} certificates")
    ders = [_der(each) for each in path]
    anchor = anchors.by_hash(hashlib.sha256(ders[-1]).digest())
    if anchor is None:
        raise Untrusted("the path does not end at a pinned root")
    for der in ders[:-1]:  # The root is trusted by its hash, not by its signature.
        _check_signature_algorithm(der)
    for certificate in path:
        _check_key(certificate)
    return anchor


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _check_signature_algorithm(der: bytes) -> None:
    try:
        algorithm = parse_certificate(der).signature_algorithm
    except Malformed as error:
        raise Untrusted(error.detail) from error
    if algorithm not in STRONG_SIGNATURES:
        raise Untrusted(f"signature algorithm {algorithm}")


def _check_key(certificate: crypto.X509) -> None:
    key = certificate.get_pubkey()
    least = MIN_RSA_BITS if key.type() == crypto.TYPE_RSA else MIN_EC_BITS
    if key.bits() < least:
        raise Untrusted(f"a key of {key.bits()} bits")
