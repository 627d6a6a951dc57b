"""Attestations over the service, by somebody who has good evidence, though not for this."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.appraisal.result import facts
from keystead.binding import attested
from keystead.binding.app_attest import client_data_for
from keystead.binding.attested import Question
from keystead.binding.oidc import audience_for
from keystead.errors import Conflict, EvidenceRejected, KeysteadError, Reason, Refused, Replayed
from keystead.evidence import app_attest
from keystead.evidence.envelope import parse_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import AuditAction, EvidenceKind, Freshness, Jkt
from keystead.service import reappraisal
from keystead.service.affirmation import Outcome
from tests import workload_tokens
from tests.app_attest_builder import APP_ID, Device
from tests.device_chains import curve_key
from tests.evidence_builder import Host
from tests.exchange_parts import ISSUER
from tests.kind_parts import WORKLOADS, Workload
from tests.service_parts import Agent
from tests.software_hardware import SoftwareTpm
from tests.unit.service.test_attestation_kinds import (
    OTHER,
    asserting,
    attest,
    register,
    service,
    submit,
)


def bearer(folder: Path, **claims: Any) -> Workload:
    """A workload with a token of Entra ID, whose audience it does not choose."""
    workload_tokens.write_keys(folder)

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        made = workload_tokens.platform_claims("azure", **claims)
        return {"token": workload_tokens.sign(made)}

    return replace(
        WORKLOADS["oidc"](folder),
        policy=workload_tokens.oidc_policy("azure", folder=folder, keys='jwks_file = "jwks.json"'),
        collect=collect,
        selectors={
            "anchor": (workload_tokens.ENTRA,),
            "claims.oid": (workload_tokens.PLATFORM_CLAIMS["azure"]["oid"],),
        },
    )


def with_rules_of(other: Workload, workload: Workload) -> Workload:
    """``workload`` with the key of ``other``, under a policy that has rules for both."""
    rules = {
        name: getattr(other.policy, name)
        for name in (kind.value.replace("-", "_") for kind in other.policy.kinds)
    }
    return replace(workload, policy=replace(workload.policy, **rules), agent=other.agent)


# --- what a refusal ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iat": -3_600, "nbf": -3_600, "exp": -60}, Reason.EXPIRED),
        ({"iat": 600, "nbf": 600, "exp": 3_600}, Reason.NOT_YET_VALID),
        ({"iat": -1_200, "nbf": -1_200, "exp": 3_600}, Reason.EVIDENCE_TOO_OLD),
    ],
)
async def test_a_token_at_the_wrong_time_ends_no_binding(
    claims: dict[str, int], reason: Reason, tmp_path: Path
) -> None:
    """Platforms hand out tokens that they have kept: such a one says nothing of the workload."""
    workload = bearer(tmp_path)
    times = {name: workload.now + value for name, value in claims.items()}
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, replace(workload, collect=bearer(tmp_path, **times).collect))
        assert refused.value.reason is reason
        assert await it.store.binding(Jkt(workload.agent.jkt)) == outcome.bound


async def test_an_assertion_that_was_overtaken_ends_no_binding(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        await attest(it, workload)
        outcome = await attest(it, asserting(workload, 6))
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserting(workload, 5))
        assert refused.value.reason is Reason.COUNTER_NOT_RISING
        assert await it.store.binding(Jkt(workload.agent.jkt)) == outcome.bound


# --- one key, two kinds ---------------------------------------------------------------------------


async def test_the_newest_evidence_says_what_a_key_is_and_the_older_is_not_kept(
    tmp_path: Path,
) -> None:
    """A key in measured code, then shown by a bearer's token: what was proved first is over."""
    guest = WORKLOADS["sev-snp"](tmp_path)
    now = guest.now
    job = with_rules_of(guest, bearer(tmp_path, iat=now, nbf=now, exp=now + 300))
    guest = replace(guest, policy=job.policy)
    async with service(tmp_path, guest) as it:
        await register(it, guest)
        await register(it, job)
        await attest(it, guest)
        outcome = await attest(it, job)
        said = outcome.bound.residency
        assert (said.kind, said.hardware, said.freshness) == (
            EvidenceKind.OIDC,
            False,
            Freshness.BEARER,
        )
        assert await it.store.binding(Jkt(guest.agent.jkt)) == outcome.bound
        assert await it.store.evidence(Jkt(guest.agent.jkt)) is None
        _first, second = await it.events(AuditAction.ATTESTATION_AFFIRMED)
        assert (second.kind, second.detail["hardware"]) == ("oidc", "false")
        again = await reappraisal.apply(it.store, policy=job.policy, issuer=ISSUER, clock=it.clock)
        assert again == {reappraisal.Outcome.NOT_KEPT: 1}


