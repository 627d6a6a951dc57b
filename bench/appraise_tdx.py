"""TD quotes a second on one core, from the envelope's bytes on, beside dcap-qvl."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import dcap_qvl
from cryptography.hazmat.primitives.serialization import Encoding

from bench.figures import figures, ratio
from bench.interleaved import Runner, measured, runner
from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.evidence import tdx
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.device_chains import NOW
from tests.intel_builder import (
    PCK_CA,
    anchors,
    collateral,
    isv_level,
    level,
    module,
    revocation_list,
    root,
    tcb_info,
)
from tests.tdx_builder import MRTD, Td, policy

question = "How many TD quotes a second does one core appraise, beside dcap-qvl?"

QUOTES = 64
NEW_CHAINS = 16
PEER = "dcap-qvl"

# As many as Intel's have, of one family of platforms in 2026.
_LEVELS = 10
_REVOKED = 60


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in envelopes a second.

    ``remembered_chain``: quotes of one TD, whose platform's certificates and Intel's statements
    were seen before. ``new_host``: the platform's path is verified each time, and Intel's
    statements were seen. ``new_chain``: everything is verified each time; only what was parsed of
    Intel's CAs, lists and statements is kept. The peer runs in this process, starts at the quote
    and the collateral's JSON, and parses and verifies everything each time.
    """
    td, chance = Td(), random.Random(seed)
    quotes = [td.quote(report_data=chance.randbytes(64)) for _ in range(QUOTES)]
    check_peer(td)
    envelopes = [envelope(quote) for quote in quotes]
    held = policy(values={"mrtd": frozenset({MRTD})})
    rates = measured(
        {
            "remembered_chain": appraiser(envelopes, lambda: held),
            "new_host": appraiser(envelopes[:NEW_CHAINS], lambda: at_a_new_host(held)),
            "new_chain": appraiser(envelopes[:NEW_CHAINS], lambda: without_memory(held)),
            PEER: runner(quotes, verify_by_peer),
        },
        rounds=rounds,
    )
    return {
        "question": question,
        "envelope_bytes": len(envelopes[0]),
        "per_second": figures(rates, unit="per_second"),
        "to_peer": ratio(rates, "remembered_chain", PEER),
        "new_host_to_peer": ratio(rates, "new_host", PEER),
        "new_chain_to_peer": ratio(rates, "new_chain", PEER),
    }


@cache
def members() -> Mapping[str, Any]:
    """Collateral as large as Intel's."""
    older = [level("OutOfDate", "INTEL-SA-00837", pce_svn=10 - at) for at in range(_LEVELS)]
    modules = [module(f"TDX_{at:02x}", isv_level(4), isv_level(2)) for at in (3, 1, 2, 4)]
    said = tcb_info(tcbLevels=[level(), *older], tdxModuleIdentities=modules)
    revoked = revocation_list(PCK_CA, serials=range(1 << 60, (1 << 60) + _REVOKED))
    return collateral(info=said, pck_crl=revoked.hex())


def envelope(quote: bytes) -> bytes:
    """The envelope that brings it."""
    evidence = tdx.encode(quote=quote, collateral=members())
    return encode_envelope(kind=EvidenceKind.TDX, evidence=evidence)


def without_memory(held: AppraisalPolicy) -> AppraisalPolicy:
    """The policy as it was before it saw any quote."""
    return with_memory(held, DcapMemory(anchors()))


def at_a_new_host(held: AppraisalPolicy) -> AppraisalPolicy:
    """The policy as it is for a platform of a family that it knows."""
    memory = DcapMemory(anchors())
    if held.tdx is not None:
        memory.statements = held.tdx.memory.statements
    return with_memory(held, memory)


def with_memory(held: AppraisalPolicy, memory: DcapMemory) -> AppraisalPolicy:
    """The same rules."""
    return held if held.tdx is None else replace(held, tdx=replace(held.tdx, memory=memory))


def appraiser(envelopes: list[bytes], chosen: Callable[[], AppraisalPolicy]) -> Runner:
    """Envelopes, one after the other."""
    return runner(
        envelopes, lambda data: appraise_saved(parse_envelope(data), policy=chosen(), now=NOW)
    )


@cache
def peers_verifier() -> Any:
    """The peer, with the tests' root in place of Intel's."""
    return dcap_qvl.QuoteVerifier(root().public_bytes(Encoding.DER))


@cache
def peers_collateral() -> str:
    """The text that it reads each time, as ours reads it out of each envelope."""
    return json.dumps(members())


def verify_by_peer(quote: bytes) -> object:
    """All signatures, chains, lists and times, and the TCB level; values are the caller's."""
    given = dcap_qvl.QuoteCollateralV3.from_json(peers_collateral())
    wanted = dcap_qvl.QuotePolicy.claims_only(NOW)
    return peers_verifier().verify_with_policy(quote, given, NOW, wanted)


def check_peer(td: Td) -> None:
    """It has to accept a good quote and to refuse bent ones before its figure counts."""
    verify_by_peer(td.quote())
    for bent in (
        td.quote(signer="another"),
        td.quote(qe_signer="another"),
        td.quote(chain=td.chain[: len(td.chain) // 2]),
    ):
        try:
            verify_by_peer(bent)
        except ValueError:
            continue
        raise AssertionError(f"{PEER} accepted a quote that is bent")
