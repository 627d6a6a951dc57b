"""What no kind of evidence takes: another kind's, doubled or unknown members, other spellings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import BindingRejected, EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence.envelope import MAX_DEPTH, MAX_ENVELOPE_BYTES, parse_envelope
from keystead.model import EvidenceKind
from tests.every_kind import SAMPLES, TOKENS, Path, Sample, attest, binaries, changed, places
from tests.workload_tokens import OTHER_KEY

each_kind = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


def refusal(data: bytes, sample: Sample, **asked: Any) -> tuple[type, Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        attest(data, sample, **asked)
    return type(refused.value), refused.value.reason, refused.value.step


BINARIES = [
    pytest.param(sample, path, text, id=f"{sample.kind}: {'.'.join(map(str, path))}")
    for sample in SAMPLES.values()
    for path, text in binaries(sample)
]
OBJECTS = [
    pytest.param(sample, path, id=f"{sample.kind}: {'.'.join(map(str, path)) or 'evidence'}")
    for sample in SAMPLES.values()
    for path, value in places(sample.members)
    if isinstance(value, Mapping)
]
PAIRS = [(one, other) for one in SAMPLES for other in SAMPLES if one is not other]


@each_kind
def test_the_good_one_binds_its_key(sample: Sample) -> None:
    assert attest(sample.envelope(), sample).jkt == sample.key.thumbprint


# --- another kind's -------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_envelope_takes_another_kinds_evidence(one: EvidenceKind, other: EvidenceKind) -> None:
    found = refusal(SAMPLES[other].envelope(SAMPLES[one].members), SAMPLES[other])
    if {one, other} == TOKENS:  # Of one shape: whose they are, their claims and issuers say.
        assert found in (
            (Malformed, Reason.MALFORMED, None),
            (EvidenceRejected, Reason.ISSUER_MISMATCH, 1),
        )
    else:
        assert found == (Malformed, Reason.MALFORMED, None)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_member_takes_another_kinds_document(one: EvidenceKind, other: EvidenceKind) -> None:
    """The other kind's own members, each with the largest thing that this kind has."""
    largest = max(
        (text for _, text in places(SAMPLES[one].members) if isinstance(text, str)), key=len
    )
    for path, text in places(SAMPLES[other].members):
        if not isinstance(text, str) or path == UNREAD:
            continue
        found = refusal(
            SAMPLES[other].envelope(changed(SAMPLES[other].members, path, largest)), SAMPLES[other]
        )
        assert found[0] is Malformed or found in FOREIGN[other] or {one, other} == TOKENS, path


# It has to be there, and a list is believed of the CA in the quote's own chain instead.
UNREAD = ("collateral", "pck_crl_issuer_chain")
UNTRUSTED = (EvidenceRejected, Reason.CHAIN_UNTRUSTED)
# Certificates are read by the path builder; client data may be anything, and so may what Intel
# would have signed.
FOREIGN: Mapping[EvidenceKind, set[tuple[type, Reason, int]]] = {
    EvidenceKind.TPM2: {(EvidenceRejected, Reason.EK_CHAIN_UNTRUSTED, 2)},
    EvidenceKind.AWS_NITRO: set(),
    EvidenceKind.APP_ATTEST: {(EvidenceRejected, Reason.NONCE_MISMATCH, 3)},
    EvidenceKind.SEV_SNP: {(*UNTRUSTED, 2)},
    EvidenceKind.TDX: {(EvidenceRejected, Reason.COLLATERAL_UNTRUSTED, 2)},
    EvidenceKind.AZURE_CVM: {(*UNTRUSTED, 3)},
    EvidenceKind.OIDC: set(),
    EvidenceKind.MAA: set(),
}

# --- the binding ----------------------------------------------------------------------------------

