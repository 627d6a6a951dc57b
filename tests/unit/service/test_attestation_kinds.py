"""Attestations of every kind that stands by itself: from the envelope to a delegated token."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.binding.app_attest import client_data_for
from keystead.errors import (
    BindingRejected,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    Reason,
    Refused,
    Rejected,
    Replayed,
    Unavailable,
)
from keystead.evidence import app_attest, azure_cvm
from keystead.evidence.envelope import encode_envelope
from keystead.jose.jws import parse_compact
from keystead.model import AuditAction, EvidenceKind, Freshness, Jkt, Protection
from keystead.relying.claims import TokenRules, check_claims
from keystead.service.affirmation import Outcome
from keystead.service.attestation import Session
from tests import workload_tokens
from tests.app_attest_builder import Device
from tests.azure_builder import PCRS, TDX, Machine, hcl_report, runtime_data, td_report
from tests.evidence_builder import Host, appraisal_policy
from tests.exchange_parts import AGENT, API, ISSUER, POLICY
from tests.intel_builder import collateral
from tests.kind_parts import WORKLOADS, Workload
from tests.service_parts import API_CALLER, Agent, Clock, Installation, installation
from tests.software_hardware import SoftwareTpm
from tests.tdx_builder import Td

KINDS = list(WORKLOADS)
PROTECTION = {
    "aws-nitro": Protection.NONE,  # the builder's policy says "any" of the image
    "sev-snp": Protection.MEASURED_CODE,
    "tdx": Protection.NONE,
    "azure-cvm": Protection.MEASURED_CODE,
    "app-attest": Protection.NONE,
    "maa": Protection.NONE,
    "oidc": Protection.NONE,
}
HARDWARE = {kind: kind != "oidc" for kind in KINDS}
OTHER = Host.make(name="thief")


ANY_KEY = POLICY.partition('@id("measured")')[0]
"""The usual policy, without its demand that keys are in hardware or measured code."""


@asynccontextmanager
async def service(
    folder: Path, workload: Workload, *, tpm: SoftwareTpm | None = None
) -> AsyncIterator[Installation]:
    async with installation(
        folder / "state",
        clock=Clock(at=workload.now),
        tpm=tpm,
        appraisal=workload.policy,
        delegation=ANY_KEY,
    ) as it:
        yield it


async def register(it: Installation, workload: Workload, **changes: Any) -> Any:
    wanted: dict[str, Any] = {
        "parent": "",
        "kind": workload.kind.value,
        "selectors": workload.selectors,
    }
    return await it.register(AGENT, **(wanted | changes))


async def attest(it: Installation, workload: Workload, **changes: Any) -> Outcome:
    session = it.attestations.begin(workload.kind.value)
    return await submit(session, workload, **changes)


async def submit(
    session: Session,
    workload: Workload,
    *,
    envelope: bytes | None = None,
    signer: Agent | None = None,
    wanted: str = "",
) -> Outcome:
    nonce = session.challenge.nonce
    outcome = await session.submit(
        workload.envelope(nonce) if envelope is None else envelope,
        proof=(signer or workload.agent).key_proof(nonce=nonce),
        wanted=wanted,
    )
    assert isinstance(outcome, Outcome)
    return outcome


def payload(token: str) -> Any:
    return json.loads(parse_compact(token).payload)


@pytest.fixture(params=KINDS)
def workload(request: pytest.FixtureRequest, tmp_path: Path) -> Workload:
    return WORKLOADS[request.param](tmp_path)


async def test_ends_in_a_token_that_says_what_was_proved(
    workload: Workload, tmp_path: Path
) -> None:
    kind = workload.kind.value
    async with service(tmp_path, workload) as it:
        entry = await register(it, workload)
        outcome = await attest(it, workload)
        assert (outcome.bound.spiffe_id, outcome.bound.entry) == (AGENT, entry.id)
        assert outcome.bound.ek is None
        issued = await it.exchange(workload.agent)
        claims = payload(issued.access_token)
        assert claims["act"] == {"sub": AGENT, "iss": ISSUER, "attestation": kind}
        assert claims["cnf"] == {
            "jkt": workload.agent.jkt,
            "residency": {
                "kind": kind,
                "protection": PROTECTION[kind].value,
                "hardware": HARDWARE[kind],
                "verified_at": it.clock.at,
                "freshness": "challenged",
                "policy": "test@3",
                "result": outcome.id,
            },
        }
        rules = TokenRules(
            issuer=ISSUER, audience=API, leeway_s=5, max_lifetime_s=300, dpop_required=True
        )
        believed = check_claims(claims, rules=rules, now=it.clock.at)
        assert believed.residency == outcome.bound.residency
        ear = await it.attestations.result(outcome.id)
        assert ear == outcome.ear and set(payload(ear)["submods"]) == {kind}
        (told,) = await it.events(AuditAction.ATTESTATION_AFFIRMED)
        assert (told.caller, told.kind, told.object) == (AGENT, kind, outcome.id)
        assert "ek" not in told.detail and told.detail["entry"] == entry.id


async def test_a_challenge_is_answered_once(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        session = it.attestations.begin(workload.kind.value)
        envelope = workload.envelope(session.challenge.nonce)
        await submit(session, workload, envelope=envelope)
        again = Session(it.attestations, session.challenge, session.kind)
        with pytest.raises(Replayed):
            await submit(again, workload, envelope=envelope)


async def test_evidence_for_another_challenge_is_refused(
    workload: Workload, tmp_path: Path
) -> None:
    """The envelope's nonce is made to fit; what the evidence itself answers is another one."""
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        old = it.attestations.begin(workload.kind.value).challenge.nonce
        session = it.attestations.begin(workload.kind.value)
        key = workload.agent.host.jwk
        stale = encode_envelope(
            kind=workload.kind,
            evidence=workload.collect(key, old),
            nonce=session.challenge.nonce,
            key=key,
        )
        with pytest.raises(Rejected) as refused:
            await submit(session, workload, envelope=stale)
        assert refused.value.reason in (Reason.NONCE_MISMATCH, Reason.KEY_MISMATCH)
        assert refused.value.step is not None
        assert await it.store.binding(Jkt(key.thumbprint)) is None


