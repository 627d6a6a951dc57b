from dataclasses import replace
from typing import Any

import pytest

from keystead.errors import BindingRejected, Conflict, KeysteadError, Malformed, Reason, Refused
from keystead.identity.entries import (
    IDENTIFYING,
    MAX_BINDING_TTL_S,
    MAX_LABELS,
    MAX_PCR_ALTERNATIVES,
    MAX_SELECTOR_VALUES,
    MAX_SELECTORS,
    MIN_BINDING_TTL_S,
    Shown,
    check_entry,
    match_entry,
    with_id,
)
from keystead.model import EkId, EnrolledHost, EvidenceKind, RegistrationEntry, SpiffeId

EK = EkId("ek-1")
ZERO, ONE = "00" * 32, "11" * 32
PCRS = {"sha256": {7: ZERO, 11: ONE}}
HOST = EnrolledHost(
    ek=EK,
    ek_public_name="000b",
    spiffe_id=SpiffeId("spiffe://example.org/host/1"),
    labels=(("site", "north"), ("tier", "prod")),
    enrolled_at=1,
    enrolled_by="operator",
)
ENTRY = RegistrationEntry(
    id="entry-1",
    spiffe_id=SpiffeId("spiffe://example.org/agent/a"),
    parent=HOST.spiffe_id,
    kind=EvidenceKind.TPM2,
    ek=EK,
    pcrs={"sha256": {7: (ONE, ZERO)}},
    labels=(("tier", "prod"),),
    binding_ttl_s=3_600,
    created_at=1,
    created_by="operator",
)
OTHER = replace(ENTRY, id="entry-2", spiffe_id=SpiffeId("spiffe://example.org/agent/b"))


def match(*entries: RegistrationEntry, **changes: Any) -> RegistrationEntry:
    told: dict[str, Any] = {"host": HOST, "ek": EK, "pcrs": PCRS, **changes}
    shown = Shown(kind=EvidenceKind.TPM2, ek=told["ek"], pcrs=told["pcrs"])
    return match_entry(
        entries, shown=shown, host=told["host"], requested=told.get("requested")
    ).entry


def reason_of(*entries: RegistrationEntry, **changes: object) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        match(*entries, **changes)
    assert isinstance(caught.value, Refused | Conflict)
    return caught.value.reason


def test_gives_the_entry_whose_demands_are_met() -> None:
    assert match(ENTRY) is ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"ek": EkId("ek-2")},
        {"parent": SpiffeId("spiffe://example.org/host/2")},
        {"labels": (("tier", "test"),)},
        {"labels": (("tier", "prod"), ("rack", "9"))},
        {"pcrs": {"sha256": {7: (ONE,)}}},
        {"pcrs": {"sha256": {8: (ZERO,)}}},
        {"pcrs": {"sha384": {7: ("00" * 48,)}}},
        {"pcrs": {"sha256": {7: (ZERO,), 11: (ZERO,)}}},
    ],
)
def test_one_unmet_demand_is_no_match(change: dict[str, object]) -> None:
    assert reason_of(replace(ENTRY, **change)) is Reason.NO_REGISTRATION_ENTRY


def test_pcrs_and_labels_alone_never_match_an_unpinned_ek() -> None:
    stranger = EkId("ek-of-a-bench")
    assert reason_of(ENTRY, ek=stranger) is Reason.EK_MISMATCH
    host = replace(HOST, ek=stranger)
    assert reason_of(ENTRY, ek=stranger, host=host) is Reason.NO_REGISTRATION_ENTRY


def test_labels_may_be_all_of_the_hosts_or_none() -> None:
    for labels in ((), HOST.labels):
        entry = replace(ENTRY, labels=labels)
        assert match(entry) is entry


def test_no_entry_is_refused() -> None:
    assert reason_of() is Reason.NO_REGISTRATION_ENTRY


def test_several_ids_without_a_request_conflict_and_are_named() -> None:
    with pytest.raises(Conflict) as caught:
        match(ENTRY, OTHER)
    assert "entry-1, entry-2" in caught.value.detail


def test_a_request_chooses_among_what_matches_anyway() -> None:
    assert match(ENTRY, OTHER, requested=OTHER.spiffe_id) is OTHER
    stranger = SpiffeId("spiffe://example.org/agent/c")
    assert reason_of(ENTRY, OTHER, requested=stranger) is Reason.NO_REGISTRATION_ENTRY
    elsewhere = replace(OTHER, ek=EkId("ek-2"))
    wanted = reason_of(ENTRY, elsewhere, requested=OTHER.spiffe_id)
    assert wanted is Reason.NO_REGISTRATION_ENTRY


def test_two_entries_of_one_id_give_the_shorter_binding() -> None:
    shorter = replace(ENTRY, id="entry-9", pcrs={}, binding_ttl_s=60)
    assert match(ENTRY, shorter) is shorter