OTHER_KEYS = {
    EvidenceKind.TPM2: (Reason.KEY_MISMATCH, 22),
    EvidenceKind.AWS_NITRO: (Reason.KEY_MISMATCH, 9),
    EvidenceKind.APP_ATTEST: (Reason.KEY_MISMATCH, 10),
    EvidenceKind.SEV_SNP: (Reason.KEY_MISMATCH, 13),
    EvidenceKind.TDX: (Reason.KEY_MISMATCH, 14),
    EvidenceKind.AZURE_CVM: (Reason.KEY_MISMATCH, 29),
    EvidenceKind.OIDC: (Reason.KEY_MISMATCH, 11),
    EvidenceKind.MAA: (Reason.KEY_MISMATCH, 16),
}
OTHER_NONCES = {
    EvidenceKind.TPM2: (EvidenceRejected, Reason.NONCE_MISMATCH, 8),
    EvidenceKind.AWS_NITRO: (EvidenceRejected, Reason.NONCE_MISMATCH, 5),
    EvidenceKind.APP_ATTEST: (EvidenceRejected, Reason.NONCE_MISMATCH, 8),
    # A report has room for one hash, of key and challenge together, and so has a TD's.
    EvidenceKind.SEV_SNP: (BindingRejected, Reason.KEY_MISMATCH, 13),
    EvidenceKind.TDX: (BindingRejected, Reason.KEY_MISMATCH, 14),
    EvidenceKind.AZURE_CVM: (EvidenceRejected, Reason.NONCE_MISMATCH, 17),
    EvidenceKind.OIDC: (EvidenceRejected, Reason.NONCE_MISMATCH, 6),
    EvidenceKind.MAA: (EvidenceRejected, Reason.NONCE_MISMATCH, 7),
}


@each_kind
def test_a_good_one_binds_no_other_workloads_key(sample: Sample) -> None:
    found = refusal(sample.envelope(), sample, key=OTHER_KEY)
    assert found == (BindingRejected, *OTHER_KEYS[sample.kind])


@each_kind
def test_a_good_one_answers_no_other_challenge(sample: Sample) -> None:
    assert refusal(sample.envelope(), sample, nonce=b"\x99" * 32) == OTHER_NONCES[sample.kind]


# --- JSON -----------------------------------------------------------------------------------------


DOUBLED = (Malformed, Reason.DUPLICATE_MEMBER, None)


@pytest.mark.parametrize(("sample", "path"), OBJECTS)
def test_an_unknown_member_is_malformed_in_every_object(sample: Sample, path: Path) -> None:
    value = dict(next(found for at, found in places(sample.members) if at == path))
    more = changed(sample.members, path, value | {"unknown": "AA"})
    assert refusal(sample.envelope(more), sample) == (Malformed, Reason.MALFORMED, None)


@pytest.mark.parametrize(("sample", "path"), OBJECTS)
def test_a_member_twice_is_malformed_in_every_object(sample: Sample, path: Path) -> None:
    value = next(found for at, found in places(sample.members) if at == path)
    for name in value:
        mark = f"twice-{name}"
        text = sample.envelope(changed(sample.members, path, {**value, mark: value[name]}))
        doubled = text.replace(json.dumps(mark).encode(), json.dumps(name).encode())
        assert doubled != text
        assert refusal(doubled, sample) == DOUBLED


@each_kind
@pytest.mark.parametrize("name", ["keystead_evidence", "kind", "nonce", "key", "evidence"])
def test_a_member_of_the_envelope_twice_is_malformed(sample: Sample, name: str) -> None:
    outer = json.loads(sample.envelope())
    doubled = sample.envelope()[:-1] + f',"{name}":{json.dumps(outer[name])}}}'.encode()
    assert refusal(doubled, sample) == DOUBLED


@each_kind
def test_a_value_of_another_type_is_malformed(sample: Sample) -> None:
    for path, value in places(sample.members):
        for other in (None, True, 7, 1.5, "", [], {}, [value], {"a": value}):
            if other == value or (isinstance(value, Mapping) and other == {}):
                continue
            bent = changed(sample.members, path, other)
            if not path and not isinstance(other, dict):
                continue  # The envelope's own member, which is an object or no evidence at all.
            found = refusal(sample.envelope(bent), sample)
            assert found[0] is Malformed or found[1:] in EMPTY, (path, other)


# Members that may be empty or left out come to a step that asks for more.
EMPTY: set[tuple[Reason, int | None]] = {
    (Reason.EVIDENCE_MEMBER_MISSING, 1),
    (Reason.EK_CHAIN_UNTRUSTED, 2),
    (Reason.NONCE_MISMATCH, 3),
}


# Evidence may come in parts, of which each step that needs one says so; all else is the format's.
MISSING = Reason.EVIDENCE_MEMBER_MISSING
LEFT_OUT: Mapping[EvidenceKind, Mapping[str, tuple[Reason, int]]] = {
    EvidenceKind.TPM2: {
        **dict.fromkeys(("ek_certificate", "ek_public", "ak_public"), (MISSING, 1)),
        **dict.fromkeys(("quote", "pcrs"), (MISSING, 1)),
        "ek_certificate_chain": (Reason.EK_CHAIN_UNTRUSTED, 2),
        **dict.fromkeys(("certify", "key_public"), (MISSING, 16)),
    },
    EvidenceKind.TDX: {"event_log": (Reason.EVENT_LOG_MISSING, 12)},
    EvidenceKind.AZURE_CVM: {
        **dict.fromkeys(("quote", "pcrs"), (MISSING, 1)),
        **dict.fromkeys(("certify", "key_public"), (MISSING, 22)),
    },
}


