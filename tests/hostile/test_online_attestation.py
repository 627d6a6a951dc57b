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

from keystead.binding.app_attest import client_data_for
from keystead.errors import EvidenceRejected, KeysteadError, Reason, Refused, Replayed
from keystead.evidence import app_attest
from keystead.evidence.envelope import parse_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import AuditAction, EvidenceKind, Freshness, Jkt
from keystead.service import reappraisal
from keystead.service.affirmation import Outcome
from tests import workload_tokens
from tests.app_attest_builder import APP_ID, Device
from tests.device_chains import curve_key
from tests.exchange_parts import ISSUER, POLICY
from tests.kind_parts import WORKLOADS, Workload
from tests.service_parts import Agent, Clock, installation
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


async def test_a_grant_of_a_better_key_is_not_renewed_for_what_it_has_become(
    tmp_path: Path,
) -> None:
    """The delegation policy wants measured code; later the same key is a bearer's."""
    guest = WORKLOADS["sev-snp"](tmp_path)
    now = guest.now
    job = with_rules_of(guest, bearer(tmp_path, iat=now, nbf=now, exp=now + 300))
    async with installation(
        tmp_path / "state", clock=Clock(at=now), appraisal=job.policy, delegation=POLICY
    ) as it:
        await register(it, guest)
        await register(it, job)
        await attest(it, guest)
        issued = await it.exchange(guest.agent)
        await attest(it, job)
        with pytest.raises(Refused) as refused:
            await it.exchange(guest.agent)
        assert refused.value.reason is Reason.RESIDENCY_INSUFFICIENT
        with pytest.raises(Refused) as refused:
            await it.renew(guest.agent, issued.refresh_token)
        assert refused.value.reason is Reason.RESIDENCY_INSUFFICIENT


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