def test_accepts_a_good_entry() -> None:
    check_entry(ENTRY, trust_domain="example.org")
    for ttl_s in (MIN_BINDING_TTL_S, MAX_BINDING_TTL_S):
        check_entry(replace(ENTRY, binding_ttl_s=ttl_s), trust_domain="example.org")
    check_entry(with_id(ENTRY, "another"), trust_domain="example.org")
    most = replace(
        ENTRY,
        pcrs={"sha256": {0: (ZERO,) * MAX_PCR_ALTERNATIVES, 23: (ONE,)}},
        labels=tuple((f"{n:02}", "x" * 254) for n in range(MAX_LABELS)),
    )
    check_entry(most, trust_domain="example.org")


@pytest.mark.parametrize(
    ("change", "reason", "step"),
    [
        ({"id": ""}, Reason.PARAMETER_INVALID, 1),
        ({"id": "a/b"}, Reason.PARAMETER_INVALID, 1),
        ({"spiffe_id": "spiffe://other.org/a"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"spiffe_id": "spiffe://example.org"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"spiffe_id": "spiffe://example.org/../a"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"parent": "spiffe://other.org/host"}, Reason.SPIFFE_ID_INVALID, 3),
        ({"parent": ENTRY.spiffe_id}, Reason.PARAMETER_INVALID, 3),
        ({"parent": None}, Reason.PARAMETER_INVALID, 3),
        ({"ek": None}, Reason.PARAMETER_INVALID, 3),
        ({"template": "/ci/{sub}"}, Reason.PARAMETER_INVALID, 2),
        ({"binding_ttl_s": MIN_BINDING_TTL_S - 1}, Reason.PARAMETER_INVALID, 4),
        ({"binding_ttl_s": MAX_BINDING_TTL_S + 1}, Reason.PARAMETER_INVALID, 4),
        ({"pcrs": {"sha1": {7: ("00" * 20,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {24: (ZERO,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {-1: (ZERO,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {7: ()}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {7: (ZERO,) * (MAX_PCR_ALTERNATIVES + 1)}}}, None, 5),
        ({"pcrs": {"sha256": {7: ("00" * 31,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha256": {7: ("AA" * 32,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"pcrs": {"sha384": {7: (ZERO,)}}}, Reason.PARAMETER_INVALID, 5),
        ({"labels": (("", "x"),)}, Reason.PARAMETER_INVALID, 6),
        ({"labels": (("a", "x" * 256),)}, Reason.PARAMETER_INVALID, 6),
        ({"labels": (("a", "1"), ("a", "2"))}, Reason.PARAMETER_INVALID, 6),
        ({"labels": tuple((str(i), "") for i in range(MAX_LABELS + 1))}, None, 6),
    ],
)
def test_rejects_an_entry_wrong_in_one_thing(
    change: dict[str, object], reason: Reason | None, step: int
) -> None:
    with pytest.raises(Malformed) as caught:
        check_entry(replace(ENTRY, **change), trust_domain="example.org")
    assert (caught.value.reason, caught.value.step) == (reason or Reason.PARAMETER_INVALID, step)


# --- evidence other than a TPM's -----------------------------------------------------------------

GITHUB = "https://token.actions.githubusercontent.com"
FACTS = {
    "anchor": GITHUB,
    "profile": "github-actions",
    "claims.repository": "acme/rocket",
    "claims.repository_id": "123",
    "claims.ref": "refs/heads/main",
}
JOB = replace(
    ENTRY,
    id="job",
    spiffe_id=SpiffeId("spiffe://example.org/ci/rocket"),
    parent=None,
    ek=None,
    kind=EvidenceKind.OIDC,
    pcrs={},
    labels=(),
    selectors={"anchor": (GITHUB,), "claims.repository_id": ("123", "124")},
)
TEMPLATE = replace(
    JOB,
    id="template",
    spiffe_id=SpiffeId("spiffe://example.org"),
    template="/ci/{repository.owner}/{repository.name}",
    selectors={**JOB.selectors, "profile": ("github-actions",)},
)


def job(*entries: RegistrationEntry, facts: dict[str, str] | None = None, **more: Any) -> Any:
    shown = Shown(kind=EvidenceKind.OIDC, facts=FACTS | (facts or {}))
    return match_entry(entries, shown=shown, **more)


def test_an_entry_matches_by_the_facts_that_it_selects() -> None:
    found = job(JOB)
    assert (found.entry, found.spiffe_id) == (JOB, JOB.spiffe_id)


@pytest.mark.parametrize(
    "facts", [{"anchor": "https://evil.example"}, {"claims.repository_id": ""}]
)
def test_one_other_fact_is_no_match(facts: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        job(JOB, facts=facts)
    assert refused.value.reason is Reason.NO_REGISTRATION_ENTRY


def test_a_fact_that_was_not_shown_matches_nothing() -> None:
    entry = replace(JOB, selectors={**JOB.selectors, "claims.environment": ("prod",)})
    with pytest.raises(Refused):
        job(entry)


def test_tokens_match_no_tpms_entry_and_tpms_no_tokens() -> None:
    with pytest.raises(Refused) as refused:
        job(ENTRY)
    assert refused.value.reason is Reason.NO_REGISTRATION_ENTRY
    assert reason_of(JOB) is Reason.NO_REGISTRATION_ENTRY
    shown = Shown(kind=EvidenceKind.TPM2, ek=None)
    with pytest.raises(Refused):
        match_entry([ENTRY, replace(ENTRY, ek=None, parent=None)], shown=shown, host=HOST)


def test_a_template_makes_the_id_of_the_claims() -> None:
    assert job(TEMPLATE).spiffe_id == "spiffe://example.org/ci/acme/rocket"
    found = job(TEMPLATE, requested=SpiffeId("spiffe://example.org/ci/acme/rocket"))
    assert found.entry is TEMPLATE
    with pytest.raises(Refused):
        job(TEMPLATE, requested=SpiffeId("spiffe://example.org/ci/acme/other"))


@pytest.mark.parametrize("repository", ["acme/../admin", "acme", "acme/rocket/x", "acme/a b", ""])
def test_a_claim_that_is_no_name_makes_no_id(repository: str) -> None:
    with pytest.raises(BindingRejected):
        job(TEMPLATE, facts={"claims.repository": repository})


def test_a_template_that_is_not_filled_stands_in_no_other_entrys_way() -> None:
    later = replace(TEMPLATE, id="later", template="/deployed/{environment}")
    twice = replace(TEMPLATE, id="twice", template="/{sha}/{sha}")
    for entries in ((JOB, later, twice), (later, twice, JOB)):
        facts = {"claims.sha": "a" * 1_020}
        assert job(*entries, facts=facts).entry is JOB
        assert job(*entries, facts=facts, requested=JOB.spiffe_id).entry is JOB


def test_a_template_and_an_id_that_both_match_conflict() -> None:
    with pytest.raises(Conflict):
        job(JOB, TEMPLATE)


def test_accepts_good_entries_of_every_kind() -> None:
    for entry in (JOB, TEMPLATE):
        check_entry(entry, trust_domain="example.org")
    for kind, names in IDENTIFYING.items():
        for name in names:
            made = replace(JOB, kind=kind, selectors={name: ("x",), "anchor": (GITHUB,)})
            check_entry(made, trust_domain="example.org")
    nitro = replace(
        JOB, kind=EvidenceKind.AWS_NITRO, selectors={}, pcrs={"sha384": {0: ("00" * 48,)}}
    )
    check_entry(nitro, trust_domain="example.org")


@pytest.mark.parametrize(
    ("change", "reason", "step"),
    [
        ({"template": "/ci/{nobody}/{x.y}"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"template": "/../{sub}"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"spiffe_id": "spiffe://other.org"}, Reason.SPIFFE_ID_INVALID, 2),
        ({"kind": EvidenceKind.SEV_SNP}, Reason.PARAMETER_INVALID, 2),
        ({"selectors": JOB.selectors}, Reason.PARAMETER_INVALID, 2),
        ({"parent": HOST.spiffe_id}, Reason.PARAMETER_INVALID, 3),
        ({"ek": EK}, Reason.PARAMETER_INVALID, 3),
        ({"labels": (("tier", "prod"),)}, Reason.PARAMETER_INVALID, 6),
    ],
)
def test_rejects_a_template_wrong_in_one_thing(
    change: dict[str, Any], reason: Reason, step: int
) -> None:
    with pytest.raises(Malformed) as caught:
        check_entry(replace(TEMPLATE, **change), trust_domain="example.org")
    assert (caught.value.reason, caught.value.step) == (reason, step)


@pytest.mark.parametrize(
    ("selectors", "step"),
    [
        ({**JOB.selectors, "bad name": ("x",)}, 7),
        ({**JOB.selectors, "": ("x",)}, 7),
        ({**JOB.selectors, "claims.ref": ()}, 7),
        ({**JOB.selectors, "claims.ref": ("",)}, 7),
        ({**JOB.selectors, "claims.ref": ("x" * 1_025,)}, 7),
        ({**JOB.selectors, "claims.ref": ("x",) * (MAX_SELECTOR_VALUES + 1)}, 7),
        ({f"claims.{n}": ("x",) for n in range(MAX_SELECTORS + 1)}, 7),
        ({}, 8),
        ({"anchor": (GITHUB,)}, 8),
        ({"anchor": (GITHUB,), "claims.ref": ("refs/heads/main",)}, 8),
        ({"claims.repository_id": ("123",)}, 8),
    ],
)
def test_rejects_selectors_that_are_wrong_or_name_nobody(
    selectors: dict[str, tuple[str, ...]], step: int
) -> None:
    with pytest.raises(Malformed) as caught:
        check_entry(replace(JOB, selectors=selectors), trust_domain="example.org")
    assert (caught.value.reason, caught.value.step) == (Reason.PARAMETER_INVALID, step)
