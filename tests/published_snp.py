"""SEV-SNP reports of real chips, as the published vectors have them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystead.appraisal.anchors import pem_certificates
from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec.snp import REPORT_BYTES, SnpReport, parse_report
from keystead.evidence import sev_snp as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.manifest import VECTORS, Row, manifest_rows

ROWS = {row.file: row for row in manifest_rows("snp")}
# After the last of these certificates has ended.
LATER = 2_600_000_000
VMPL_1 = '[sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\nmax_vmpl = 1\n'
PLAIN = '[sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\n'
DEBUG_TOO = PLAIN + "allow_debug = true\n"


@dataclass(frozen=True)
class Vector:
    """A report, and which files its certificates are in."""

    file: str
    certificates: tuple[str, ...]
    policy: str = PLAIN
    offset: int = 0

    @property
    def row(self) -> Row:
        return ROWS[self.file]

    @property
    def report(self) -> bytes:
        return self.row.read()[self.offset : self.offset + REPORT_BYTES]

    @property
    def chain(self) -> list[bytes]:
        return [der for name in self.certificates for der in certificates(name)]


def certificates(name: str) -> list[bytes]:
    """The DER certificates of a file in any of the vectors' forms."""
    data = (VECTORS / name).read_bytes()
    if name.endswith(".json"):
        members = json.loads(data)
        data = (members["vcekCert"] + members["certificateChain"]).encode()
    return [data] if name.endswith(".der") else list(pem_certificates(data))


MILAN = "roots/amd-ask_ark_milan.pem"
GSG = Vector("snp/gsg-report.bin", ("snp/gsg-vcek.der", "snp/gsg-milan-ask-ark.pem"), DEBUG_TOO)
COCO = Vector("snp/coco-report.bin", ("snp/coco-vcek.der", MILAN))
VLEK = Vector(
    "snp/coco-vlek-report.bin", ("snp/coco-vlek.der", "roots/amd-asvk_ark_milan.pem"), VMPL_1
)
GENOA = Vector(
    "snp/ars-genoa-v5-report.bin", ("snp/ars-genoa-vcek.der", "roots/amd-ask_ark_genoa.pem")
)
ACI = Vector("snp/aci-snp_report.bin", ("snp/aci-uvm_host_amd_certificate.json",))
DSTACK = Vector("snp/dstack-snp.bin", ("snp/dstack-vcek.pem", "snp/dstack-ask.pem"), offset=4)
REPORTS = (GSG, COCO, VLEK, GENOA, ACI, DSTACK)
TAMPERED = ("snp/coco-vcek-invalid-legacy.der", "snp/coco-vcek-invalid-new.der")


def policy(rules: str) -> AppraisalPolicy:
    return parse_policy(f'id = "test"\nversion = 3\n{rules}', folder=Path())


def saved(
    vector: Vector,
    *,
    report: bytes | None = None,
    chain: Sequence[bytes] | None = None,
    rules: str | None = None,
    now: int | None = None,
) -> Any:
    members = evidence.encode(
        report=vector.report if report is None else report,
        certificates=vector.chain if chain is None else chain,
    )
    envelope = encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=members)
    at = vector.row.time if now is None else now
    assert at is not None
    found = policy(vector.policy if rules is None else rules)
    return appraise_saved(parse_envelope(envelope), policy=found, now=at)


def read(vector: Vector) -> SnpReport:
    return parse_report(vector.report)
