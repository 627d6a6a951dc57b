from dataclasses import replace

import pytest

from keystead.errors import Conflict, KeysteadError, Malformed, Reason, Refused
from keystead.identity.entries import (
    MAX_BINDING_TTL_S,
    MAX_LABELS,
    MAX_PCR_ALTERNATIVES,
    MIN_BINDING_TTL_S,
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


def match(*entries: RegistrationEntry, **changes: object) -> RegistrationEntry:
    facts = {"host": HOST, "ek": EK, "kind": EvidenceKind.TPM2, "pcrs": PCRS, **changes}
    return match_entry(entries, **facts)


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
