"""What the rows of TDX demand: quotes, and the machines in Azure that have one.

Two quotes came with their collateral and are appraised whole. Of the others the signatures are
verified here; ``tests/vectors/test_td_quotes.py`` has how far each comes with what lies beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificates

from keystead.appraisal import azure_cvm, dcap, tpm2
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.td_quote import parse_td_quote
from keystead.errors import Malformed, Reason
from keystead.evidence import azure_cvm as azure_evidence
from tests import published_azure as azure
from tests import published_tdx as intel
from tests.manifest import Row
from tests.manifest_demands import (
    MALFORMED,
    Demand,
    Neighbours,
    Verdict,
    last_flipped,
    refused,
    told,
)
from tests.manifest_machines import (
    QUOTE,
    RUNTIME_DATA,
    SIGNATURE,
    about_its_runtime_data,
    with_other_runtime_data,
)

SHA256 = HashAlgorithm.SHA256
NO_TD: Verdict = (Malformed, Reason.EVIDENCE_TYPE, None)


def td_quote(row: Row, change: Callable[[bytes], bytes] = bytes) -> bytes:
    """The signatures of a quote, by its own certificate; what it reports."""
    data = row.read() if row.file.startswith("azure/") else intel.raw(row.file)
    quote = parse_td_quote(change(data))
    key = load_pem_x509_certificates(quote.pck_chain)[0].public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    dcap.check_attestation_key(quote, point, step=4)
    dcap.check_quote_signature(quote, step=6)
    return quote.report.report_data


def whole_file(row: Row) -> Any:
    return parse_td_quote(row.read())


def appraised(row: Row, *, change: Callable[[bytes], bytes] = bytes, now: int = 0) -> Any:
    """With the collateral that came with it."""
    at = now or row.time
    assert at is not None
    return intel.saved(change(intel.raw(row.file)), intel.own_collateral(row.file), now=at)


def reported_changed(data: bytes) -> bytes:
    """The last byte of REPORTDATA, which the quote's signature covers."""
    at = len(parse_td_quote(data).signed) - 1
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def td_machine(
    row: Row,
    *,
    hcl: Callable[[bytes], bytes] = bytes,
    signature: Callable[[bytes], bytes] = bytes,
) -> Any:
    """The links of a TD's bundle, but for the hardware's own signature."""
    made = azure.machine(row.file)
    made = replace(made, hcl=hcl(made.hcl), signature=signature(made.signature))
    found = azure_evidence.parse(made.submission())
    assert found.td is not None and found.quote is not None and found.pcrs is not None
    assert found.td.quote.report.report_data == found.hcl.report_data
    azure_cvm.check_runtime_data(found.hcl)
    azure_cvm.check_quote_signature(azure_cvm.check_ak(found.hcl), found.quote)
    info = tpm2.check_quote_type(found.quote, step=16)
    tpm2.check_composite(info, found.pcrs, algorithm=SHA256, step=19)


def is_of_the_same_report(row: Row, report_data: Any) -> None:
    named = "azure/" + told(row, r"matches ([\w.-]+)")
    assert report_data == azure.hcl(named).report_data


QUOTE_CUT: Neighbours = {
    "cut": (partial(td_quote, change=lambda data: data[:-1_000]), MALFORMED),
    "report data": (partial(td_quote, change=reported_changed), refused(SIGNATURE, 6)),
}
HAND_VERIFIED = "quote sig, QE sig, AK binding, PCK chain to Intel root verified by hand"
TD_QUOTE = Demand(says=(HAND_VERIFIED,), judge=td_quote, neighbours=QUOTE_CUT)
TD_REPORT = Demand(
    says=("TDREPORT.reportdata==sha256(var data)",),
    judge=about_its_runtime_data,
    neighbours=RUNTIME_DATA,
)

TDX_ROWS = {
    "azure/coco-aztdx-evidence-v1.json": Demand(
        says=("quote.reportdata==TDREPORT.reportdata==sha256(runtime json)", "AK quote OK"),
        judge=td_machine,
        neighbours={
            "runtime data": (
                partial(td_machine, hcl=with_other_runtime_data),
                refused(Reason.RUNTIME_DATA_MISMATCH, 13),
            ),
            "quote": (partial(td_machine, signature=last_flipped), refused(QUOTE, 15)),
        },
    ),
    "azure/coco-aztdx-hcl.bin": TD_REPORT,
    "azure/kin-hcl-tdx.bin": TD_REPORT,
    "azure/coco-aztdx-td-quote.bin": Demand(
        says=("sig OK", "report_data matches"),
        judge=td_quote,
        facts=is_of_the_same_report,
        neighbours=QUOTE_CUT,
    ),
    "tdx/gtg-quote-v4.bin": Demand(
        says=(HAND_VERIFIED, "v4"),
        judge=td_quote,
        neighbours={**QUOTE_CUT, "what follows": (whole_file, MALFORMED)},
    ),
    "tdx/coco-quote5.bin": TD_QUOTE,
    "tdx/phala-tdx_quote.bin": Demand(
        says=(HAND_VERIFIED, "dcap-qvl UpToDate", "expired 2025-07-21 => reject"),
        judge=appraised,
        neighbours={
            "report data": (partial(appraised, change=reported_changed), refused(SIGNATURE, 6)),
            "expired": (partial(appraised, now=intel.LATER), refused(Reason.COLLATERAL_EXPIRED, 1)),
        },
    ),
    "tdx/phala-tdx_quote_outdated.bin": Demand(
        says=(HAND_VERIFIED, "No matching TCB level"),
        judge=appraised,
        verdict=refused(Reason.TCB_REFUSED, 7),
        neighbours={
            "report data": (partial(appraised, change=reported_changed), refused(SIGNATURE, 6)),
        },
    ),
    "tdx/ars-tdx_quote_live.bin": TD_QUOTE,
    # An enclave's quote: no TD's, whatever it is worth.
    "tdx/phala-sgx_quote.bin": Demand(
        says=(HAND_VERIFIED, "SGX v3"),
        judge=whole_file,
        verdict=NO_TD,
        neighbours={"cut": (lambda row: parse_td_quote(row.read()[:-1_000]), NO_TD)},
    ),
}
