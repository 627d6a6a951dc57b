"""What another policy makes of bindings that stand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal.policy import AppraisalPolicy
from keystead.binding.oidc import audience_for
from keystead.errors import Reason, Unavailable
from keystead.jose.jwk import PublicJwk
from keystead.model import AnchorClass, AuditAction, EvidenceKind, Jkt
from keystead.service import reappraisal
from keystead.service.reappraisal import Outcome, Verdict
from keystead.storage import SqliteReader
from tests import workload_tokens
from tests.evidence_builder import anchor_set, appraisal_policy
from tests.exchange_parts import AGENT, ISSUER, POLICY
from tests.kind_parts import WORKLOADS, Workload
from tests.service_parts import Clock, Installation, installation
from tests.snp_builder import MEASUREMENT, Guest
from tests.unit.service.test_attestation_kinds import asserting, attest, register

ANY_KEY = POLICY.partition('@id("measured")')[0]


@asynccontextmanager
async def service(folder: Path, workload: Workload) -> AsyncIterator[Installation]:
    async with installation(
        folder / "state",
        clock=Clock(at=workload.now),
        appraisal=workload.policy,
        delegation=ANY_KEY,
    ) as it:
        await register(it, workload)
        await attest(it, workload)
        yield it


def look(it: Installation, folder: Path, policy: AppraisalPolicy) -> list[Verdict]:
    reader = SqliteReader.open(folder / "state" / "keystead.sqlite3")
    try:
        return list(reappraisal.look(reader, policy=policy, issuer=ISSUER, now=it.clock.now()))
    finally:
        reader.close()


async def apply(it: Installation, policy: AppraisalPolicy) -> dict[Outcome, int]:
    return dict(await reappraisal.apply(it.store, policy=policy, issuer=ISSUER, clock=it.clock))


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_the_same_policy_changes_nothing(kind: str, tmp_path: Path) -> None:
    workload = WORKLOADS[kind](tmp_path)
    async with service(tmp_path, workload) as it:
        before = await it.store.binding(Jkt(workload.agent.jkt))
        it.clock.at += 1_800
        newer = replace(workload.policy, version=9)
        (verdict,) = look(it, tmp_path, newer)
        assert (verdict.outcome, verdict.error) == (Outcome.STAYS, None)
        assert await apply(it, newer) == {Outcome.STAYS: 1}
        assert await it.store.binding(Jkt(workload.agent.jkt)) == before


async def test_a_tpm_is_asked_again_without_its_credential(tmp_path: Path) -> None:
    async with installation(tmp_path / "state", appraisal=appraisal_policy()) as it:
        agent = await it.agent()
        assert await apply(it, appraisal_policy()) == {Outcome.STAYS: 1}
        emulated = appraisal_policy(anchors=anchor_set(AnchorClass.EMULATED))
        (verdict,) = look(it, tmp_path, emulated)
        assert verdict.error is not None and verdict.error.reason is Reason.STANDING_CHANGED
        assert await apply(it, emulated) == {Outcome.ENDS: 1}
        assert await it.store.binding(Jkt(agent.jkt)) is None


async def test_an_assertion_is_asked_again_with_its_attestation(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await attest(it, asserting(workload, 7))
        assert await apply(it, workload.policy) == {Outcome.STAYS: 1}
        rules = workload.policy.app_attest
        assert rules is not None
        others = replace(workload.policy, app_attest=replace(rules, apps={}))
        (verdict,) = look(it, tmp_path, others)
        assert verdict.error is not None
        assert (verdict.error.reason, verdict.error.step) == (Reason.APP_MISMATCH, 5)


def stricter(**rules: Any) -> AppraisalPolicy:
    pinned: dict[str, Any] = {"measurements": frozenset({MEASUREMENT}), "whole_image": True}
    return Guest().policy(**(pinned | rules))


@pytest.mark.parametrize(
    ("policy", "reason", "step"),
    [
        (stricter(measurements=frozenset({bytes(48)})), Reason.MEASUREMENT_MISMATCH, 9),
        (stricter(whole_image=False), Reason.STANDING_CHANGED, None),
        (stricter(anchor_class=AnchorClass.EMULATED), Reason.STANDING_CHANGED, None),
        (WORKLOADS["aws-nitro"](Path()).policy, Reason.KIND_UNSUPPORTED, None),
    ],
    ids=["measurement", "protection", "hardware", "kind"],
)
async def test_what_the_policy_does_not_carry_is_told_first_and_ended_then(
    policy: AppraisalPolicy, reason: Reason, step: int | None, tmp_path: Path
) -> None:
    workload = WORKLOADS["sev-snp"](tmp_path)
    async with service(tmp_path, workload) as it:
        await it.exchange(workload.agent)
        (verdict,) = look(it, tmp_path, policy)
        assert verdict.outcome is Outcome.ENDS and verdict.error is not None
        assert (verdict.error.reason, verdict.error.step) == (reason, step)
        assert await it.store.binding(Jkt(workload.agent.jkt)) is not None, "only looked at"
        assert await apply(it, policy) == {Outcome.ENDS: 1}
        assert await it.store.binding(Jkt(workload.agent.jkt)) is None
        assert [grant.revoked_at for grant in await it.store.grants()] == [it.clock.at]
        (ended,) = await it.events(AuditAction.BINDING_ENDED)
        assert (ended.caller, ended.reason, ended.step) == (AGENT, reason.value, step)
        assert ended.detail["cause"] == "policy"
        assert await apply(it, policy) == {}, "asked again, it changes nothing"


async def test_a_shorter_age_cuts_the_binding_short(tmp_path: Path) -> None:
    workload = WORKLOADS["sev-snp"](tmp_path)
    async with service(tmp_path, workload) as it:
        it.clock.at += 100
        assert await apply(it, stricter(max_age_s=600)) == {Outcome.SHORTER: 1}
        bound = await it.store.binding(Jkt(workload.agent.jkt))
        assert bound is not None and bound.expires_at == workload.now + 600
        assert await apply(it, stricter(max_age_s=50)) == {Outcome.ENDS: 1}


async def test_a_bearers_token_cannot_be_asked_again(tmp_path: Path) -> None:
    workload_tokens.write_keys(tmp_path)
    token = workload_tokens.sign(workload_tokens.platform_claims("azure"))
    workload = replace(
        WORKLOADS["oidc"](tmp_path),
        policy=workload_tokens.oidc_policy(
            "azure", folder=tmp_path, keys='jwks_file = "jwks.json"'
        ),
        collect=lambda key, nonce: {"token": token},
        selectors={
            "anchor": (workload_tokens.ENTRA,),
            "claims.oid": (workload_tokens.PLATFORM_CLAIMS["azure"]["oid"],),
        },
    )
    async with service(tmp_path, workload) as it:
        assert await apply(it, workload.policy) == {Outcome.NOT_KEPT: 1}
        nobody = workload_tokens.oidc_policy("other", folder=tmp_path)
        assert await apply(it, nobody) == {Outcome.NOT_KEPT: 1}


@pytest.mark.parametrize("kind", ["oidc", "maa"])
async def test_a_token_verifies_by_the_key_that_was_kept_with_it(kind: str, tmp_path: Path) -> None:
    """Its issuer has other keys by now, and is not asked."""
    made = WORKLOADS[kind](tmp_path)
    policy = (workload_tokens.oidc_policy if kind == "oidc" else workload_tokens.maa_policy)()
    workload = replace(made, policy=policy)
    async with installation(
        tmp_path / "state", clock=Clock(at=workload.now), appraisal=policy
    ) as it:
        await register(it, workload)
        it.provider.document = (tmp_path / "jwks.json").read_bytes()
        await attest(it, workload)
        fetches = it.provider.fetches
        assert await apply(it, policy) == {Outcome.STAYS: 1}
        assert it.provider.fetches == fetches


async def test_an_entry_that_fits_no_more_ends_the_binding(tmp_path: Path) -> None:
    """The policy says which claims of an unknown platform count; its entry names one more."""
    workload_tokens.write_keys(tmp_path)
    where = {"folder": tmp_path, "keys": 'jwks_file = "jwks.json"'}

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        audience = audience_for(key, issuer=ISSUER, nonce=nonce)
        return {
            "token": workload_tokens.sign(workload_tokens.platform_claims("other", aud=audience))
        }

    workload = replace(
        WORKLOADS["oidc"](tmp_path),
        policy=workload_tokens.oidc_policy("other", **where),
        collect=collect,
        selectors={
            "anchor": (workload_tokens.COMPANY,),
            "claims.sub": ("build-7",),
            "claims.project": ("rocket",),
        },
    )
    async with service(tmp_path, workload) as it:
        assert await apply(it, workload.policy) == {Outcome.STAYS: 1}
        fewer = workload_tokens.oidc_policy("other", rules='sub = ["build-7"]', **where)
        (verdict,) = look(it, tmp_path, fewer)
        assert verdict.error is not None
        assert verdict.error.reason is Reason.NO_REGISTRATION_ENTRY
        assert await apply(it, fewer) == {Outcome.ENDS: 1}


async def test_pages_are_transactions_and_all_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reappraisal, "PAGE", 2)
    async with installation(tmp_path / "state", appraisal=appraisal_policy()) as it:
        for number in range(5):
            await it.agent(
                f"spiffe://example.org/agent/{number}",
                name=f"host{number}",
                parent=f"spiffe://example.org/host/{number}",
            )
        nothing = AppraisalPolicy(id="other", version=1)
        assert len(look(it, tmp_path, nothing)) == 5
        it.store.fails = lambda events: len(await_ended(events)) == 1
        with pytest.raises(Unavailable):
            await apply(it, nothing)
        assert len(await it.events(AuditAction.BINDING_ENDED)) == 4
        it.store.fails = lambda events: False
        assert await apply(it, nothing) == {Outcome.ENDS: 1}
        assert await it.store.bindings(live_at=it.clock.at) == ()


def await_ended(events: Any) -> list[Any]:
    return [event for event in events if event.action is AuditAction.BINDING_ENDED]


async def test_kinds_are_those_that_have_rules() -> None:
    assert appraisal_policy().kinds == {EvidenceKind.TPM2}
    assert AppraisalPolicy(id="none", version=1).kinds == frozenset()