async def test_a_good_document_binds_no_other_key(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        session = it.attestations.begin(workload.kind.value)
        nonce = session.challenge.nonce
        thief = replace(workload.agent, host=OTHER)
        stolen = encode_envelope(
            kind=workload.kind,
            evidence=workload.collect(workload.agent.host.jwk, nonce),
            nonce=nonce,
            key=OTHER.jwk,
        )
        with pytest.raises(BindingRejected) as refused:
            await submit(session, workload, envelope=stolen, signer=thief)
        assert refused.value.reason is Reason.KEY_MISMATCH
        assert await it.store.binding(Jkt(OTHER.jwk.thumbprint)) is None


async def test_a_key_that_did_not_sign_the_challenge_is_refused(
    workload: Workload, tmp_path: Path
) -> None:
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        thief = replace(workload.agent, host=OTHER)
        with pytest.raises(Rejected) as refused:
            await attest(it, workload, signer=thief)
        assert refused.value.reason is Reason.KEY_PROOF_INVALID


async def test_what_no_entry_selects_is_refused(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        other = dict.fromkeys(workload.selectors, ("another",))
        await register(it, workload, selectors=other)
        with pytest.raises(Refused) as refused:
            await attest(it, workload)
        assert refused.value.reason is Reason.NO_REGISTRATION_ENTRY


async def test_one_kinds_evidence_is_no_other_kinds(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        for kind in EvidenceKind:
            if kind is workload.kind:
                continue
            session = it.attestations.begin(workload.kind.value)
            nonce = session.challenge.nonce
            key = workload.agent.host.jwk
            lies = encode_envelope(
                kind=kind, evidence=workload.collect(key, nonce), nonce=nonce, key=key
            )
            with pytest.raises(EvidenceRejected) as refused:
                await submit(session, workload, envelope=lies)
            assert refused.value.reason is Reason.KIND_UNSUPPORTED


async def test_kinds_without_rules_are_refused(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        for kind in set(EvidenceKind) - {workload.kind}:
            with pytest.raises(EvidenceRejected):
                it.attestations.begin(kind.value)


async def test_an_envelope_without_a_key_is_malformed(workload: Workload, tmp_path: Path) -> None:
    async with service(tmp_path, workload) as it:
        session = it.attestations.begin(workload.kind.value)
        nonce = session.challenge.nonce
        members = workload.collect(workload.agent.host.jwk, nonce)
        bare = encode_envelope(kind=workload.kind, evidence=members, nonce=nonce)
        with pytest.raises(Malformed):
            await submit(session, workload, envelope=bare)


# --- attesting again ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "app-attest"])
async def test_attesting_again_renews_the_binding(kind: str, tmp_path: Path) -> None:
    """An app attests a key once, and asserts after that."""
    workload = WORKLOADS[kind](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        first = await attest(it, workload)
        it.clock.at += 20
        second = await attest(it, workload)
        assert second.bound.bound_at == first.bound.bound_at + 20
        assert await it.store.binding(Jkt(workload.agent.jkt)) == second.bound
        kept = await it.store.evidence(Jkt(workload.agent.jkt))
        assert kept is not None and kept.appraised_at == it.clock.at


async def test_the_result_says_when_to_attest_again(tmp_path: Path) -> None:
    workload = WORKLOADS["sev-snp"](tmp_path)
    asked = replace(workload.policy, reattest_after_s={EvidenceKind.SEV_SNP: 90})
    for policy, after_s in ((workload.policy, 2_400), (asked, 90)):
        folder = tmp_path / str(after_s)
        folder.mkdir()
        async with service(folder, replace(workload, policy=policy)) as it:
            await register(it, workload)
            outcome = await attest(it, workload)
            assert outcome.bound.expires_at == it.clock.at + 3_600
            assert outcome.renew_at == it.clock.at + after_s


async def test_a_failed_attestation_ends_the_binding_and_its_grants(
    workload: Workload, tmp_path: Path
) -> None:
    async with service(tmp_path, workload) as it:
        entry = await register(it, workload)
        await attest(it, workload)
        issued = await it.exchange(workload.agent)
        assert (await it.grants.introspect(API_CALLER, issued.access_token))["active"] is True
        session = it.attestations.begin(workload.kind.value)
        nonce = session.challenge.nonce
        key = workload.agent.host.jwk
        another = encode_envelope(
            kind=workload.kind, evidence=workload.collect(OTHER.jwk, nonce), nonce=nonce, key=key
        )
        if workload.kind is EvidenceKind.AZURE_CVM:
            another = _azure_without_pcr(workload, nonce)
        with pytest.raises(KeysteadError) as refused:
            await submit(session, workload, envelope=another)
        assert await it.store.binding(Jkt(key.thumbprint)) is None
        assert await it.store.evidence(Jkt(key.thumbprint)) is None
        (ended,) = await it.events(AuditAction.BINDING_ENDED)
        assert (ended.caller, ended.jkt, ended.reason, ended.step) == (
            AGENT,
            key.thumbprint,
            refused.value.reason.value,
            refused.value.step,
        )
        assert ended.detail == {"cause": "attestation", "entry": entry.id}
        with pytest.raises(Refused) as no:
            await it.renew(workload.agent, issued.refresh_token)
        assert no.value.reason is Reason.KEY_NOT_BOUND
        (grant,) = await it.store.grants()
        assert grant.revoked_at == it.clock.at
        assert await it.grants.introspect(API_CALLER, issued.access_token) == {"active": False}


def _azure_without_pcr(workload: Workload, nonce: bytes) -> bytes:
    """The key is certified as before, but a PCR has another value than the quoted one."""
    members = json.loads(json.dumps(dict(workload.collect(workload.agent.host.jwk, nonce))))
    members["pcrs"]["sha256"]["0"] = "00" * 32
    return encode_envelope(
        kind=workload.kind, evidence=members, nonce=nonce, key=workload.agent.host.jwk
    )


@pytest.mark.parametrize("late", [True, False], ids=["late", "another challenge"])
async def test_what_says_nothing_of_the_machine_ends_nothing(late: bool, tmp_path: Path) -> None:
    workload = WORKLOADS["aws-nitro"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        session = it.attestations.begin(workload.kind.value)
        stale = workload.envelope(session.challenge.nonce)
        if late:
            it.clock.at += 60
        else:
            key = workload.agent.host.jwk
            stale = encode_envelope(
                kind=workload.kind,
                evidence=workload.collect(key, b"\x01" * 32),
                nonce=session.challenge.nonce,
                key=key,
            )
        with pytest.raises(EvidenceRejected):
            await submit(session, workload, envelope=stale)
        assert await it.store.binding(Jkt(workload.agent.jkt)) == outcome.bound
        assert await it.events(AuditAction.BINDING_ENDED) == []


async def test_malformed_evidence_ends_nothing_and_nobody_ends_anothers(tmp_path: Path) -> None:
    workload = WORKLOADS["aws-nitro"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        key = workload.agent.host.jwk
        for evidence, signer, error in (
            ({"document": "AAAA"}, workload.agent, Malformed),
            (workload.collect(OTHER.jwk, bytes(32)), replace(workload.agent, host=OTHER), Rejected),
        ):
            session = it.attestations.begin(workload.kind.value)
            nonce = session.challenge.nonce
            made = encode_envelope(kind=workload.kind, evidence=evidence, nonce=nonce, key=key)
            with pytest.raises(error):
                await submit(session, workload, envelope=made, signer=signer)
            assert await it.store.binding(Jkt(key.thumbprint)) == outcome.bound


# --- tokens ---------------------------------------------------------------------------------------


async def test_a_template_names_the_workload_by_its_claims(tmp_path: Path) -> None:
    workload = WORKLOADS["oidc"](tmp_path)
    async with service(tmp_path, workload) as it:
        selectors = {**workload.selectors, "profile": ("github-actions",)}
        name = "spiffe://example.org/ci/{repository.owner}/{repository.name}"
        await it.register(name, parent="", kind="oidc", selectors=selectors)
        outcome = await attest(it, workload)
        assert outcome.bound.spiffe_id == "spiffe://example.org/ci/acme/rocket"


async def test_a_bearers_token_is_taken_once_and_not_kept(tmp_path: Path) -> None:
    workload_tokens.write_keys(tmp_path)
    policy = workload_tokens.oidc_policy("azure", folder=tmp_path, keys='jwks_file = "jwks.json"')
    token = workload_tokens.sign(workload_tokens.platform_claims("azure"))
    workload = replace(
        WORKLOADS["oidc"](tmp_path),
        policy=policy,
        collect=lambda key, nonce: {"token": token},
        selectors={
            "anchor": (workload_tokens.ENTRA,),
            "claims.oid": (workload_tokens.PLATFORM_CLAIMS["azure"]["oid"],),
        },
    )
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        assert outcome.bound.residency.freshness is Freshness.BEARER
        assert await it.store.evidence(Jkt(workload.agent.jkt)) is None
        thief = replace(workload, agent=Agent(id=workload.agent.id, host=OTHER))
        with pytest.raises(Replayed) as refused:
            await attest(it, thief)
        assert refused.value.reason is Reason.EVIDENCE_REPLAYED
        assert await it.store.binding(Jkt(OTHER.jwk.thumbprint)) is None


@pytest.mark.parametrize("kind", ["oidc", "maa"])
async def test_keys_at_an_url_are_fetched_and_kept_with_the_evidence(
    kind: str, tmp_path: Path
) -> None:
    made = WORKLOADS[kind](tmp_path)
    policy = (workload_tokens.oidc_policy if kind == "oidc" else workload_tokens.maa_policy)()
    workload = replace(made, policy=policy)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        it.provider.away = True
        with pytest.raises(Unavailable):
            await attest(it, workload)
        it.provider.away = False
        it.clock.at += 11
        it.provider.document = json.dumps(workload_tokens.issuer_keys().to_dict()).encode()
        await attest(it, workload)
        kept = await it.store.evidence(Jkt(workload.agent.jkt))
        (key,) = workload_tokens.issuer_keys()
        assert kept is not None and kept.signer == key.members


async def test_keys_of_strangers_are_not_asked_for(tmp_path: Path) -> None:
    made = WORKLOADS["oidc"](tmp_path)
    token = workload_tokens.sign(workload_tokens.platform_claims(iss="https://evil.example"))
    workload = replace(
        made,
        policy=workload_tokens.oidc_policy(),
        collect=lambda key, nonce: {"token": token},
    )
    async with service(tmp_path, workload) as it:
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, workload)
        assert (refused.value.reason, refused.value.step) == (Reason.ISSUER_MISMATCH, 1)
        assert it.provider.fetches == 0


# --- App Attest -----------------------------------------------------------------------------------


def asserting(workload: Workload, counter: int, **changes: Any) -> Workload:
    """The same app, later: an assertion instead of the attestation."""
    device = Device()

    def collect(key: Any, nonce: bytes) -> Any:
        data = client_data_for(key, issuer=ISSUER, nonce=nonce)
        return app_attest.encode_assertion(
            assertion=device.assertion(data, counter=counter, **changes),
            key_id=device.key_id,
            client_data=data,
        )

    return replace(workload, collect=collect)


async def test_assertions_renew_with_a_counter_that_survives_a_restart(tmp_path: Path) -> None:
    workload, tpm = WORKLOADS["app-attest"](tmp_path), SoftwareTpm()
    async with service(tmp_path, workload, tpm=tpm) as it:
        await register(it, workload)
        await attest(it, workload)
        it.clock.at += 5
        outcome = await attest(it, asserting(workload, 3))
        assert outcome.bound.bound_at == it.clock.at
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserting(workload, 3))
        assert (refused.value.reason, refused.value.step) == (Reason.COUNTER_NOT_RISING, 17)
    async with service(tmp_path, workload, tpm=tpm) as it:
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserting(workload, 3))
        assert refused.value.reason is Reason.COUNTER_NOT_RISING
        await attest(it, asserting(workload, 4))


async def test_an_app_attests_a_key_once(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        await attest(it, workload)
        with pytest.raises(Replayed) as refused:
            await attest(it, workload)
        assert refused.value.reason is Reason.COUNTER_NOT_RISING


async def test_an_assertion_may_bind_a_new_key_of_the_app(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        await attest(it, workload)
        later = asserting(replace(workload, agent=Agent(id=workload.agent.id, host=OTHER)), 1)
        outcome = await attest(it, later)
        assert outcome.bound.jkt == OTHER.jwk.thumbprint


async def test_an_assertion_by_a_key_that_was_never_attested_is_refused(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserting(workload, 1))
        assert (refused.value.reason, refused.value.step) == (Reason.KEY_UNKNOWN, 16)


async def test_an_assertion_for_another_app_is_refused(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        await attest(it, workload)
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserting(workload, 1, app_id="TEAM123456.com.example.evil"))
        assert (refused.value.reason, refused.value.step) == (Reason.APP_MISMATCH, 15)


async def test_a_tpms_evidence_is_kept_too(tmp_path: Path) -> None:
    async with installation(tmp_path / "state", appraisal=appraisal_policy()) as it:
        agent = await it.agent()
        kept = await it.store.evidence(Jkt(agent.jkt))
        assert kept is not None and kept.kind is EvidenceKind.TPM2


# --- Azure on Intel hardware ----------------------------------------------------------------------


async def test_an_azure_td_ends_in_a_token_too(tmp_path: Path) -> None:
    machine = Machine()
    runtime = runtime_data(machine.ak)
    digest = hashlib.sha256(runtime).digest() + bytes(32)

    def collect(key: Any, nonce: bytes) -> Any:
        return azure_cvm.encode(
            hcl_report=hcl_report(td_report(digest), runtime, kind=TDX, version=2),
            quote=machine.quote(nonce=nonce),
            pcrs=PCRS,
            td_quote=Td().quote(report_data=digest),
            collateral=collateral(),
            certify=machine.certify(nonce=nonce),
            key_public=machine.host.key_area.sized,
        )

    workload = replace(
        WORKLOADS["azure-cvm"](tmp_path), policy=machine.td_policy(), collect=collect
    )
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        said = payload((await it.exchange(workload.agent)).access_token)["cnf"]["residency"]
        assert (said["kind"], said["hardware"]) == ("azure-cvm", True)
        assert (said["protection"], said["result"]) == ("measured-code", outcome.id)