@each_kind
def test_every_member_left_out_is_missed(sample: Sample) -> None:
    for name in sample.members:
        rest = {other: value for other, value in sample.members.items() if other != name}
        found = refusal(sample.envelope(rest), sample)
        expected = LEFT_OUT.get(sample.kind, {}).get(name)
        assert found[0] is Malformed if expected is None else found[1:] == expected, name


@each_kind
def test_deep_or_large_envelopes_are_malformed(sample: Sample) -> None:
    deep: Any = "AA"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    for name in sample.members:
        found = refusal(sample.envelope({**sample.members, name: deep}), sample)
        assert found[:1] == (Malformed,)
    large = sample.envelope() + b" " * MAX_ENVELOPE_BYTES
    assert refusal(large, sample) == (Malformed, Reason.TOO_LARGE, None)


@each_kind
def test_an_envelope_cut_anywhere_is_malformed(sample: Sample) -> None:
    data = sample.envelope()
    for size in range(0, len(data), 3):
        with pytest.raises(Malformed):
            parse_envelope(data[:size])


@each_kind
@pytest.mark.parametrize("tail", [b"\x00", b"x", b"{}", b"]"])
def test_bytes_after_an_envelope_are_malformed(sample: Sample, tail: bytes) -> None:
    assert refusal(sample.envelope() + tail, sample) == (Malformed, Reason.MALFORMED, None)


# --- base64url, and what is in it -----------------------------------------------------------------


def spellings(text: str) -> Iterator[str]:
    """Other texts that a lax reader takes for the same bytes."""
    yield text + "="
    yield text + "=" * (-len(text) % 4 or 4)
    yield text + "\n"
    yield " " + text
    yield text[: len(text) // 2] + "\n" + text[len(text) // 2 :]
    alphabet = text.replace("-", "+").replace("_", "/")
    if alphabet != text:
        yield alphabet
    if len(text) % 4:  # The bits of the last character that belong to no byte.
        characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        yield text[:-1] + characters[characters.index(text[-1]) | 1]


@pytest.mark.parametrize(("sample", "path", "text"), BINARIES)
def test_bytes_have_one_spelling(sample: Sample, path: Path, text: str) -> None:
    for other in spellings(text):
        found = refusal(sample.envelope(changed(sample.members, path, other)), sample)
        assert found[0] is Malformed, other[-8:]


@pytest.mark.parametrize("kind", sorted(TOKENS))
def test_tokens_have_one_spelling(kind: EvidenceKind) -> None:
    sample = SAMPLES[kind]
    segments = sample.members["token"].split(".")
    for at, segment in enumerate(segments):
        for other in spellings(segment):
            bent = ".".join([*segments[:at], other, *segments[at + 1 :]])
            found = refusal(sample.envelope({"token": bent}), sample)
            assert found == (Malformed, Reason.MALFORMED, None), (at, other[-8:])


# What has no form of its own, or is read by a path builder, comes to the step that is about it.
UNFORMED = {
    (EvidenceKind.APP_ATTEST, "client_data"): (Reason.NONCE_MISMATCH, 3),
    (EvidenceKind.SEV_SNP, "certificates"): (Reason.CHAIN_UNTRUSTED, 2),
    (EvidenceKind.AZURE_CVM, "certificates"): (Reason.CHAIN_UNTRUSTED, 3),
    (EvidenceKind.TPM2, "ek_certificate_chain"): (Reason.EK_CHAIN_UNTRUSTED, 2),
}


@pytest.mark.parametrize(("sample", "path", "text"), BINARIES)
def test_bytes_more_or_less_are_malformed(sample: Sample, path: Path, text: str) -> None:
    whole = base64url.decode(text)
    cuts = {0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1}
    expected = UNFORMED.get((sample.kind, str(path[0])))
    # An HCL report stands in a field of zeros: only more than zeros is more.
    for bent in (*(whole[:size] for size in sorted(cuts)), whole + b"\x01", b"\x01" + whole):
        if path[0] == "hcl_report" and whole.rstrip(b"\x00") == bent.rstrip(b"\x00"):
            continue
        data = sample.envelope(changed(sample.members, path, base64url.encode(bent)))
        found = refusal(data, sample)
        assert found[0] is Malformed or (expected is not None and found[1:] == expected), len(bent)
