"""SEV-SNP reports and their chains as AMD's firmware and key service make them, by no AMD."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keystead.appraisal.amd_chain import build_amd_path
from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.appraisal.chain_cache import PathCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.revocation_lists import parse_revocation_list
from keystead.appraisal.sev_snp_policy import SnpPolicy
from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec.der import INTEGER, encode_element
from keystead.codec.snp import parse_report
from keystead.evidence.sev_snp import SnpEvidence
from keystead.jose.jwk import PublicJwk
from keystead.model import AnchorClass, EvidenceKind
from tests.device_chains import NOW, YEAR_S, curve_key, key_usage

NONCE = b"\x5a" * 32
ISSUER = "https://issuer.example"
MEASUREMENT = b"\x4d" * 48
CHIP_ID = bytes(range(64))
TURIN_CHIP_ID = bytes(range(8)) + bytes(56)
TCB = {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219, "fmc": 0}
OLDER = TCB | {"snp": 23}
NEWER = TCB | {"snp": 25}

_PSS = PSS(MGF1(SHA384()), 48)
_OID = "1.3.6.1.4.1.3704.1."
_CPUID = {"Milan": (0x19, 0x01, 1), "Genoa": (0x19, 0xA0, 2), "Turin": (0x1A, 0x02, 1)}
_PARTS = {"boot_loader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8", "fmc": "3.9"}


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The same key for the same name, for the whole run; smaller than AMD's, which is slow."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def raw_tcb(product: str, tcb: dict[str, int]) -> bytes:
    """A TCB_VERSION in the product's layout."""
    if product == "Turin":
        head = [tcb["fmc"], tcb["boot_loader"], tcb["tee"], tcb["snp"]]
        return bytes([*head, 0, 0, 0, tcb["microcode"]])
    head = [tcb["boot_loader"], tcb["tee"]]
    return bytes([*head, 0, 0, 0, 0, tcb["snp"], tcb["microcode"]])


def raw_extensions(
    *,
    product: str = "Milan-B0",
    tcb: dict[str, int] | None = None,
    hwid: bytes | None = CHIP_ID,
    csp_id: str | None = None,
) -> dict[str, bytes]:
    """AMD's extensions by OID, as DER but for the hwID, which is bare."""
    tcb = TCB if tcb is None else tcb
    found = {_OID + "1": b"\x02\x01\x00", _OID + "2": encode_element(0x16, product.encode())}
    for name, number in _PARTS.items():
        if name == "fmc" and not product.startswith("Turin"):
            continue
        size = tcb[name].bit_length() // 8 + 1
        found[_OID + number] = encode_element(INTEGER, tcb[name].to_bytes(size, "big"))
    if hwid is not None:
        found[_OID + "4"] = hwid
    if csp_id is not None:
        found[_OID + "5"] = encode_element(0x16, csp_id.encode())
    return found


def ca(
    name: str,
    *,
    issuer: str | None = None,
    is_ca: bool = True,
    certify: bool = True,
    not_before: int = NOW - YEAR_S,
    not_after: int = NOW + YEAR_S,
    padding: Any = _PSS,
    serial: int = 65_537,
) -> bytes:
    """A CA by RSA-PSS; without an issuer it is the root."""
    builder = _builder(name, issuer or name, rsa_key(name).public_key(), not_before, not_after)
    builder = builder.serial_number(serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), True)
    builder = builder.add_extension(key_usage(certify=certify, sign=not certify), True)
    return builder.sign(rsa_key(issuer or name), SHA384(), rsa_padding=padding).public_bytes(
        Encoding.DER
    )


@functools.cache
def ask() -> bytes:
    """The CA of chips; one, since RSA-PSS makes another signature every time."""
    return ca("SEV-Test", issuer="ARK-Test")


def endorsement(
    *,
    issuer: str = "SEV-Test",
    key: Any = None,
    not_before: int = NOW - YEAR_S,
    not_after: int = NOW + YEAR_S,
    extensions: dict[str, bytes] | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    padding: Any = _PSS,
    signer: str | None = None,
    serial: int = 1,
) -> bytes:
    """A VCEK's or VLEK's certificate."""
    public = (key or curve_key("chip")).public_key()
    builder = _builder("SEV-VCEK", issuer, public, not_before, not_after).serial_number(serial)
    for oid, value in (raw_extensions() if extensions is None else extensions).items():
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unknown, critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(rsa_key(signer or issuer), SHA384(), rsa_padding=padding)
    return signed.public_bytes(Encoding.DER)


