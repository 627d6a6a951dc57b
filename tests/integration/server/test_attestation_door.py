"""What a stranger is told over gRPC of refused evidence: the step that the kind's page numbers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from keystead.evidence.envelope import encode_envelope
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from tests.doors import make_use_cases, open_doors
from tests.kind_parts import WORKLOADS, Workload
from tests.service_parts import Agent, Installation
from tests.unit.service.test_attestation_kinds import OTHER, register, service

DOCS = Path(__file__).parents[3] / "docs" / "evidence"
STEP = re.compile(r"^\| (\d+) \| .* \| (`[^|]*) \|$", re.MULTILINE)
STEPS_OF_THE_KEY = {
    "aws-nitro": "9",
    "sev-snp": "13",
    "tdx": "14",
    "app-attest": "10",
    "maa": "16",
    "oidc": "11",
}

Forge = Callable[[Workload, bytes], bytes]


def documented(kind: str) -> set[tuple[str, str]]:
    """Each step of a kind's page with each reason that it may refuse for."""
    text = (DOCS / f"{kind}.md").read_text()
    return {
        (step, reason)
        for step, reasons in STEP.findall(text)
        for reason in re.findall(r"`([a-z_]+)`", reasons)
    }


def another_key(workload: Workload, nonce: bytes) -> bytes:
    """Good evidence for the other key, under the name of the workload's own."""
    return encode_envelope(
        kind=workload.kind,
        evidence=workload.collect(OTHER.jwk, nonce),
        nonce=nonce,
        key=workload.agent.host.jwk,
    )


def another_pcr(workload: Workload, nonce: bytes) -> bytes:
    members = json.loads(json.dumps(dict(workload.collect(workload.agent.host.jwk, nonce))))
    members["pcrs"]["sha256"]["0"] = "00" * 32
    return encode_envelope(
        kind=workload.kind, evidence=members, nonce=nonce, key=workload.agent.host.jwk
    )


async def refusal(
    it: Installation, workload: Workload, forge: Forge, *, signer: Agent | None = None
) -> tuple[grpc.StatusCode, str, Mapping[str, Any]]:
    """The code, the details and the trailing metadata of one attestation."""
    use_cases = make_use_cases(attestations=it.attestations, trail=it.trail)
    async with (
        open_doors(use_cases) as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        call = rpc.AttestationServiceStub(channel).Attest()
        await call.write(pb.AttestRequest(begin=pb.BeginAttestation(kind=workload.kind.value)))
        nonce = (await asyncio.wait_for(call.read(), 10)).challenge.nonce
        await call.write(
            pb.AttestRequest(
                evidence=pb.Evidence(
                    envelope=forge(workload, nonce),
                    key_proof=(signer or workload.agent).key_proof(nonce=nonce),
                )
            )
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(call.read(), 10)
        return await call.code(), await call.details(), dict(await call.trailing_metadata())


@pytest.fixture(params=WORKLOADS)
def workload(request: pytest.FixtureRequest, tmp_path: Path) -> Workload:
    return WORKLOADS[request.param](tmp_path)


@pytest.fixture
async def it(workload: Workload, tmp_path: Path) -> AsyncIterator[Installation]:
    async with service(tmp_path, workload) as made:
        yield made


async def test_a_refusal_names_the_step_of_the_kinds_page_and_no_more(
    it: Installation, workload: Workload
) -> None:
    kind = workload.kind.value
    forge = another_pcr if kind == "azure-cvm" else another_key
    code, details, told = await refusal(it, workload, forge)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert set(told) == {"keystead-reason", "keystead-step"}
    assert (told["keystead-step"], told["keystead-reason"]) in documented(kind)
    if kind in STEPS_OF_THE_KEY:
        assert told == {"keystead-reason": "key_mismatch", "keystead-step": STEPS_OF_THE_KEY[kind]}
    assert details == told["keystead-reason"]


async def test_that_no_entry_fits_is_no_step(it: Installation, workload: Workload) -> None:
    await register(it, workload, selectors=dict.fromkeys(workload.selectors, ("another",)))
    _, details, told = await refusal(it, workload, Workload.envelope)
    assert (details, told) == (
        "no_registration_entry",
        {"keystead-reason": "no_registration_entry"},
    )


async def test_a_proof_by_another_key_is_refused_before_the_evidence(
    it: Installation, workload: Workload
) -> None:
    thief = replace(workload.agent, host=OTHER)
    _, _, told = await refusal(it, workload, Workload.envelope, signer=thief)
    assert told == {"keystead-reason": "key_proof_invalid", "keystead-step": "3"}
