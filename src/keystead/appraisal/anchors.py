"""Trust anchors: self-signed vendor roots, each with the class of hardware it vouches for.

Files and folders come from the operator. A certificate that is not self-signed never becomes
an anchor: it only helps to complete chains, so that a chain always ends at a root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from OpenSSL import crypto

from keystead.codec.certificate import Certificate, name_text, parse_certificate
from keystead.errors import ConfigurationError, Malformed, Reason
from keystead.model import AnchorClass

SUFFIXES: Final = frozenset({".pem", ".crt", ".cer"})
# All published vendor roots and intermediates together are some hundreds.
MAX_CERTIFICATES: Final = 2_000
# A PEM bundle of all of them.
MAX_FILE_BYTES: Final = 4 * 1024 * 1024

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One trusted root."""

    name: str
    """Its subject, for people."""
    sha256: bytes
    """Of the whole certificate."""
    anchor_class: AnchorClass
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSet:
    """Roots, and other certificates of theirs that chains may pass through."""

    anchors: tuple[Anchor, ...]
    intermediates: tuple[bytes, ...] = ()

    def by_hash(self, sha256: bytes) -> Anchor | None:
        """The anchor whose certificate has this SHA-256."""
        return next((anchor for anchor in self.anchors if anchor.sha256 == sha256), None)

    @property
    def classes(self) -> frozenset[AnchorClass]:
        """Every class that an anchor here has."""
        return frozenset(anchor.anchor_class for anchor in self.anchors)


def merge(sets: Iterable[AnchorSet]) -> AnchorSet:
    """One set of all; ConfigurationError where two give one root different classes."""
    anchors: dict[bytes, Anchor] = {}
    intermediates: dict[bytes, None] = {}
    for each in sets:
        for anchor in each.anchors:
            known = anchors.setdefault(anchor.sha256, anchor)
            if known.anchor_class is not anchor.anchor_class:
                raise ConfigurationError(
                    Reason.CONFIGURATION_INVALID,
                    f"anchor {anchor.name!r} has two classes: "
                    f"{known.anchor_class} and {anchor.anchor_class}",
                )
        intermediates.update(dict.fromkeys(each.intermediates))
    return AnchorSet(anchors=tuple(anchors.values()), intermediates=tuple(intermediates))


def from_der(certificates: Sequence[bytes], *, anchor_class: AnchorClass) -> AnchorSet:
    """The set of these DER certificates. Malformed for one that does not parse."""
    anchors, intermediates = [], []
    for der in certificates:
        parsed, loaded = parse_certificate(der), load(der)
        if _is_root(parsed, loaded):
            anchors.append(
                Anchor(
                    name=name_text(parsed.subject),
                    sha256=hashlib.sha256(der).digest(),
                    anchor_class=anchor_class,
                    der=der,
                )
            )
        else:
            intermediates.append(der)
    return AnchorSet(anchors=tuple(anchors), intermediates=tuple(intermediates))


def load_anchors(path: Path, *, anchor_class: AnchorClass) -> AnchorSet:
    """The certificates of a PEM or DER file, or of every such file in a folder (not below it).

    ConfigurationError names the file that cannot be read, or ``path`` if it has no root.
    """
    found = _load(path, anchor_class)
    if not found.anchors:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID,
            f"{path}: no self-signed root in it; a chain has to end at one",
        )
    return found


def _load(path: Path, anchor_class: AnchorClass) -> AnchorSet:
    sets = []
    for file in _files(path):
        try:
            sets.append(from_der(_certificates(_read(file)), anchor_class=anchor_class))
        except (OSError, Malformed) as error:
            raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{file}: {error}") from error
    return merge(sets)


def load(der: bytes) -> crypto.X509:
    """OpenSSL's view of a certificate; Malformed where it is none, or has bytes left over."""
    parse_certificate(der)  # OpenSSL itself ignores what follows.
    return reload(der)


def reload(der: bytes) -> crypto.X509:
    """The same for a certificate that was parsed before, as those of an AnchorSet were."""
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except crypto.Error as error:
        raise Malformed(Reason.MALFORMED, "not a certificate to OpenSSL") from error


def pem_certificates(data: bytes) -> Iterator[bytes]:
    """The DER of every certificate in a PEM file; text between them is ignored."""
    blocks = data.split(_BEGIN)[1:]
    if not blocks or len(blocks) > MAX_CERTIFICATES:
        raise Malformed(Reason.MALFORMED, f"{len(blocks)} PEM certificates")
    for block in blocks:
        body, end, _ = block.partition(_END)
        try:
            certificate = crypto.load_certificate(crypto.FILETYPE_PEM, _BEGIN + body + end)
        except crypto.Error as error:
            raise Malformed(Reason.MALFORMED, "a PEM certificate that does not parse") from error
        yield crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _certificates(data: bytes) -> tuple[bytes, ...]:
    """Vendors publish the same suffixes as PEM and as DER."""
    return tuple(pem_certificates(data)) if _BEGIN in data else (data,)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"more than {MAX_FILE_BYTES} bytes")
    return data


def _is_root(parsed: Certificate, loaded: crypto.X509) -> bool:
    """Self-issued and signed by its own key, as only OpenSSL can tell for every vendor."""
    if parsed.issuer != parsed.subject:
        return False
    store = crypto.X509Store()
    store.add_cert(loaded)
    # Only the signature is asked for here: a root of any time is a root.
    store.set_flags(crypto.X509StoreFlags.CHECK_SS_SIGNATURE | _NO_CHECK_TIME)
    try:
        crypto.X509StoreContext(store, loaded).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


# X509_V_FLAG_NO_CHECK_TIME of openssl/x509_vfy.h, which pyOpenSSL does not name.
_NO_CHECK_TIME: Final = 0x200000
