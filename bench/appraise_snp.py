"""SEV-SNP reports and Azure machines a second on one core, from the envelope's bytes on."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA384

from keystead.appraisal.amd_chain import build_amd_path
from keystead.appraisal.chain_cache import PathCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.evidence import azure_cvm, sev_snp
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.azure_builder import PCRS, Machine
from tests.device_chains import NOW, curve_key
from tests.snp_builder import Guest, anchors

question = "How many SEV-SNP reports and Azure machines a second does one core appraise?"
TARGET_PER_SECOND = 400

REPORTS = 64
NEW_CHAINS = 16
SIGNATURES = 100

Runner = Callable[[], float]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in envelopes a second.

    ``remembered_chain``: reports of one chip, whose certificates were seen before.
    ``new_chain``: both links of the chain are verified each time; the makers' keys of this bench
    have 2048 bits and AMD's 4096, whose verification takes 62 µs instead of 22 for each link.
    ``azure_machine``: report, runtime data and vTPM quote, the chain remembered.
    ``one_signature``: OpenSSL verifying one signature on P-384 and nothing else, the most that any
    verifier of single reports could do.
    """
    reports, machines = made_reports(random.Random(seed)), made_machines(random.Random(seed))
    policy, azure = Guest().policy(), Machine().policy()
    runners: dict[str, Runner] = {
        "remembered_chain": lambda: appraise_all(reports, lambda: policy),
        "new_chain": lambda: appraise_all(reports[:NEW_CHAINS], lambda: without_memory(policy)),
        "azure_machine": lambda: appraise_all(machines, lambda: azure),
        "one_signature": verify_signatures,
    }
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            rates[name].append(runner())
    medians = {name: statistics.median(seen) for name, seen in rates.items()}
    return {
        "question": question,
        "target": TARGET_PER_SECOND,
        "per_second": {name: round(rate) for name, rate in medians.items()},
        "to_one_signature": round(medians["remembered_chain"] / medians["one_signature"], 2),
    }


def made_reports(chance: random.Random) -> list[bytes]:
    """Envelopes with one guest's reports, each about other data."""
    guest = Guest()
    certificates = guest.certificates()
    return [
        encode_envelope(
            kind=EvidenceKind.SEV_SNP,
            evidence=sev_snp.encode(
                report=guest.report(report_data=chance.randbytes(64)), certificates=certificates
            ),
        )
        for _ in range(REPORTS)
    ]


def made_machines(chance: random.Random) -> list[bytes]:
    """Envelopes of one machine, each with another quote; the hardware's report is of its boot."""
    machine = Machine()
    hcl, certificates = machine.hcl(), machine.guest.certificates()
    return [
        encode_envelope(
            kind=EvidenceKind.AZURE_CVM,
            evidence=azure_cvm.encode(
                hcl_report=hcl,
                quote=machine.quote(nonce=chance.randbytes(32)),
                pcrs=PCRS,
                certificates=certificates,
            ),
        )
        for _ in range(REPORTS)
    ]


def without_memory(policy: AppraisalPolicy) -> AppraisalPolicy:
    """The policy as it was before it saw any report."""
    rules = policy.sev_snp
    if rules is None:
        return policy
    chains = PathCache(partial(build_amd_path, anchors=anchors(), revocations=()))
    return replace(policy, sev_snp=replace(rules, chains=chains))


def appraise_all(envelopes: list[bytes], policy: Callable[[], AppraisalPolicy]) -> float:
    """Envelopes a second, one after the other."""
    began = time.perf_counter()
    for envelope in envelopes:
        appraise_saved(parse_envelope(envelope), policy=policy(), now=NOW)
    return len(envelopes) / (time.perf_counter() - began)


def verify_signatures() -> float:
    """Signatures a second by one key on P-384."""
    key = curve_key("chip")
    message = bytes(0x2A0)
    signature, public = key.sign(message, ECDSA(SHA384())), key.public_key()
    began = time.perf_counter()
    for _ in range(SIGNATURES):
        public.verify(signature, message, ECDSA(SHA384()))
    return SIGNATURES / (time.perf_counter() - began)
