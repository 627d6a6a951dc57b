"""What the rows of machines in Azure demand, on AMD's hardware; ``manifest_tdx`` has the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from keystead.appraisal import azure_cvm, sev_snp, tpm2
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.hcl import HclReport, parse_hcl_report
from keystead.codec.tpm2 import parse_attest, parse_signature
from keystead.errors import Reason
from keystead.evidence.tpm2 import SignedAttest
from tests import published_azure as azure
from tests.manifest import VECTORS, Row
from tests.manifest_demands import (
    MALFORMED,
    Demand,
    Neighbours,
    flipped,
    last_flipped,
    refused,
    told,
    with_other_pcr,
)

SHA256 = HashAlgorithm.SHA256
SIGNATURE, QUOTE = Reason.EVIDENCE_SIGNATURE, Reason.QUOTE_SIGNATURE
REPORT_AT, SIGNATURE_AT = 0x20, 0x20 + 0x2A0
LATER = 2_600_000_000
# For rows that name no time, since nothing of their own is signed then.
ANY_TIME = 1_704_067_200


def bundle(row: Row, *, now: int | None = None, **changes: Any) -> Any:
    """The row's machine with ``changes``: values, or functions of the good one."""
    made = azure.machine(row.file)
    wanted = {
        name: change(getattr(made, name)) if callable(change) else change
        for name, change in changes.items()
    }
    return azure.saved(row.file, replace(made, **wanted), **({} if now is None else {"now": now}))


def with_other_runtime_data(data: bytes) -> bytes:
    """Still JSON, and still the same key."""
    at = data.index(b'"vm-configuration"') + 1
    return flipped(data, at)


def bundle_with_anothers_certificate(row: Row) -> Any:
    other = next(each for each in reversed(azure.BUNDLES) if each != row.file)
    return bundle(row, certificates=azure.machine(other).certificates)


def bundle_facts(row: Row, result: Any) -> None:
    nonce = "" if "EMPTY nonce" in row.expected else told(row, r'nonce "(\w+)"')
    assert bytes.fromhex(result.claims["extra_data"]) == nonce.encode()
    assert f"{len(result.pcrs['sha256'])} PCRs" in row.what
    assert (result.anchor, result.hardware) == ("AMD ARK-Milan", True)


BUNDLE = Demand(
    says=("all links verified: VCEK sig, report_data=sha256(runtime json), AK sig over quote",),
    judge=bundle,
    facts=bundle_facts,
    neighbours={
        "later": (partial(bundle, now=LATER), refused(Reason.CHAIN_UNTRUSTED, 3)),
        "report": (
            partial(bundle, hcl=partial(flipped, at=SIGNATURE_AT)),
            refused(SIGNATURE, 4),
        ),
        "another row's certificate": (bundle_with_anothers_certificate, refused(SIGNATURE, 4)),
        "runtime data": (
            partial(bundle, hcl=with_other_runtime_data),
            refused(Reason.RUNTIME_DATA_MISMATCH, 13),
        ),
        "quote": (partial(bundle, signature=last_flipped), refused(QUOTE, 15)),
        "PCR": (partial(bundle, pcrs=with_other_pcr), refused(Reason.PCR_DIGEST_MISMATCH, 19)),
    },
)


def report_alone(
    row: Row,
    *,
    certificates: str,
    change: Callable[[bytes], bytes] = bytes,
    now: int | None = None,
) -> HclReport:
    """An HCL report without a quote: the hardware's part, and what it is about."""
    found = parse_hcl_report(change(row.read()))
    rules = azure.policy().azure_cvm
    assert found.snp is not None and rules is not None and rules.sev_snp is not None
    sev_snp.appraise_report(
        found.snp,
        azure.pem(certificates),
        rules=rules.sev_snp,
        now=now or row.time or ANY_TIME,
        first_step=2,
    )
    return about_its_runtime_data(row, change)


def about_its_runtime_data(row: Row, change: Callable[[bytes], bytes] = bytes) -> HclReport:
    found = parse_hcl_report(change(row.read()))
    azure_cvm.check_runtime_data(found)
    azure_cvm.check_ak(found)
    return found


OWN_CHIP, OTHER_CHIP = "azure/coco-azsnp-vcek.pem", "azure/kin-vcek-certs.pem"
RUNTIME_DATA: Neighbours = {
    "runtime data": (
        partial(about_its_runtime_data, change=with_other_runtime_data),
        refused(Reason.RUNTIME_DATA_MISMATCH, 13),
    ),
    "cut": (partial(about_its_runtime_data, change=lambda data: data[:0x500]), MALFORMED),
}


def is_about_its_data_all_the_same(row: Row, result: Any) -> None:
    assert result is None and about_its_runtime_data(row).snp is not None


def kins_quote(
    row: Row,
    *,
    nonce: bytes | None = None,
    signature: Callable[[bytes], bytes] = bytes,
    pcrs: Callable[[dict[int, bytes]], dict[int, bytes]] = dict,
    key: str = "azure/kin-akpub.pem",
) -> bytes:
    value, message, values = azure.bincode(row.read())
    public: Any = load_pem_public_key((VECTORS / key).read_bytes())
    signed = SignedAttest(
        attest=parse_attest(message), signature=parse_signature(azure.rsassa(signature(value)))
    )
    azure_cvm.check_quote_signature(public, signed)
    info = tpm2.check_quote_type(signed, step=16)
    wanted = told(row, r'nonce "(\w+)"').encode() if nonce is None else nonce
    answered = tpm2.check_nonce(signed, wanted, step=17)
    tpm2.check_composite(info, {SHA256: pcrs(values)}, algorithm=SHA256, step=19)
    return answered


MACHINES = {
    **dict.fromkeys(azure.BUNDLES, BUNDLE),
    "azure/coco-azsnp-hcl.bin": Demand(
        says=("SNP sig OK with coco-azsnp-vcek.pem", "report_data binds HCLAkPub"),
        judge=partial(report_alone, certificates=OWN_CHIP),
        neighbours={
            **RUNTIME_DATA,
            "later": (
                partial(report_alone, certificates=OWN_CHIP, now=LATER),
                refused(Reason.CHAIN_UNTRUSTED, 3),
            ),
            "report": (
                partial(
                    report_alone, certificates=OWN_CHIP, change=partial(flipped, at=SIGNATURE_AT)
                ),
                refused(SIGNATURE, 4),
            ),
            "another chip's certificate": (
                partial(report_alone, certificates=OTHER_CHIP),
                refused(SIGNATURE, 4),
            ),
        },
    ),
    "azure/kin-hcl-snp.bin": Demand(
        says=("report_data==sha256(var data) OK", "ANOTHER chip => signature REJECT"),
        judge=partial(report_alone, certificates=OTHER_CHIP),
        verdict=refused(SIGNATURE, 4),
        facts=is_about_its_data_all_the_same,
        neighbours=RUNTIME_DATA,
    ),
    "azure/kin-tpmquote.bin": Demand(
        says=("sig OK with kin-akpub.pem", "PCR digest OK"),
        judge=kins_quote,
        neighbours={
            "signature": (
                partial(kins_quote, signature=partial(flipped, at=9)),
                refused(QUOTE, 15),
            ),
            "nonce": (partial(kins_quote, nonce=b"other"), refused(Reason.NONCE_MISMATCH, 17)),
            "PCR": (
                partial(kins_quote, pcrs=with_other_pcr),
                refused(Reason.PCR_DIGEST_MISMATCH, 19),
            ),
        },
    ),
}
