"""Attestations over the service, by somebody who has good evidence, though not for this."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.errors import Conflict, EvidenceRejected, Reason
from keystead.jose.jwk import PublicJwk
from keystead.model import AuditAction, EvidenceKind, Freshness, Jkt
from keystead.service import reappraisal
from tests import workload_tokens
from tests.evidence_builder import Host
from tests.exchange_parts import ISSUER
from tests.kind_parts import WORKLOADS, Workload
from tests.unit.service.test_attestation_kinds import asserting, attest, register, service


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