# --- templates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken_by", ["host", "host's workload", "selected"])
async def test_a_repositorys_name_makes_nobody_elses_id(taken_by: str, tmp_path: Path) -> None:
    """Who may call a repository as he likes would be the machine, or the workload, of that name."""
    workload = WORKLOADS["oidc"](tmp_path)
    theirs = "spiffe://example.org/host/rocket"
    async with service(tmp_path, workload) as it:
        selectors = {**workload.selectors, "profile": ("github-actions",)}
        name = "spiffe://example.org/host/{repository.name}"
        await it.register(name, parent="", kind="oidc", selectors=selectors)
        if taken_by == "host":
            await it.enrol(Host.make(), theirs)
        elif taken_by == "host's workload":
            await it.enrol(Host.make())
            await it.register(theirs)
        else:
            await register(it, workload, selectors={**selectors, "claims.repository_id": ("75",)})
            await it.register(
                theirs, parent="", kind="sev-snp", selectors={"measurements.measurement": ("00",)}
            )
        with pytest.raises(Conflict) as refused:
            await attest(it, workload)
        assert refused.value.reason is Reason.CONFLICT
        assert await it.store.binding(Jkt(workload.agent.jkt)) is None


async def test_a_workload_that_an_entry_names_may_have_that_id_by_a_template_too(
    tmp_path: Path,
) -> None:
    workload = WORKLOADS["oidc"](tmp_path)
    async with service(tmp_path, workload) as it:
        selectors = {**workload.selectors, "profile": ("github-actions",)}
        name = "spiffe://example.org/ci/{repository.name}"
        shorter = await it.register(
            name, parent="", kind="oidc", selectors=selectors, binding_ttl_s=600
        )
        await it.register(
            "spiffe://example.org/ci/rocket", parent="", kind="oidc", selectors=selectors
        )
        assert (await attest(it, workload)).bound.entry == shorter.id


# --- what may be used once, twice at a time -------------------------------------------------------


async def both(*attestations: Awaitable[Outcome]) -> list[KeysteadError]:
    """Whoever was refused, of several at once."""
    answers = await asyncio.gather(*attestations, return_exceptions=True)
    return [each for each in answers if isinstance(each, KeysteadError)]


async def test_of_two_who_show_one_bearers_token_at_once_one_is_bound(tmp_path: Path) -> None:
    owner = bearer(tmp_path)
    thief = replace(owner, agent=Agent(id=owner.agent.id, host=OTHER))
    async with service(tmp_path, owner) as it:
        await register(it, owner)
        (refused,) = await both(attest(it, owner), attest(it, thief))
        assert isinstance(refused, Replayed)
        assert refused.reason is Reason.EVIDENCE_REPLAYED
        assert len(await it.store.bindings(live_at=it.clock.at)) == 1


async def test_another_token_with_the_same_jti_is_a_replay(tmp_path: Path) -> None:
    owner = bearer(tmp_path, jti="1")
    async with service(tmp_path, owner) as it:
        await register(it, owner)
        await attest(it, owner)
        later = bearer(tmp_path, jti="1", iat=owner.now + 1)
        it.clock.at += 2
        with pytest.raises(Replayed):
            await attest(it, replace(owner, collect=later.collect))


