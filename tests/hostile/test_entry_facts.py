"""Names that evidence would choose for itself, and what selectors and templates make of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal.result import facts
from keystead.binding import attested
from keystead.binding.attested import Question
from keystead.binding.oidc import audience_for
from keystead.errors import Conflict, Reason, Refused
from keystead.evidence.envelope import parse_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import Jkt
from tests import workload_tokens
from tests.evidence_builder import Host
from tests.exchange_parts import ISSUER
from tests.kind_parts import WORKLOADS
from tests.unit.service.test_attestation_kinds import (
    attest,
    register,
    service,
)

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


# --- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_what_evidence_claims_stands_in_no_fact_of_the_appraisal(
    kind: str, tmp_path: Path
) -> None:
    """Selectors name facts: what an appraiser says of the chain is nothing that evidence can."""
    workload = WORKLOADS[kind](tmp_path)
    nonce = bytes(32)
    submission = parse_envelope(workload.envelope(nonce))
    asked = Question(policy=workload.policy, issuer=ISSUER, nonce=nonce, now=workload.now)
    result = attested.attest(submission, asked).result
    own = {"anchor", "anchor_class", "pcrs", "measurements", "ek", "secure_boot"}
    own |= {"reset_count", "restart_count", "clock_safe"}
    assert own.isdisjoint(result.claims)
    told = facts(result)
    assert (told["anchor"], told["anchor_class"]) == (result.anchor, result.anchor_class.value)


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
