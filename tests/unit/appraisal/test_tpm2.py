"""Each step of the appraisal: it accepts the good and rejects the one thing wrong, by its number.

What is truncated is Malformed before any step: tests/unit/evidence and tests/hostile.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from keystead.appraisal import event_rules
from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tpm2 import Tpm2Appraisal
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import ObjectAttributes, PcrSelection, signing_key_template
from keystead.codec.tpm2.constants import Scheme
from keystead.errors import EvidenceRejected, KeysteadError, Reason
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.model import AnchorClass, Freshness
from keystead.ports import Endorsement
from tests.event_log_builder import (
    DRIVER_CONFIG,
    EV_SEPARATOR,
    GOOD,
    OFF,
    SEPARATOR,
    Entry,
    encode,
    log,
)
from tests.evidence_builder import (
    ALGORITHMS,
    CERTIFY_TYPE,
    DAY_S,
    EK_TEMPLATES,
    NONCE,
    NOW,
    OTHER_NONCE,
    PCRS,
    REQUIRED,
    SHA256,
    SHA384,
    Dice,
    Host,
    anchor_set,
    appraisal_policy,
    area,
    certificate,
    certify_body,
    ek_certificate,
    intermediate,
    private_key,
    quote_body,
    root,
    signed,
    usage,
    with_attributes,
)

HOST = Host.make()
POLICY = appraisal_policy()
Bend = Callable[[Host], Tpm2Evidence]


def appraised(
    evidence: Tpm2Evidence | None = None,
    *,
    policy: AppraisalPolicy = POLICY,
    nonce: bytes | None = NONCE,
    now: int = NOW,
) -> Tpm2Appraisal:
    return appraisal.appraise(evidence or HOST.evidence(), policy=policy, nonce=nonce, now=now)


def refusal(evidence: Tpm2Evidence, **arguments: Any) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        appraised(evidence, **arguments)
    assert isinstance(refused.value, EvidenceRejected)
    return refused.value.reason, refused.value.step


def endorsed(certificate: bytes | None, *, host: Host = HOST, chain: bool = True) -> Endorsement:
    links = (intermediate(),) if chain else ()
    return Endorsement(public=host.ek.sized, certificate=certificate, chain=links)


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ak_kind", ALGORITHMS)
@pytest.mark.parametrize("ek_kind", EK_TEMPLATES)
def test_affirms_good_evidence_of_every_key_type(ek_kind: str, ak_kind: str) -> None:
    host = Host.make(ek_kind, ak_kind)
    found = appraised(host.evidence())
    activation = appraisal.begin_activation(found, entropy=Dice())
    secret = host.activate(activation.credential_blob, activation.encrypted_secret)
    result = appraisal.conclude(found, activation=activation, returned_secret=secret)
    assert result.hardware and result.anchor_class is AnchorClass.TPM
    assert result.freshness is Freshness.CHALLENGED
    assert (result.policy, result.verified_at) == ("test@3", NOW)
    assert result.ek == found.ek and result.attester == host.ak.name
    assert result.pcrs == {"sha256": {0: "11" * 32, 7: "77" * 32}} == found.pcrs_hex
    assert (result.clock.reset_count, result.clock.restart_count) == (3, 1)


def test_the_ek_is_known_by_its_key_and_not_its_certificate() -> None:
    renewed = endorsed(ek_certificate("p256", HOST.ek_key, not_after=NOW + 2 * DAY_S))
    assert appraised(HOST.evidence(endorsement=renewed)).ek == appraised().ek
    assert appraised(Host.make(name="other").evidence()).ek != appraised().ek


def test_a_policy_without_the_kind_appraises_nothing() -> None:
    empty = AppraisalPolicy(id="x", version=1, tpm2=None)
    assert refusal(HOST.evidence(), policy=empty) == (Reason.KIND_UNSUPPORTED, None)


# --- step 1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ak_public", "quote", "pcrs", "ek_public", "ek_certificate"])
def test_step_1_rejects_a_missing_member(name: str) -> None:
    missing: dict[str, Any] = {name: None}
    evidence = replace(HOST.evidence(), **missing)
    assert refusal(evidence) == (Reason.EVIDENCE_MEMBER_MISSING, 1)


def test_step_1_wants_an_endorsement_of_some_kind() -> None:
    evidence = replace(HOST.evidence(), ek_public=None, ek_certificate=None)
    assert refusal(evidence) == (Reason.EVIDENCE_MEMBER_MISSING, 1)


# --- steps 2 to 4: the EK -------------------------------------------------------------------------


def test_step_2_rejects_another_root() -> None:
    policy = appraisal_policy(anchors=anchor_set(name="stranger"))
    assert refusal(HOST.evidence(), policy=policy) == (Reason.EK_CHAIN_UNTRUSTED, 2)


def test_step_2_rejects_a_chain_with_a_link_missing() -> None:
    evidence = HOST.evidence(endorsement=endorsed(HOST.ek_certificate, chain=False))
    assert refusal(evidence) == (Reason.EK_CHAIN_UNTRUSTED, 2)


@pytest.mark.parametrize("now", [NOW - DAY_S, NOW + DAY_S])
def test_step_2_accepts_the_edges_of_validity(now: int) -> None:
    assert appraised(now=now).verified_at == now


@pytest.mark.parametrize("now", [NOW - DAY_S - 1, NOW + DAY_S + 1])
def test_step_2_rejects_outside_the_validity(now: int) -> None:
    assert refusal(HOST.evidence(), now=now) == (Reason.EK_CHAIN_UNTRUSTED, 2)


def test_step_2_rejects_a_class_that_the_policy_does_not_allow() -> None:
    policy = appraisal_policy(
        anchors=anchor_set(AnchorClass.EMULATED),
        allowed_anchor_classes=frozenset({AnchorClass.TPM}),
    )
    assert refusal(HOST.evidence(), policy=policy) == (Reason.ANCHOR_CLASS_REFUSED, 2)


def test_step_3_rejects_a_certificate_for_something_else() -> None:
    for_web = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(sign=True), True),
    ]
    made = ek_certificate("p256", HOST.ek_key, extensions=for_web)
    evidence = HOST.evidence(endorsement=endorsed(made))
    assert refusal(evidence) == (Reason.EK_CERTIFICATE_PROFILE, 3)


def test_step_4_rejects_the_public_area_of_another_ek() -> None:
    evidence = replace(HOST.evidence(), ek_public=Host.make(name="other").ek)
    assert refusal(evidence) == (Reason.EK_MISMATCH, 4)


@pytest.mark.parametrize(
    ("add", "drop"),
    [
        (0, ObjectAttributes.RESTRICTED),
        (0, ObjectAttributes.FIXED_TPM),
        (0, ObjectAttributes.FIXED_PARENT),
        (0, ObjectAttributes.SENSITIVE_DATA_ORIGIN),
        (0, ObjectAttributes.DECRYPT),
        (ObjectAttributes.SIGN, 0),
    ],
)
def test_step_4_rejects_a_key_that_is_no_ek(add: int, drop: int) -> None:
    evidence = replace(HOST.evidence(), ek_public=with_attributes(HOST.ek, add=add, drop=drop))
    assert refusal(evidence) == (Reason.EK_ATTRIBUTES, 4)


# --- step 5: the AK -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("add", "drop"),
    [
        (0, ObjectAttributes.RESTRICTED),
        (0, ObjectAttributes.SIGN),
        (0, ObjectAttributes.FIXED_TPM),
        (0, ObjectAttributes.FIXED_PARENT),
        (0, ObjectAttributes.SENSITIVE_DATA_ORIGIN),
        (ObjectAttributes.DECRYPT, 0),
    ],
)
def test_step_5_rejects_an_ak_that_signs_foreign_data_or_can_leave(add: int, drop: int) -> None:
    evidence = replace(HOST.evidence(), ak_public=with_attributes(HOST.ak, add=add, drop=drop))
    assert refusal(evidence) == (Reason.AK_ATTRIBUTES, 5)


@pytest.mark.parametrize(
    "head",
    [
        {"scheme": Scheme.NULL, "scheme_hash": None},
        {"scheme": Scheme.ECDSA, "scheme_hash": HashAlgorithm.SHA1},
        {"name_algorithm": HashAlgorithm.SHA1},
    ],
)
def test_step_5_rejects_an_ak_without_a_strong_scheme(head: dict[str, Any]) -> None:
    weak = area(signing_key_template("ES256", restricted=True), HOST.ak_key, **head)
    assert refusal(replace(HOST.evidence(), ak_public=weak)) == (Reason.AK_ATTRIBUTES, 5)


# --- steps 6 to 8: the quote ----------------------------------------------------------------------


def test_step_6_rejects_a_quote_by_another_key() -> None:
    made = signed(private_key("p256", "thief"), HOST.quote().attest)
    assert refusal(HOST.evidence(quote=made)) == (Reason.QUOTE_SIGNATURE, 6)


def test_step_6_rejects_another_ak_than_the_quotes() -> None:
    evidence = replace(HOST.evidence(), ak_public=Host.make(name="other").ak)
    assert refusal(evidence) == (Reason.QUOTE_SIGNATURE, 6)


def test_step_6_rejects_a_signature_over_other_bytes() -> None:
    one, other = HOST.quote(), HOST.quote(reset_count=4)
    assert refusal(HOST.evidence(quote=replace(one, signature=other.signature))) == (
        Reason.QUOTE_SIGNATURE,
        6,
    )


def test_step_7_rejects_a_certification_in_the_quotes_place() -> None:
    made = HOST.quote(kind=CERTIFY_TYPE, body=certify_body(HOST.ak.name))
    assert refusal(HOST.evidence(quote=made)) == (Reason.QUOTE_TYPE, 7)


@pytest.mark.parametrize("nonce", [OTHER_NONCE, b"", NONCE + b"\0", NONCE[:-1]])
def test_step_8_rejects_a_quote_over_another_nonce(nonce: bytes) -> None:
    evidence = HOST.evidence(quote=HOST.quote(nonce=nonce))
    assert refusal(evidence) == (Reason.NONCE_MISMATCH, 8)


def test_step_8_believes_the_callers_nonce_and_not_the_envelopes() -> None:
    assert refusal(HOST.evidence(), nonce=OTHER_NONCE) == (Reason.NONCE_MISMATCH, 8)


def test_step_8_saved_evidence_is_held_to_its_own_nonce_and_is_not_fresh() -> None:
    assert appraised(nonce=None).freshness is Freshness.BEARER
    assert appraised(replace(HOST.evidence(), nonce=None), nonce=None).nonce == NONCE
    other = replace(HOST.evidence(), nonce=OTHER_NONCE)
    assert refusal(other, nonce=None) == (Reason.NONCE_MISMATCH, 8)


# --- steps 9 to 11: the PCRs ----------------------------------------------------------------------


def quoting(selection: PcrSelection, values: Any) -> Tpm2Evidence:
    return HOST.evidence(quote=HOST.quote(body=quote_body(selection, values)), pcrs=values)


@pytest.mark.parametrize("indexes", [[0], [0, 7, 16], [7], [1, 7]])
def test_step_9_rejects_a_selection_that_the_attester_chose(indexes: list[int]) -> None:
    values = {SHA256: dict.fromkeys(indexes, PCRS[SHA256][0])}
    evidence = quoting(PcrSelection.of({SHA256: indexes}), values)
    assert refusal(evidence) == (Reason.PCR_SELECTION, 9)


def test_step_9_rejects_no_selection_at_all() -> None:
    assert refusal(quoting(PcrSelection(banks=()), {})) == (Reason.PCR_SELECTION, 9)


def test_step_9_rejects_another_bank() -> None:
    values = {SHA384: dict.fromkeys((0, 7), bytes(48))}
    evidence = quoting(PcrSelection.of({SHA384: [0, 7]}), values)
    assert refusal(evidence) == (Reason.PCR_SELECTION, 9)


@pytest.mark.parametrize("also", [{}, PCRS])
def test_step_9_rejects_a_sha1_bank(also: Any) -> None:
    values = {HashAlgorithm.SHA1: dict.fromkeys((0, 7), bytes(20)), **also}
    evidence = quoting(PcrSelection.of({bank: [0, 7] for bank in values}), values)
    assert refusal(evidence) == (Reason.PCR_BANK_WEAK, 9)


@pytest.mark.parametrize(
    "values",
    [
        {SHA256: {0: PCRS[SHA256][0]}},
        {SHA256: {**PCRS[SHA256], 16: bytes(32)}},
        {**PCRS, SHA384: {0: bytes(48)}},
        {},
    ],
)
def test_step_9_rejects_values_of_other_pcrs(values: Any) -> None:
    assert refusal(HOST.evidence(pcrs=values)) == (Reason.PCR_SELECTION, 9)


def test_step_9_takes_the_banks_in_any_order() -> None:
    required = PcrSelection.of({SHA256: [0], SHA384: [7]})
    policy = appraisal_policy(required_pcrs=required, pcr_values={})
    turned = PcrSelection(banks=tuple(reversed(required.banks)))
    values = {SHA256: {0: bytes(32)}, SHA384: {7: bytes(48)}}
    assert appraised(quoting(turned, values), policy=policy).pcrs == values


def test_step_10_rejects_values_that_were_not_quoted() -> None:
    values = {SHA256: {**PCRS[SHA256], 7: b"\x78" * 32}}
    assert refusal(HOST.evidence(pcrs=values)) == (Reason.PCR_DIGEST_MISMATCH, 10)


def test_step_10_hashes_with_the_scheme_of_the_ak() -> None:
    body = quote_body(REQUIRED, PCRS, algorithm=SHA384)
    evidence = HOST.evidence(quote=HOST.quote(body=body))
    assert refusal(evidence) == (Reason.PCR_DIGEST_MISMATCH, 10)


def test_step_11_rejects_a_value_that_the_policy_does_not_name() -> None:
    values = {SHA256: {**PCRS[SHA256], 0: b"\x12" * 32}}
    assert refusal(quoting(REQUIRED, values)) == (Reason.PCR_VALUE_MISMATCH, 11)


def test_step_11_accepts_any_value_only_where_it_is_written_out() -> None:
    values = {SHA256: {**PCRS[SHA256], 7: b"\x99" * 32}}
    assert appraised(quoting(REQUIRED, values)).pcrs == values


# --- steps 12 and 13: the event log (the rules themselves: test_event_rules) ----------------------


def test_step_12_rejects_a_missing_event_log() -> None:
    rules = event_rules.EventLogRules(required=True, pcrs=frozenset({0, 7}))
    policy = appraisal_policy(event_log=rules)
    assert refusal(HOST.evidence(), policy=policy) == (Reason.EVENT_LOG_MISSING, 12)


def booted(entries: Sequence[Entry], *, said: Sequence[Entry] | None = None) -> Tpm2Evidence:
    """Evidence of a boot that measured ``entries``, with a log that says ``said``."""
    values = {index: bytes(32) for index in (0, 7)} | {
        index: value
        for index, value in eventlog.replay(log(entries), SHA256).items()
        if index in (0, 7)
    }
    quote = HOST.quote(body=quote_body(REQUIRED, {SHA256: values}))
    told = encode(entries if said is None else said)
    return HOST.evidence(quote=quote, pcrs={SHA256: values}, event_log=told)


LOGGED = appraisal_policy(
    pcr_values={SHA256: {0: None, 7: None}},
    event_log=event_rules.EventLogRules(
        required=True, pcrs=frozenset({0, 7}), secure_boot_required=True
    ),
)
INSECURE: Sequence[Entry] = ((7, DRIVER_CONFIG, OFF), (7, EV_SEPARATOR, SEPARATOR))


def test_steps_12_and_13_accept_a_log_of_a_secure_boot() -> None:
    assert appraised(booted(GOOD), policy=LOGGED).secure_boot is True


def test_step_12_rejects_the_log_of_another_boot() -> None:
    lie = booted(INSECURE, said=GOOD)
    assert refusal(lie, policy=LOGGED) == (Reason.EVENT_LOG_MISMATCH, 12)


def test_step_13_rejects_a_true_log_of_a_boot_that_the_policy_refuses() -> None:
    assert refusal(booted(INSECURE), policy=LOGGED) == (Reason.EVENT_LOG_REFUSED, 13)


def test_what_the_log_says_of_secure_boot_is_recorded() -> None:
    asked = event_rules.EventLogRules(required=True, pcrs=frozenset({0, 7}))
    loose = appraisal_policy(pcr_values={SHA256: {0: None, 7: None}}, event_log=asked)
    assert appraised(booted(INSECURE), policy=loose).secure_boot is False
    assert appraised().secure_boot is None


# --- step 14: AK certificates ---------------------------------------------------------------------


def ak_certificate(*, host: Host = HOST, **changes: Any) -> bytes:
    extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(sign=True), True),
    ]
    wanted: dict[str, Any] = {
        "issuer": "root",
        "issuer_key": private_key("p256", "root"),
        "extensions": extensions,
    }
    return certificate("ak", host.ak_key, **(wanted | changes))


ACCEPTING = appraisal_policy(accept_ak_certificate=True)


def test_step_14_affirms_saved_evidence_by_a_trusted_ak_certificate() -> None:
    found = appraised(HOST.evidence(ak_certificate=ak_certificate()), policy=ACCEPTING, nonce=None)
    result = appraisal.conclude_by_ak_certificate(found)
    assert result.freshness is Freshness.BEARER
    assert result.ek is None, "an AK certificate says nothing about an EK that came along"


def test_step_14_accepts_evidence_without_any_ek() -> None:
    made = replace(
        HOST.evidence(ak_certificate=ak_certificate()), ek_public=None, ek_certificate=None
    )
    found = appraised(made, policy=ACCEPTING)
    assert found.anchor_class is AnchorClass.TPM
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.begin_activation(found, entropy=Dice())
    assert refused.value.reason is Reason.AK_NOT_BOUND_TO_EK
    assert refusal(made) == (Reason.AK_NOT_BOUND_TO_EK, 14)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (ak_certificate(host=Host.make(name="other")), Reason.AK_MISMATCH),
        (ak_certificate(not_after=NOW - 1), Reason.AK_CHAIN_UNTRUSTED),
        (
            ak_certificate(issuer="x", issuer_key=private_key("p256", "x")),
            Reason.AK_CHAIN_UNTRUSTED,
        ),
        (
            ak_certificate(extensions=[(usage(agree=True), True)]),
            Reason.AK_CHAIN_UNTRUSTED,
        ),
        (ak_certificate(extensions=[]), Reason.AK_CHAIN_UNTRUSTED),
        (
            ak_certificate(
                extensions=[
                    (x509.BasicConstraints(ca=True, path_length=None), True),
                    (usage(sign=True, ca=True), True),
                ]
            ),
            Reason.AK_CHAIN_UNTRUSTED,
        ),
    ],
)
def test_step_14_rejects_an_ak_certificate_with_one_thing_wrong(
    made: bytes, reason: Reason
) -> None:
    evidence = HOST.evidence(ak_certificate=made)
    assert refusal(evidence, policy=ACCEPTING) == (reason, 14)


def test_step_14_looks_at_no_ak_certificate_unless_the_policy_accepts_them() -> None:
    found = appraised(HOST.evidence(ak_certificate=ak_certificate()))
    assert found.ak_anchor is None


# --- step 15: the AK is in the EK's TPM -----------------------------------------------------------


def test_step_15_rejects_another_secret() -> None:
    found = appraised()
    activation = appraisal.begin_activation(found, entropy=Dice())
    good = HOST.activate(activation.credential_blob, activation.encrypted_secret)
    for secret in (b"", bytes(32), good[:-1], good + b"\0"):
        with pytest.raises(EvidenceRejected) as refused:
            appraisal.conclude(found, activation=activation, returned_secret=secret)
        assert (refused.value.reason, refused.value.step) == (Reason.ACTIVATION_FAILED, 15)


def test_step_15_rejects_the_activation_of_another_host() -> None:
    other = Host.make(name="other")
    activation = appraisal.begin_activation(appraised(other.evidence()), entropy=Dice())
    secret = other.activate(activation.credential_blob, activation.encrypted_secret)
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.conclude(appraised(), activation=activation, returned_secret=secret)
    assert (refused.value.reason, refused.value.step) == (Reason.ACTIVATION_FAILED, 15)


def test_step_15_no_tpm_opens_a_credential_for_another_ak() -> None:
    activation = appraisal.begin_activation(appraised(), entropy=Dice())
    with pytest.raises(ValueError, match="integrity"):
        HOST.activate(
            activation.credential_blob,
            activation.encrypted_secret,
            ak_name=Host.make(name="other").ak.name,
        )


def test_step_15_saved_evidence_alone_is_never_affirmed() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        appraisal.conclude_by_ak_certificate(appraised(nonce=None))
    assert (refused.value.reason, refused.value.step) == (Reason.AK_NOT_BOUND_TO_EK, 15)


def test_the_secret_stays_out_of_sight() -> None:
    activation = appraisal.begin_activation(appraised(), entropy=Dice())
    secret = HOST.activate(activation.credential_blob, activation.encrypted_secret)
    assert repr(secret) not in repr(activation)
    assert secret.hex() not in repr(activation)


def test_a_root_from_the_attester_is_not_believed() -> None:
    stranger = certificate(
        "",
        HOST.ek_key,
        issuer="stranger",
        issuer_key=private_key("p256", "stranger"),
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (usage(agree=True), True),
        ],
    )
    sent = Endorsement(public=HOST.ek.sized, certificate=stranger, chain=(root("stranger"),))
    assert refusal(HOST.evidence(endorsement=sent)) == (Reason.EK_CHAIN_UNTRUSTED, 2)
