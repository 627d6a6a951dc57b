"""SEV-SNP reports and Azure machines a second on one core, from the envelope's bytes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from bench.figures import figures, ratio
from bench.interleaved import Runner, measured, runner
from bench.peer import Item, Peers
from keystead.appraisal.amd_chain import build_amd_path
from keystead.appraisal.chain_cache import PathCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.evidence import azure_cvm, sev_snp
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.azure_builder import PCRS, Machine
from tests.device_chains import NOW, curve_key
from tests.snp_builder import MEASUREMENT, Guest, anchors, rsa_key

question = "How many SEV-SNP reports and Azure machines a second does one core appraise?"

REPORTS = 64
NEW_CHAINS = 16
SIGNATURES = 100
PEER = "omne-attest"

_REPORT_DATA = slice(0x50, 0x90)


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in envelopes a second.

    ``remembered_chain``: reports of one chip, whose certificates were seen before.
    ``new_chain``: both links of the chain are verified each time; the makers' keys of this bench
    have 2048 bits and AMD's 4096, whose verification takes 62 µs instead of 22 for each link.
    ``azure_machine``: report, runtime data and vTPM quote, the chain remembered.
    ``one_signature``: OpenSSL verifying one signature on P-384 and nothing else, the most that any
    verifier of single reports could do; ``azure_signatures``: that and one by RSA of 2048 bits.
    The peer starts at the report and verifies both links and the root's own signature each time.
    """
    reports, machines = made_reports(random.Random(seed)), made_machines(random.Random(seed))
    policy, azure = Guest().policy(measurements=frozenset({MEASUREMENT})), Machine().policy()
    envelopes = [envelope(report) for report in reports]
    with Peers() as peers:
        runners: dict[str, Runner] = {
            "remembered_chain": appraiser(envelopes, lambda: policy),
            "new_chain": appraiser(envelopes[:NEW_CHAINS], lambda: without_memory(policy)),
            "azure_machine": appraiser(machines, lambda: azure),
            "one_signature": signatures(with_rsa=False),
            "azure_signatures": signatures(with_rsa=True),
        }
        items = [item(report) for report in reports]
        other = Guest().report(key=curve_key("another"), report_data=reports[0][_REPORT_DATA])
        bent = [{**items[0], "report_data": bytes(64)}, item(other)]
        runners |= peers.runners(PEER, verifier=PEER, items=items, bent=bent)
        rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "per_second": figures(rates, unit="per_second"),
        "to_one_signature": ratio(rates, "remembered_chain", "one_signature"),
        "azure_to_its_signatures": ratio(rates, "azure_machine", "azure_signatures"),
        "to_peer": ratio(rates, "remembered_chain", PEER),
        "new_chain_to_peer": ratio(rates, "new_chain", PEER),
        "missing": peers.missing,
    }


def made_reports(chance: random.Random) -> list[bytes]:
    """One guest's reports, each about other data."""
    guest = Guest()
    return [guest.report(report_data=chance.randbytes(64)) for _ in range(REPORTS)]


def envelope(report: bytes) -> bytes:
    """The envelope that brings it."""
    evidence = sev_snp.encode(report=report, certificates=certificates())
    return encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=evidence)


@cache
def certificates() -> tuple[bytes, ...]:
    """The chip's and its CA's; one of each, since RSA-PSS makes another signature every time."""
    return Guest().certificates()


def item(report: bytes) -> Item:
    """What the peer is given."""
    vcek, ask = certificates()
    return {
        "report": report,
        "vcek": vcek,
        "ask": ask,
        "ark": anchors().anchors[0].der,
        "measurement": MEASUREMENT,
        "report_data": report[_REPORT_DATA],
    }


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


def appraiser(envelopes: list[bytes], policy: Callable[[], AppraisalPolicy]) -> Runner:
    """Envelopes, one after the other."""
    return runner(
        envelopes, lambda data: appraise_saved(parse_envelope(data), policy=policy(), now=NOW)
    )


def signatures(*, with_rsa: bool) -> Runner:
    """Signatures by one key on P-384, each with one by RSA of 2048 bits or without."""
    key, other, message = curve_key("chip"), rsa_key("vTPM AK"), bytes(0x2A0)
    signature, public = key.sign(message, ECDSA(SHA384())), key.public_key()
    rsa_signature, rsa_public = other.sign(message, PKCS1v15(), SHA256()), other.public_key()

    def verify(_: int) -> None:
        public.verify(signature, message, ECDSA(SHA384()))
        if with_rsa:
            rsa_public.verify(rsa_signature, message, PKCS1v15(), SHA256())

    return runner(range(SIGNATURES), verify)
