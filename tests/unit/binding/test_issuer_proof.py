"""An issuer that proves its key, and issuers that only say so."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from keystead.binding.issuer_proof import (
    IssuerChallenge,
    PublishedKey,
    challenge_issuer,
    conclude,
    parse_answer,
    parse_published_key,
    qualifying_data,
)
from keystead.codec import base64url
from keystead.codec.tpm2 import ObjectAttributes
from keystead.errors import KeysteadError, Malformed, Reason
from keystead.model import AnchorClass, Protection
from keystead.ports import Attestation
from tests.evidence_builder import (
    NOW,
    OTHER_NONCE,
    Dice,
    Host,
    anchor_set,
    intermediate,
    with_attributes,
)

ISSUER = "https://issuer.example"
KID = "key-1"
HOST, OTHER = Host.make(), Host.make(name="other")


def entry(host: Host = HOST, **changes: Any) -> dict[str, Any]:
    """A member of the published document; ``changes`` go to its evidence, ``...`` takes one out."""
    evidence = {
        "kind": "tpm2",
        "ek_public": base64url.encode(host.ek.sized),
        "ek_certificate": base64url.encode(host.ek_certificate or b""),
        "ek_certificate_chain": [base64url.encode(intermediate())],
        "ak_public": base64url.encode(host.ak.sized),
        "key_public": base64url.encode(host.key_area.sized),
        "certify": {"attest": "", "signature": ""},
    } | changes
    kept = {name: value for name, value in evidence.items() if value is not ...}
    return {"kid": KID, "purpose": "token", "jwk": dict(host.jwk.members), "evidence": kept}


def asked(published: PublishedKey | None = None, **changes: Any) -> IssuerChallenge:
    wanted: dict[str, Any] = {
        "issuer": ISSUER,
        "anchors": anchor_set(),
        "now": NOW,
        "entropy": Dice(),
    }
    return challenge_issuer(published or parse_published_key(entry()), **(wanted | changes))


def answer(
    challenge: IssuerChallenge, host: Host = HOST, *, nonce: bytes | None = None, **changes: Any
) -> dict[str, Any]:
    """What an issuer with this TPM sends back."""
    data = nonce or qualifying_data(ISSUER, kid=KID, nonce=challenge.nonce)
    certified: Attestation = changes.get("certify") or host.certify(nonce=data, **changes)
    secret = host.activate(challenge.credential_blob, challenge.encrypted_secret)
    return {
        "secret": base64url.encode(secret),
        "certify": {
            "attest": base64url.encode(certified.attest),
            "signature": base64url.encode(certified.signature),
        },
    }


def refusal(body: dict[str, Any], challenge: IssuerChallenge) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        conclude(challenge, answer=parse_answer(body))
    return refused.value.reason, refused.value.step


def refused_entry(published: dict[str, Any], **changes: Any) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as refused:
        asked(parse_published_key(published), **changes)
    return refused.value.reason, refused.value.step


def test_believes_a_key_that_is_in_the_issuers_tpm() -> None:
    challenge = asked()
    proved = conclude(challenge, answer=parse_answer(answer(challenge)))
    assert (proved.kid, proved.purpose, proved.verified_at) == (KID, "token", NOW)
    assert proved.key.thumbprint == HOST.jwk.thumbprint
    assert proved.hardware and proved.protection is Protection.NON_EXPORTABLE


def test_emulated_roots_prove_no_hardware() -> None:
    challenge = asked(anchors=anchor_set(AnchorClass.EMULATED))
    assert not conclude(challenge, answer=parse_answer(answer(challenge))).hardware


def test_what_is_certified_names_issuer_key_and_nonce() -> None:
    expected = hashlib.sha256(b"keystead issuer proof v1\0https://i\0kid-1\0nonce").digest()
    assert qualifying_data("https://i", kid="kid-1", nonce=b"nonce") == expected
    assert qualifying_data("https://i", kid="kid-2", nonce=b"nonce") != expected


@pytest.mark.parametrize("name", ["ek_public", "ek_certificate", "ak_public", "key_public"])
def test_step_1_rejects_a_missing_member(name: str) -> None:
    assert refused_entry(entry(**{name: ...})) == (Reason.EVIDENCE_MEMBER_MISSING, 1)


def test_step_1_rejects_an_ek_without_certificate_and_keys_elsewhere() -> None:
    assert refused_entry(entry(ek_certificate=None)) == (Reason.EVIDENCE_MEMBER_MISSING, 1)
    assert refused_entry(entry(kind="software")) == (Reason.KIND_UNSUPPORTED, 1)


def test_step_2_rejects_an_ek_under_other_roots_or_at_another_time() -> None:
    stranger = anchor_set(name="stranger")
    assert refused_entry(entry(), anchors=stranger) == (Reason.EK_CHAIN_UNTRUSTED, 2)
    assert refused_entry(entry(), now=0) == (Reason.EK_CHAIN_UNTRUSTED, 2)


def test_step_3_rejects_a_certificate_that_is_no_eks() -> None:
    made = entry(ek_certificate=base64url.encode(intermediate()))
    assert refused_entry(made) == (Reason.EK_CERTIFICATE_PROFILE, 3)


def test_step_4_rejects_another_ek() -> None:
    made = entry(ek_public=base64url.encode(OTHER.ek.sized))
    assert refused_entry(made) == (Reason.EK_MISMATCH, 4)


def test_step_5_rejects_an_ak_that_signs_anything() -> None:
    loose = with_attributes(HOST.ak, drop=ObjectAttributes.RESTRICTED)
    made = entry(ak_public=base64url.encode(loose.sized))
    assert refused_entry(made) == (Reason.AK_ATTRIBUTES, 5)


def test_step_6_rejects_a_secret_that_is_not_ours() -> None:
    challenge = asked()
    body = answer(challenge) | {"secret": base64url.encode(bytes(32))}
    assert refusal(body, challenge) == (Reason.ACTIVATION_FAILED, 6)


def test_step_6_a_tpm_does_not_open_a_credential_for_another_ak() -> None:
    foreign = parse_published_key(entry(ak_public=base64url.encode(OTHER.ak.sized)))
    challenge = asked(foreign)
    with pytest.raises(ValueError, match="integrity"):
        HOST.activate(challenge.credential_blob, challenge.encrypted_secret)


def test_step_7_rejects_a_certification_by_another_key() -> None:
    challenge = asked()
    body = answer(challenge, by=OTHER.ak_key)
    assert refusal(body, challenge) == (Reason.CERTIFY_SIGNATURE, 7)


def test_step_8_rejects_a_quote() -> None:
    challenge = asked()
    assert refusal(answer(challenge, certify=HOST.quote()), challenge) == (Reason.CERTIFY_TYPE, 8)


@pytest.mark.parametrize(
    ("issuer", "kid"), [("https://other.example", KID), (ISSUER, "key-2"), (ISSUER, KID)]
)
def test_step_9_rejects_a_certification_for_somebody_or_something_else(
    issuer: str, kid: str
) -> None:
    challenge = asked()
    same = (issuer, kid) == (ISSUER, KID)
    nonce = OTHER_NONCE if same else challenge.nonce
    body = answer(challenge, nonce=qualifying_data(issuer, kid=kid, nonce=nonce))
    assert refusal(body, challenge) == (Reason.NONCE_MISMATCH, 9)


def test_step_10_rejects_the_certification_of_another_object() -> None:
    challenge = asked()
    body = answer(challenge, of=OTHER.key_area)
    assert refusal(body, challenge) == (Reason.CERTIFY_NAME_MISMATCH, 10)


def test_step_11_rejects_a_key_that_can_leave() -> None:
    loose = replace(
        HOST, key_area=with_attributes(HOST.key_area, drop=ObjectAttributes.FIXED_PARENT)
    )
    challenge = asked(parse_published_key(entry(loose)))
    assert refusal(answer(challenge, loose), challenge) == (Reason.KEY_ATTRIBUTES, 11)


def test_step_12_rejects_another_published_key() -> None:
    published = parse_published_key(entry() | {"jwk": dict(OTHER.jwk.members)})
    challenge = asked(published)
    assert refusal(answer(challenge), challenge) == (Reason.KEY_MISMATCH, 12)


def test_rejects_truncated_answers_as_malformed() -> None:
    challenge = asked()
    for name in ("attest", "signature"):
        body = answer(challenge)
        whole = base64url.decode(body["certify"][name])
        for length in range(len(whole)):
            body["certify"][name] = base64url.encode(whole[:length])
            with pytest.raises(Malformed):
                parse_answer(body)
    with pytest.raises(Malformed):
        parse_answer({"certify": answer(challenge)["certify"]})
