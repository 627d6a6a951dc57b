"""Certificate chains like those of enclaves and devices, by makers that do not exist."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.model import AnchorClass

NOW = 1_790_000_000
DAY_S = 86_400
YEAR_S = 366 * DAY_S

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


@functools.cache
def curve_key(
    name: str, curve: type[ec.EllipticCurve] = ec.SECP384R1
) -> ec.EllipticCurvePrivateKey:
    """The same key for the same name, for the whole run."""
    return ec.generate_private_key(curve())


def key_usage(*, sign: bool = False, certify: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


CA: Extensions = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (key_usage(certify=True), True),
)
LEAF: Extensions = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (key_usage(sign=True), True),
)


def certificate(
    name: str,
    *,
    issuer: str | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    extensions: Extensions = LEAF,
    not_before: int = NOW - DAY_S,
    not_after: int = NOW + DAY_S,
    hash_algorithm: Any = None,
    serial: int = 7,
) -> bytes:
    """DER; without an issuer it is self-signed. Keys go by name where none are given."""
    signer = issuer_key or curve_key(issuer or name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer or name))
        .public_key((key or curve_key(name)).public_key())
        .serial_number(serial)
        .not_valid_before(_time(not_before))
        .not_valid_after(_time(not_after))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hash_algorithm or hashes.SHA384()).public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Chain:
    """``bundle`` starts at the root, ``leaf`` is not in it."""

    bundle: tuple[bytes, ...]
    leaf: bytes

    @property
    def root(self) -> bytes:
        return self.bundle[0]

    def anchors(self, anchor_class: AnchorClass = AnchorClass.TEE) -> AnchorSet:
        return from_der([self.root], anchor_class=anchor_class)


def chain(leaf_key: ec.EllipticCurvePrivateKey, *, maker: str = "maker", **leaf: Any) -> Chain:
    """A root, one CA under it, and a leaf with that key; ``leaf`` changes the leaf."""
    last = certificate(f"{maker}'s leaf", issuer=f"{maker}'s CA", key=leaf_key, **leaf)
    return Chain(bundle=authorities(maker), leaf=last)


@functools.cache
def authorities(maker: str) -> tuple[bytes, bytes]:
    """A maker's root and CA."""
    root = certificate(maker, extensions=CA, not_before=NOW - YEAR_S, not_after=NOW + YEAR_S)
    return root, certificate(f"{maker}'s CA", issuer=maker, extensions=CA)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _time(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
