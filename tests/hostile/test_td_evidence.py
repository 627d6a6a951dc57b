"""TDX evidence that somebody made to hurt, or to pass for something else."""

import gc
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.pinned_anchors import INTEL_SGX
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tdx import appraise, conclude
from keystead.appraisal.verifier import appraise_saved
from keystead.binding.tdx import bind_key
from keystead.codec import base64url, json
from keystead.codec.dcap_collateral import MAX_LIST_BYTES
from keystead.codec.td_quote import parse_td_quote
from keystead.errors import BindingRejected, EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence.envelope import parse_envelope
from tests.azure_builder import Machine
from tests.device_chains import NOW
from tests.evidence_builder import Host
from tests.intel_builder import (
    PCK_CA,
    ROOT,
    certificate,
    collateral,
    key,
    pck,
    pck_ca,
    pck_chain,
    pem,
    revocation_list,
    root,
)
from tests.snp_builder import Guest
from tests.tdx_builder import ISSUER, NONCE, Td, named_key, policy, td_log, tdx_rules

TD, NEWER = Td(), Td(version=5, extended=True)
COLLATERAL = collateral()
POLICY = AppraisalPolicy(
    id="test",
    version=1,
    tdx=policy().tdx,
    sev_snp=Guest().policy().sev_snp,
    azure_cvm=Machine().td_policy().azure_cvm,
)
MEGABYTE = 1_000_000
CPU_S = 1.0
MEMORY_BYTES = 64_000_000


@contextmanager
def cheap() -> Iterator[None]:
    with soon(), small():
        yield


@contextmanager
def soon() -> Iterator[None]:
    """All of it runs on this thread; other threads of the tests' process have their own work, and
    what earlier tests left in memory is not the collector's to walk through here."""
    gc.collect()
    gc.freeze()
    try:
        began = time.thread_time()
        yield
        spent_s = time.thread_time() - began
    finally:
        gc.unfreeze()
    assert spent_s < CPU_S


@contextmanager
def small() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


def envelope(kind: str = "tdx", **members: Any) -> bytes:
    wanted = {"quote": base64url.encode(TD.quote()), "collateral": COLLATERAL} | members
    given = {name: value for name, value in wanted.items() if value is not None}
    return json.encode({"keystead_evidence": 1, "kind": kind, "evidence": given})


def look(data: bytes) -> Any:
    return appraise_saved(parse_envelope(data), policy=POLICY, now=NOW)


def told(data: bytes) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        look(data)
    return refused.value.reason, refused.value.step


def with_quote(quote: bytes) -> bytes:
    return envelope(quote=base64url.encode(quote))


def with_members(**changes: Any) -> bytes:
    return envelope(collateral=COLLATERAL | changes)


def test_the_good_one_is_good() -> None:
    with cheap():
        assert look(envelope()).hardware


# --- every region of a quote ---------------------------------------------------------------------

TYPE = (Reason.EVIDENCE_TYPE, None)
FORM = (Reason.MALFORMED, None)
CHAIN = (Reason.CHAIN_UNTRUSTED, 1)
QE_SIGNATURE = (Reason.EVIDENCE_SIGNATURE, 4)
QE_NAMES = (Reason.ENDORSEMENT_MISMATCH, 4)
SIGNATURE = (Reason.EVIDENCE_SIGNATURE, 6)
# Where each begins in a quote of version 4, and what a change in it is refused with.
HEAD: list[tuple[str, int, set[tuple[Reason, int | None]]]] = [
    ("version", 2, {FORM, SIGNATURE}),
    ("kind of key", 2, {FORM}),
    ("TEE", 4, {FORM}),
    ("reserved", 4, {SIGNATURE}),
    ("maker", 16, {FORM}),
    ("user data", 20, {SIGNATURE}),
    ("body", 584, {SIGNATURE}),
    ("size of the signature", 4, {FORM}),
    ("signature", 64, {SIGNATURE}),
    ("attestation key", 64, {QE_NAMES}),
    ("type of certification", 2, {FORM}),
    ("size of certification", 4, {FORM}),
    ("QE report", 384, {QE_SIGNATURE}),
    ("QE report's signature", 64, {QE_SIGNATURE}),
    ("size of authentication data", 2, {FORM}),
    ("authentication data", 32, {QE_NAMES}),
    ("type of chain", 2, {FORM}),
    ("size of chain", 4, {FORM}),
]