async def test_of_two_assertions_with_one_counter_at_once_one_is_accepted(tmp_path: Path) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    other = replace(workload, agent=Agent(id=workload.agent.id, host=OTHER))
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        await attest(it, workload)
        (refused,) = await both(attest(it, asserting(workload, 9)), attest(it, asserting(other, 9)))
        assert refused.reason is Reason.COUNTER_NOT_RISING
        assert await it.store.counter(Device().key_id) == 9


# --- one device's evidence with another's ---------------------------------------------------------

NEIGHBOUR = Device(key=curve_key("neighbour", ec.SECP256R1))


def asserted_by(workload: Workload, device: Device, *, key_id: bytes, app_id: str) -> Workload:
    """An assertion that ``device`` signed, said to be by the key called ``key_id``."""

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        data = client_data_for(key, issuer=ISSUER, nonce=nonce)
        return app_attest.encode_assertion(
            assertion=device.assertion(data, counter=5, app_id=app_id),
            key_id=key_id,
            client_data=data,
        )

    return replace(workload, collect=collect)


@pytest.mark.parametrize(
    ("device", "named", "reason"),
    [
        (NEIGHBOUR, Device(), Reason.EVIDENCE_SIGNATURE),
        (Device(), NEIGHBOUR, Reason.KEY_UNKNOWN),
        (NEIGHBOUR, NEIGHBOUR, Reason.KEY_UNKNOWN),
    ],
    ids=["its name", "its signature", "never attested"],
)
async def test_a_devices_attestation_is_no_other_devices(
    device: Device, named: Device, reason: Reason, tmp_path: Path
) -> None:
    workload = WORKLOADS["app-attest"](tmp_path)
    thief = replace(workload, agent=Agent(id=workload.agent.id, host=OTHER))
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        outcome = await attest(it, workload)
        with pytest.raises(EvidenceRejected) as refused:
            await attest(it, asserted_by(thief, device, key_id=named.key_id, app_id=APP_ID))
        assert (refused.value.reason, refused.value.step) == (reason, 16)
        assert await it.store.binding(Jkt(OTHER.jwk.thumbprint)) is None
        assert await it.store.binding(Jkt(workload.agent.jkt)) == outcome.bound


async def test_an_app_that_the_policy_names_no_more_asserts_nothing(tmp_path: Path) -> None:
    """Its attestation is still kept; the policy has another app of the same maker now."""
    workload, tpm = WORKLOADS["app-attest"](tmp_path), SoftwareTpm()
    other = "TEAM123456.com.example.other"
    apps = {hashlib.sha256(other.encode()).digest(): other}
    later = replace(workload, policy=Device().policy(apps=apps))
    async with service(tmp_path, workload, tpm=tpm) as it:
        await register(it, workload)
        await attest(it, workload)
    async with service(tmp_path, later, tpm=tpm) as it:
        await register(it, workload, selectors={"app_id": (other,)})
        for app_id in (APP_ID, other):
            with pytest.raises(EvidenceRejected) as refused:
                await attest(
                    it, asserted_by(later, Device(), key_id=Device().key_id, app_id=app_id)
                )
            assert (refused.value.reason, refused.value.step) == (Reason.APP_MISMATCH, 5)


# --- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_what_evidence_claims_stands_in_no_fact_of_the_appraisal(
    kind: str, tmp_path: Path
) -> None:
    """Selectors name facts: what an appraiser says of the chain is nothing that evidence can."""
    workload = WORKLOADS[kind](tmp_path)
    nonce, key = bytes(32), workload.agent.host.jwk
    submission = parse_envelope(workload.envelope(nonce))
    asked = Question(policy=workload.policy, issuer=ISSUER, nonce=nonce, now=workload.now)
    result = attested.attest(submission, asked).result
    own = {"anchor", "anchor_class", "pcrs", "measurements", "ek", "secure_boot"}
    assert own.isdisjoint(result.claims)
    assert own.isdisjoint({"reset_count", "restart_count", "clock_safe"} & set(result.claims))
    told = facts(result)
    assert (told["anchor"], told["anchor_class"]) == (result.anchor, result.anchor_class.value)
    assert key.thumbprint not in told.values()