def revocation_list(
    *,
    issuer: str = "ARK-Test",
    signer: str | None = None,
    serials: Sequence[int] = (),
    this_update: int = NOW - 3_600,
    next_update: int = NOW + 3_600,
) -> bytes:
    """A CRL in DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(_time(this_update))
        .next_update(_time(next_update))
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(
            revoked.revocation_date(_time(this_update)).build()
        )
    signed = builder.sign(rsa_key(signer or issuer), SHA384(), rsa_padding=_PSS)
    return signed.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Guest:
    """One guest on one chip, and what its report says unless told otherwise."""

    product: str = "Milan"
    vlek: bool = False
    version: int = 3

    @property
    def chip_id(self) -> bytes:
        if self.vlek:
            return bytes(64)
        return TURIN_CHIP_ID if self.product == "Turin" else CHIP_ID

    @property
    def tcb(self) -> dict[str, int]:
        return TCB | {"fmc": 1} if self.product == "Turin" else TCB

    def extensions(self, **changes: Any) -> dict[str, bytes]:
        hwid = None if self.vlek else self.chip_id[: 8 if self.product == "Turin" else 64]
        wanted = {
            "product": self.product,
            "tcb": self.tcb,
            "hwid": hwid,
            "csp_id": "CN=cloud.example" if self.vlek else None,
        }
        return raw_extensions(**(wanted | changes))

    def leaf(self, *, extensions: dict[str, bytes] | None = None, **changes: Any) -> bytes:
        found = self.extensions() if extensions is None else extensions
        return endorsement(extensions=found, **changes)

    def certificates(self, **changes: Any) -> tuple[bytes, ...]:
        return self.leaf(**changes), ask()

    def report(self, *, key: Any = None, **changes: Any) -> bytes:
        """A signed report; ``changes`` go by the names of ``fields``."""
        signed = b"".join((self.fields() | changes).values())
        assert len(signed) == 0x2A0
        made = (key or curve_key("chip")).sign(signed, ec.ECDSA(SHA384()))
        r, s = (number.to_bytes(72, "little") for number in decode_dss_signature(made))
        return signed + r + s + bytes(368)

    def fields(self) -> dict[str, bytes]:
        """The signed fields, in order."""
        cpuid = bytes(_CPUID[self.product]) if self.version >= 3 else bytes(3)
        tcb = raw_tcb(self.product, self.tcb)
        return {
            "version": self.version.to_bytes(4, "little"),
            "guest_svn": (7).to_bytes(4, "little"),
            "policy": (0x30000).to_bytes(8, "little"),
            "family_id": bytes(16),
            "image_id": bytes(16),
            "vmpl": bytes(4),
            "algorithm": (1).to_bytes(4, "little"),
            "current_tcb": tcb,
            "platform_info": (0x25).to_bytes(8, "little"),
            "flags": (4 if self.vlek else 0).to_bytes(4, "little"),
            "reserved": bytes(4),
            "report_data": bytes(64),
            "measurement": MEASUREMENT,
            "host_data": b"\x48" * 32,
            "id_key_digest": b"\x49" * 48,
            "author_key_digest": b"\x41" * 48,
            "report_id": b"\x52" * 32,
            "report_id_ma": b"\xff" * 32,
            "reported_tcb": tcb,
            "cpuid": cpuid + bytes(21),
            "chip_id": self.chip_id,
            "committed_tcb": tcb,
            "builds": bytes(8),
            "launch_tcb": tcb,
            "end": bytes(0x2A0 - 0x1F8),
        }

    def evidence(
        self,
        *,
        certificates: Sequence[bytes] | None = None,
        envelope_key: PublicJwk | None = None,
        **changes: Any,
    ) -> SnpEvidence:
        return SnpEvidence(
            nonce=None,
            key=envelope_key,
            report=parse_report(self.report(**changes)),
            certificates=tuple(self.certificates() if certificates is None else certificates),
        )

    def policy(
        self,
        *,
        anchor_class: AnchorClass = AnchorClass.TEE,
        revocations: Sequence[bytes] = (),
        **changes: Any,
    ) -> AppraisalPolicy:
        """A policy that trusts this maker and asks for nothing in particular."""
        return AppraisalPolicy(
            id="test", version=3, sev_snp=snp_rules(anchor_class, revocations, **changes)
        )


def snp_rules(
    anchor_class: AnchorClass = AnchorClass.TEE, revocations: Sequence[bytes] = (), **changes: Any
) -> SnpPolicy:
    """The rules of a policy that trusts this maker."""
    lists = tuple(parse_revocation_list(each) for each in revocations)
    build = partial(build_amd_path, anchors=anchors(anchor_class), revocations=lists)
    wanted: dict[str, Any] = {"measurements": None, "minimum_tcb": None, "chains": PathCache(build)}
    return SnpPolicy(**(wanted | changes))


@functools.cache
def anchors(anchor_class: AnchorClass = AnchorClass.TEE) -> AnchorSet:
    """The maker's root."""
    return from_der([ca("ARK-Test")], anchor_class=anchor_class)


def named_key(key: PublicJwk, *, issuer: str = ISSUER, nonce: bytes = NONCE) -> bytes:
    """REPORT_DATA of a guest that names ``key``."""
    return padded(binding_hash(EvidenceKind.SEV_SNP, issuer=issuer, nonce=nonce, key=key))


def _builder(
    name: str, issuer: str, key: Any, not_before: int, not_after: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .not_valid_before(_time(not_before))
        .not_valid_after(_time(not_after))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _time(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
