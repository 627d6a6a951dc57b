"""Azure confidential virtual machines, as the published vectors have them."""

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keystead.appraisal.anchors import pem_certificates
from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.hcl import HclReport, parse_hcl_report
from keystead.evidence import azure_cvm as evidence
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from keystead.ports import Attestation
from tests import published_tdx as intel
from tests.manifest import VECTORS, manifest_rows

ROWS = {row.file: row for row in manifest_rows("azure")}
MILAN = "roots/amd-ask_ark_milan.pem"
ALL_PCRS = range(24)
ANY = '"any"'
SHA256 = HashAlgorithm.SHA256


@dataclass(frozen=True)
class Machine:
    """The parts of one bundle, whatever form upstream gave it."""

    hcl: bytes
    message: bytes
    signature: bytes
    pcrs: dict[int, bytes]
    certificates: tuple[bytes, ...] = ()
    td_quote: bytes | None = None

    def members(self, **changes: Any) -> dict[str, Any]:
        made = evidence.encode(
            hcl_report=self.hcl,
            quote=Attestation(attest=self.message, signature=rsassa(self.signature)),
            pcrs={SHA256: self.pcrs},
            certificates=self.certificates,
            td_quote=self.td_quote,
            collateral=None if self.td_quote is None else intel.pieces(),
        )
        return {name: value for name, value in (made | changes).items() if value is not None}

    def submission(self, **changes: Any) -> Submission:
        made = encode_envelope(kind=EvidenceKind.AZURE_CVM, evidence=self.members(**changes))
        return parse_envelope(made)


def rsassa(value: bytes) -> bytes:
    """TPMT_SIGNATURE: upstream keeps the bare number."""
    return b"\x00\x14\x00\x0b" + len(value).to_bytes(2, "big") + value


def as_bytes(value: Any) -> bytes:
    """Upstream writes bytes as lists, hex or base64url."""
    if isinstance(value, list):
        return bytes(value)
    try:
        return bytes.fromhex(value)
    except ValueError:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def certificate(text: str) -> bytes:
    if "BEGIN" in text:
        return next(iter(pem_certificates(text.encode())))
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")


def pem(name: str) -> tuple[bytes, ...]:
    return tuple(pem_certificates((VECTORS / name).read_bytes()))


def machine(name: str) -> Machine:
    """The bundle of a row."""
    members = json.loads(ROWS[name].read())
    members = members.get("evidence", members)
    quote = members.get("quote") or members["tpm_quote"]
    snp = "vcek" in members
    return Machine(
        hcl=as_bytes(members.get("report") or members["hcl_report"]),
        message=as_bytes(quote["message"]),
        signature=as_bytes(quote["signature"]),
        pcrs={index: as_bytes(value) for index, value in enumerate(quote["pcrs"])},
        certificates=(certificate(members["vcek"]), pem(MILAN)[0]) if snp else (),
        td_quote=None if snp else as_bytes(members["td_quote"]),
    )


def bincode(data: bytes) -> tuple[bytes, bytes, dict[int, bytes]]:
    """Signature, message and PCRs of upstream's own framing: 64-bit lengths, little-endian."""
    at, parts = 0, []
    for _ in range(2):
        size = int.from_bytes(data[at : at + 8], "little")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    values = [data[place : place + 32] for place in range(len(data) - 24 * 32, len(data), 32)]
    return parts[0], parts[1], dict(enumerate(values))


BUNDLES = (
    "azure/coco-azsnp-evidence-v0.json",
    "azure/coco-azsnp-evidence-v1.json",
    "azure/ars-azsnp-milan-v3.json",
)
TD_BUNDLE = "azure/coco-aztdx-evidence-v1.json"
SNP_REPORTS = ("azure/coco-azsnp-hcl.bin", "azure/kin-hcl-snp.bin")
TD_REPORTS = ("azure/coco-aztdx-hcl.bin", "azure/kin-hcl-tdx.bin")
TD_QUOTE = "azure/coco-aztdx-td-quote.bin"
TPM_QUOTE = "azure/kin-tpmquote.bin"
EMPTY_NONCE = {"azure/ars-azsnp-milan-v3.json"}


def policy(extra: str = "", *, values: dict[int, bytes] | None = None) -> AppraisalPolicy:
    """Every PCR of the quote; ``values`` are those that are named."""
    named = {index: f'["{value.hex()}"]' for index, value in (values or {}).items()}
    lines = "".join(f"{index} = {named.get(index, ANY)}\n" for index in ALL_PCRS)
    return parse_policy(
        'id = "test"\nversion = 3\n'
        f"[azure-cvm.required_pcrs]\nsha256 = {list(ALL_PCRS)}\n"
        f"[azure-cvm.pcr_values.sha256]\n{lines}"
        f'[azure-cvm.sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\n{extra}',
        folder=Path(),
    )


def td_policy() -> AppraisalPolicy:
    """The same, with rules for TDs alone."""
    found = policy().azure_cvm
    assert found is not None
    return AppraisalPolicy(
        id="test", version=3, azure_cvm=replace(found, sev_snp=None, tdx=intel.rules())
    )


def saved(name: str, made: Machine | None = None, **changes: Any) -> Any:
    rules = changes.pop("policy", None) or policy()
    now = changes.pop("now", ROWS[name].time)
    return appraise_saved((made or machine(name)).submission(**changes), policy=rules, now=now)


def hcl(name: str) -> HclReport:
    return parse_hcl_report(ROWS[name].read())