FORGED = {
    "anchor": workload_tokens.GITHUB,
    "profile": "github-actions",
    "claims": {"repository_id": "74"},
    "claims.repository_id": "74",
}
RULE = """sub = "any"\nproject = ["rocket"]
anchor = "any"\nprofile = "any"\n"claims.repository_id" = "any"
"""


@pytest.mark.parametrize("anchor", [workload_tokens.GITHUB, workload_tokens.COMPANY])
async def test_claims_of_an_issuers_own_naming_forge_no_fact(anchor: str, tmp_path: Path) -> None:
    workload_tokens.write_keys(tmp_path)

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        audience = audience_for(key, issuer=ISSUER, nonce=nonce)
        claims = workload_tokens.platform_claims("other", aud=audience) | FORGED
        return {"token": workload_tokens.sign(claims)}

    policy = workload_tokens.oidc_policy(
        "other", folder=tmp_path, rules=RULE, keys='jwks_file = "jwks.json"'
    )
    workload = replace(WORKLOADS["oidc"](tmp_path), collect=collect, policy=policy)
    async with service(tmp_path, workload) as it:
        selectors = {"claims.repository_id": ("74",), "anchor": (anchor,)}
        await register(it, workload, selectors=selectors)
        with pytest.raises(Refused) as refused:
            await attest(it, workload)
        assert refused.value.reason is Reason.NO_REGISTRATION_ENTRY
        named = {
            "anchor": (workload_tokens.COMPANY,),
            "profile": ("other",),
            "claims.profile": ("github-actions",),
            "claims.claims.repository_id": ("74",),
            "claims.sub": ("build-7",),
        }
        await register(it, workload, selectors=named)
        assert (await attest(it, workload)).bound.spiffe_id == workload.agent.id


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_spaces_are_not_kept_and_the_evidence_says_the_same_without_them(
    kind: str, tmp_path: Path
) -> None:
    workload = WORKLOADS[kind](tmp_path)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        session = it.attestations.begin(workload.kind.value)
        envelope = workload.envelope(session.challenge.nonce)
        padded = envelope.replace(b"{", b"{" + b" " * 300_000, 1)
        await submit(session, workload, envelope=padded)
        kept = await it.store.evidence(Jkt(workload.agent.jkt))
        assert kept is not None and len(kept.envelope) <= len(envelope)
        assert parse_envelope(kept.envelope) == parse_envelope(envelope)
        again = await reappraisal.apply(
            it.store, policy=workload.policy, issuer=ISSUER, clock=it.clock
        )
        assert again == {reappraisal.Outcome.STAYS: 1}


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["oidc", "maa"])
async def test_nothing_that_is_shown_has_the_token_in_it(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    workload = WORKLOADS[kind](tmp_path)
    caplog.set_level(logging.DEBUG)
    async with service(tmp_path, workload) as it:
        await register(it, workload)
        session = it.attestations.begin(workload.kind.value)
        envelope = workload.envelope(session.challenge.nonce)
        token = parse_envelope(envelope).evidence["token"]
        assert isinstance(token, str)
        outcome = await submit(session, workload, envelope=envelope)
        with pytest.raises(Replayed) as refused:
            await submit(session, workload, envelope=envelope)
        kept = await it.store.evidence(Jkt(workload.agent.jkt))
        assert kept is not None and token.encode() in kept.envelope
        shown = [parse_envelope(envelope), session, outcome, kept, *await it.events()]
        told = "".join(repr(each) for each in shown) + str(refused.value) + caplog.text
        told += "".join(capfd.readouterr())
        assert not [part for part in token.split(".")[1:] if part in told]