@pytest.mark.parametrize("name", [name for name, _, _ in HEAD])
def test_a_change_in_any_region_is_refused_by_its_step(name: str) -> None:
    quote = TD.quote()
    starts = [sum(size for _, size, _ in HEAD[:index]) for index in range(len(HEAD))]
    index = [each for each, _, _ in HEAD].index(name)
    start, size, expected = starts[index], HEAD[index][1], HEAD[index][2]
    for at in range(start, start + size, max(1, size // 16)):
        for bit in (0x01, 0x80):
            bent = quote[:at] + bytes([quote[at] ^ bit]) + quote[at + 1 :]
            assert told(with_quote(bent)) in expected


@pytest.mark.parametrize("who", ["leaf", "CA", "root"])
def test_a_change_in_any_certificate_is_refused(who: str) -> None:
    chain = pck_chain()
    blocks = chain.split(b"-----BEGIN CERTIFICATE-----\n")[1:]
    which = ["leaf", "CA", "root"].index(who)
    start = chain.index(blocks[which])
    for at in range(start + 8, start + len(blocks[which]) - 40, 37):
        if chain[at : at + 1].isalnum():
            other = b"A" if chain[at : at + 1] != b"A" else b"B"
            bent = chain[:at] + other + chain[at + 1 :]
            assert told(with_quote(TD.quote(chain=bent))) == CHAIN


def test_version_4_is_not_read_as_version_5_nor_the_other_way() -> None:
    older, newer = TD.quote(), NEWER.quote()
    for bent in (b"\x05" + older[1:], b"\x04" + newer[1:]):
        assert told(with_quote(bent)) == FORM
    both = Td(version=5).quote()
    assert told(with_quote(b"\x04" + both[1:48] + both[54:])) == SIGNATURE


@pytest.mark.parametrize("td", [TD, NEWER], ids=["4", "5"])
def test_cut_anywhere_it_is_malformed(td: Td) -> None:
    quote = td.quote()
    for size in range(len(quote)):
        with pytest.raises(Malformed):
            parse_td_quote(quote[:size])
    assert told(with_quote(quote[:-1])) == FORM


# --- parts of other evidence ---------------------------------------------------------------------


def test_parts_of_two_good_quotes_make_no_third() -> None:
    one, other = TD.quote(), TD.quote(report_data=b"\x01" * 64)
    assert told(with_quote(one[:632] + other[632:])) == SIGNATURE
    strange = TD.quote(qe_signer="other PCK", chain=pck_chain(pck()))
    assert told(with_quote(strange)) == QE_SIGNATURE


def test_another_platforms_chain_does_not_vouch_for_this_quote() -> None:
    another = pem(pck(public_key=key("other PCK").public_key()), pck_ca(), root())
    assert told(with_quote(TD.quote(chain=another))) == QE_SIGNATURE


def test_a_pck_made_by_a_pck_is_none() -> None:
    """A leaf's key is not a CA's, whatever its owner signs with it."""
    child = pck(issuer="PCK")
    for chain in (pem(child, pck(), root()), pem(child, pck(), pck_ca(), root())):
        assert told(with_quote(TD.quote(chain=chain))) == CHAIN


def test_one_kinds_evidence_is_no_others() -> None:
    machine = Machine()
    report = base64url.encode(Guest().report())
    td = {"td_quote": base64url.encode(TD.quote()), "collateral": COLLATERAL}
    mixed = (
        envelope("sev-snp"),
        envelope("azure-cvm"),
        envelope("aws-nitro"),
        envelope("tpm2"),
        envelope(quote=report),
        envelope(report=report),
        envelope(quote=None, document=report),
        envelope(quote=None, **td),
        envelope(quote=base64url.encode(machine.hcl())),
    )
    for data in mixed:
        with pytest.raises(Malformed):
            look(data)


def test_an_azure_tds_quote_names_no_key_of_a_workload() -> None:
    """As ``tdx`` it is a true quote, about the vTPM's keys; nothing is bound by it."""
    machine, workload = Machine(), Host.make().jwk
    found = machine.td_evidence()
    assert found.td is not None
    made = TD.evidence(quote=TD.quote(report_data=found.td.quote.report.report_data))
    result = conclude(appraise(made, policy=policy(), nonce=NONCE, now=NOW))
    with pytest.raises(BindingRejected) as refused:
        bind_key(made, result, key=workload, issuer=ISSUER, nonce=NONCE)
    assert (refused.value.reason, refused.value.step) == (Reason.KEY_MISMATCH, 14)


def test_a_good_quote_binds_no_other_workloads_key() -> None:
    one, other = Host.make().jwk, Host.make(name="other").jwk
    made = TD.evidence(report_data=named_key(one))
    result = conclude(appraise(made, policy=policy(), nonce=NONCE, now=NOW))
    assert bind_key(made, result, key=one, issuer=ISSUER, nonce=NONCE).key == one
    with pytest.raises(BindingRejected) as refused:
        bind_key(made, result, key=other, issuer=ISSUER, nonce=NONCE)
    assert (refused.value.reason, refused.value.step) == (Reason.KEY_MISMATCH, 14)


def test_an_own_root_is_no_anchor() -> None:
    """Everything is right but whose it is: the policy knows Intel's root alone."""
    intel = AnchorSet(anchors=(INTEL_SGX,))
    pinned = AppraisalPolicy(id="x", version=1, tdx=tdx_rules(memory=DcapMemory(intel)))
    with pytest.raises(EvidenceRejected) as refused:
        appraise_saved(parse_envelope(envelope()), policy=pinned, now=NOW)
    assert (refused.value.reason, refused.value.step) == CHAIN


# --- what costs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", ["\x00", "0", "f", "[", "-----BEGIN CERTIFICATE-----\n"])
def test_a_megabyte_is_refused(filler: str) -> None:
    text = filler * (MEGABYTE // len(filler))
    data = base64url.encode(text.encode())
    made = [envelope(quote=data), envelope(event_log=data), envelope(collateral={"x": text})]
    made += [with_members(**{name: text}) for name in COLLATERAL]
    for each in made:
        with cheap(), pytest.raises(KeysteadError):
            look(each)


def test_chains_of_as_many_certificates_as_fit_cost_little() -> None:
    small = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
    for block in (small, pem(root()), b"-----BEGIN CERTIFICATE-----\n"):
        chain = block * (11_000 // len(block))
        with cheap():
            assert told(with_quote(TD.quote(chain=chain))) == CHAIN
        many = with_members(tcb_info_issuer_chain=(block * (16_000 // len(block))).decode())
        with cheap():
            assert told(many) == (Reason.COLLATERAL_UNTRUSTED, 2)


def test_a_list_as_long_as_may_be_costs_little() -> None:
    serials = range(1 << 60, (1 << 60) + 4_700)
    for name, issuer in (("pck_crl", PCK_CA), ("root_ca_crl", ROOT)):
        crl = revocation_list(issuer, serials=serials)
        assert MAX_LIST_BYTES * 0.8 < len(crl) <= MAX_LIST_BYTES
        with cheap():
            assert look(with_members(**{name: crl.hex()})).hardware


def test_statements_that_nobody_signed_are_not_parsed() -> None:
    """A deep or doubled JSON is refused for its signature, before anybody reads it."""
    for text in ("[" * 19_000, '{"a":' * 19_000, '{"id":"TDX",' * 9_000, "9" * 100_000):
        with cheap():
            assert told(with_members(tcb_info=text)) == (Reason.COLLATERAL_UNTRUSTED, 2)
    with cheap():
        assert told(with_members(tcb_info="[" * 100_000)) == (Reason.TOO_LARGE, None)


@pytest.mark.parametrize("text", [b"[" * 19_000, b'{"a":' * 19_000, b"9" * 100_000])
def test_signed_nonsense_is_refused_all_the_same(text: bytes) -> None:
    for given in ({"info": text}, {"identity": text}):
        with cheap():
            made = envelope(collateral=collateral(**given))
            assert told(made) == (Reason.COLLATERAL_UNTRUSTED, 2)


def test_a_log_of_as_many_events_as_fit_costs_little() -> None:
    log, values = td_log([(1 + at % 4, b"") for at in range(13_000)])
    assert len(log) > 800_000
    said = {f"rtmr{at}": value for at, value in enumerate(values)}
    data = envelope(quote=base64url.encode(TD.quote(**said)), event_log=base64url.encode(log))
    for within in (
        soon,
        small,
    ):  # One after the other: watching 13,000 events costs more than they.
        with within():
            assert look(data).claims["event_log_events"] == 13_001


def test_names_in_certificates_are_no_way_in() -> None:
    """Only the chain's end decides, not what certificates are called."""
    chain = pem(
        pck(signer="Mallory"),
        certificate(PCK_CA, ROOT, authority=True, signer="Mallory"),
        root(),
    )
    assert told(with_quote(TD.quote(chain=chain))) == CHAIN
