"""What the rows of TDX demand: quotes, and the machines in Azure that have one.

Signatures, chains and TCB levels of these wait for the appraisal of TDX quotes: what is demanded
here is what ``codec.td_quote`` and the paravisor's own parts can show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from keystead.appraisal import azure_cvm, tpm2
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.td_quote import quoted_report_data
from keystead.errors import Reason
from keystead.evidence import azure_cvm as azure_evidence
from tests import published_azure as azure
from tests.manifest import Row
from tests.manifest_demands import (
    MALFORMED,
    Demand,
    Neighbours,
    last_flipped,
    refused,
    told,
)
from tests.manifest_machines import (
    QUOTE,
    RUNTIME_DATA,
    about_its_runtime_data,
    with_other_runtime_data,
)

SHA256 = HashAlgorithm.SHA256


def td_quote(row: Row, change: Callable[[bytes], bytes] = bytes) -> bytes:
    return quoted_report_data(change(row.read()))


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
    assert found.td.report_data == found.hcl.report_data
    azure_cvm.check_runtime_data(found.hcl)
    azure_cvm.check_quote_signature(azure_cvm.check_ak(found.hcl), found.quote)
    info = tpm2.check_quote_type(found.quote, step=16)
    tpm2.check_composite(info, found.pcrs, algorithm=SHA256, step=19)


def is_of_the_same_report(row: Row, report_data: Any) -> None:
    named = "azure/" + told(row, r"matches ([\w.-]+)")
    assert report_data == azure.hcl(named).report_data


def without_what_follows(data: bytes) -> bytes:
    """One published file has a line of text after its quote, which is no part of it."""
    head = 48 + 584
    return data[: head + 4 + int.from_bytes(data[head : head + 4], "little")]


QUOTE_CUT: Neighbours = {"cut": (partial(td_quote, change=lambda data: data[:-1_000]), MALFORMED)}
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
        judge=partial(td_quote, change=without_what_follows),
        neighbours={**QUOTE_CUT, "what follows": (td_quote, MALFORMED)},
    ),
    "tdx/coco-quote5.bin": TD_QUOTE,
    "tdx/phala-tdx_quote.bin": TD_QUOTE,
    "tdx/phala-tdx_quote_outdated.bin": TD_QUOTE,
    "tdx/ars-tdx_quote_live.bin": TD_QUOTE,
    # An enclave's quote: no TD's, whatever it is worth.
    "tdx/phala-sgx_quote.bin": Demand(
        says=(HAND_VERIFIED, "SGX v3"), judge=td_quote, verdict=MALFORMED, neighbours=QUOTE_CUT
    ),
}
