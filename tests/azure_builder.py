"""Azure's confidential virtual machines as its paravisor shows them, on hardware by no AMD."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.appraisal.azure_cvm_policy import AzureCvmPolicy
from keystead.appraisal.policy import AppraisalPolicy
from keystead.binding.binding_hash import binding_hash
from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.evidence import azure_cvm as evidence
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind
from keystead.ports import Attestation
from tests.evidence_builder import (
    CERTIFY_TYPE,
    QUOTE_TYPE,
    Host,
    attest,
    certify_body,
    private_key,
    quote_body,
    signed,
)
from tests.intel_builder import collateral
from tests.snp_builder import ISSUER, MEASUREMENT, NONCE, Guest, rsa_key, snp_rules
from tests.tdx_builder import MRTD, Td, tdx_rules

SHA256 = HashAlgorithm.SHA256
REQUIRED = PcrSelection.of({SHA256: [0, 2, 4, 7]})
PCRS = {SHA256: {index: bytes([0xC0 + index]) * 32 for index in (0, 2, 4, 7)}}
SNP, TDX = 2, 4


def runtime_data(ak: rsa.RSAPrivateKey | None = None, **changes: Any) -> bytes:
    """The JSON of the paravisor; ``changes`` replace its members, None leaves one out."""
    numbers = (ak or rsa_key("vTPM AK")).public_key().public_numbers()
    key = {
        "kid": "HCLAkPub",
        "key_ops": ["sign"],
        "kty": "RSA",
        "e": base64url.encode(numbers.e.to_bytes(3, "big")),
        "n": base64url.encode(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
    }
    members: dict[str, Any] = {
        "keys": [key, key | {"kid": "HCLEkPub"}],
        "vm-configuration": {"secure-boot": True, "vmUniqueId": "X", "current-time": 5},
        "user-data": "00",
    }
    wanted = {name: value for name, value in (members | changes).items() if value is not None}
    return json.dumps(wanted, separators=(",", ":")).encode()


def hcl_report(
    hardware_report: bytes,
    runtime: bytes,
    *,
    kind: int = SNP,
    tail: bytes = bytes(254),
    **changes: int | bytes,
) -> bytes:
    """An HCL report; ``changes`` replace its numbers by name."""
    place = hardware_report.ljust(0x4A0, b"\x00")
    fields: dict[str, int | bytes] = {
        "magic": b"HCLA",
        "version": 1,
        "size": 0x4D4 + len(runtime),
        "request": 2,
        "status": 0,
        "reserved": bytes(12),
        "hardware": place,
        "data_size": 20 + len(runtime),
        "data_version": 1,
        "kind": kind,
        "hash": 1,
        "length": len(runtime),
        "runtime": runtime,
        "tail": tail,
    }
    parts = (fields | changes).values()
    return b"".join(
        each if isinstance(each, bytes) else each.to_bytes(4, "little") for each in parts
    )


def td_report(report_data: bytes) -> bytes:
    """A TDREPORT, which nobody can verify elsewhere."""
    return b"\x81".ljust(0x80, b"\x00") + report_data + b"\x01" * (1_024 - 0x80 - 64)


@dataclass(frozen=True)
class Machine:
    """One virtual machine: its guest, its vTPM, and the key of a workload in that vTPM."""

    guest: Guest = field(default_factory=Guest)
    host: Host = field(default_factory=Host.make)

    @property
    def ak(self) -> rsa.RSAPrivateKey:
        return rsa_key("vTPM AK")

    @property
    def jwk(self) -> PublicJwk:
        return self.host.jwk

    def hcl(self, *, runtime: bytes | None = None, **report: Any) -> bytes:
        """The HCL report; ``report`` changes fields of the hardware's."""
        said = runtime_data(self.ak) if runtime is None else runtime
        digest = hashlib.sha256(said).digest()
        return hcl_report(self.guest.report(**{"report_data": digest + bytes(32)} | report), said)

    def quote(self, *, nonce: bytes = NONCE, key: Any = None, **body: Any) -> Attestation:
        wanted: dict[str, Any] = {"selection": REQUIRED, "values": PCRS}
        made = quote_body(**(wanted | body))
        return signed(key or self.ak, attest(QUOTE_TYPE, made, nonce=nonce))

    def certify(
        self, *, nonce: bytes = NONCE, key: Any = None, name: bytes | None = None
    ) -> Attestation:
        body = certify_body(self.host.key_area.name if name is None else name)
        return signed(key or self.ak, attest(CERTIFY_TYPE, body, nonce=nonce))

    def evidence(
        self, *, certified: bool = True, envelope_nonce: bytes | None = None, **changes: Any
    ) -> AzureCvmEvidence:
        """Parsed evidence; ``changes`` are arguments of ``encode``, None leaves one out."""
        wanted: dict[str, Any] = {
            "hcl_report": self.hcl(),
            "quote": self.quote(),
            "pcrs": PCRS,
            "certificates": self.guest.certificates(),
            "certify": self.certify() if certified else None,
            "key_public": self.host.key_area.sized if certified else None,
        }
        members: Mapping[str, Any] = evidence.encode(**(wanted | changes))
        made = encode_envelope(kind=EvidenceKind.AZURE_CVM, evidence=members, nonce=envelope_nonce)
        return evidence.parse(parse_envelope(made))

    def td_evidence(
        self,
        *,
        td: Td | None = None,
        said: bytes | None = None,
        reported: bytes | None = None,
        **changes: Any,
    ) -> AzureCvmEvidence:
        """The same on a TD; ``said`` is what its quote is about, ``reported`` its TDREPORT."""
        runtime = runtime_data(self.ak)
        digest = hashlib.sha256(runtime).digest() + bytes(32)
        report = td_report(digest if reported is None else reported)
        quote = (td or Td()).quote(report_data=digest if said is None else said)
        wanted: dict[str, Any] = {
            "hcl_report": hcl_report(report, runtime, kind=TDX, version=2),
            "certificates": (),
            "td_quote": quote,
            "collateral": collateral(),
        }
        return self.evidence(**(wanted | changes))

    def td_policy(self, *, tdx: Mapping[str, Any] | None = None, **changes: Any) -> AppraisalPolicy:
        """A policy that lets TDs alone in and names their paravisor; ``tdx`` changes its rules."""
        pinned: dict[str, Any] = {"values": {"mrtd": frozenset({MRTD})}}
        rules = tdx_rules(**(pinned | dict(tdx or {})))
        return self.policy(**({"sev_snp": None, "tdx": rules} | changes))

    def naming(self, key: PublicJwk | None = None, **changes: Any) -> AzureCvmEvidence:
        """Evidence without a certification, whose quote names the key."""
        said: dict[str, Any] = {"issuer": ISSUER, "nonce": NONCE} | changes
        hashed = binding_hash(EvidenceKind.AZURE_CVM, key=key or self.jwk, **said)
        return self.evidence(certified=False, quote=self.quote(nonce=hashed))

    def policy(self, *, snp: Mapping[str, Any] | None = None, **changes: Any) -> AppraisalPolicy:
        """A policy that trusts this maker and names the paravisor; ``snp`` changes its rules."""
        pinned: dict[str, Any] = {"measurements": frozenset({MEASUREMENT})}
        wanted: dict[str, Any] = {
            "sev_snp": snp_rules(**(pinned | dict(snp or {}))),
            "required_pcrs": REQUIRED,
            "pcr_values": {SHA256: dict.fromkeys((0, 2, 4, 7))},
        }
        rules = AzureCvmPolicy(**(wanted | changes))
        return AppraisalPolicy(id="test", version=3, azure_cvm=rules)


def other_key() -> Any:
    """A key that is in no vTPM."""
    return private_key("rsa2048", "stranger")
