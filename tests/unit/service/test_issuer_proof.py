"""The service answers a verifier's own credential and nonce, and the verifier is convinced."""

import pytest

from keystead.binding import issuer_proof
from keystead.binding.issuer_proof import IssuerChallenge
from keystead.codec import base64url
from keystead.errors import BindingRejected, Reason, Refused, Unavailable
from keystead.evidence.tpm2 import SignedAttest
from keystead.model import AuditAction
from keystead.service.keys import IssuerProof
from tests.evidence_builder import Dice, anchor_set
from tests.exchange_parts import ISSUER
from tests.service_parts import Installation


def challenges(it: Installation, seed: bytes = b"dice") -> list[IssuerChallenge]:
    return [
        issuer_proof.challenge_issuer(
            issuer_proof.parse_published_key(entry),
            issuer=ISSUER,
            anchors=anchor_set(),
            now=it.clock.at,
            entropy=Dice(seed),
        )
        for entry in it.keys.published()["keys"]
    ]


async def answer(it: Installation, asked: IssuerChallenge, *, kid: str = "") -> IssuerProof:
    return await it.keys.prove(
        kid=kid or asked.published.kid,
        nonce=asked.nonce,
        credential_blob=asked.credential_blob,
        encrypted_secret=asked.encrypted_secret,
    )


def conclude(asked: IssuerChallenge, proof: IssuerProof) -> issuer_proof.ProvedIssuerKey:
    certify = proof.certified
    parsed = issuer_proof.parse_answer(
        {
            "secret": _text(proof.secret),
            "certify": {"attest": _text(certify.attest), "signature": _text(certify.signature)},
        }
    )
    assert isinstance(parsed.certify, SignedAttest)
    return issuer_proof.conclude(asked, answer=parsed)


def _text(data: bytes) -> str:
    return base64url.encode(data)


async def test_every_published_key_is_proved(it: Installation) -> None:
    asked = challenges(it)
    for each in asked:
        proved = conclude(each, await answer(it, each))
        assert (proved.kid, proved.purpose) == (each.published.kid, each.published.purpose)
    told = await it.events(AuditAction.KEY_PROVED)
    assert [event.object for event in told] == [each.published.kid for each in asked]


async def test_an_answer_for_another_key_or_nonce_convinces_nobody(it: Installation) -> None:
    first, second, *_ = challenges(it)
    with pytest.raises(BindingRejected) as refused:
        conclude(first, await answer(it, first, kid=second.published.kid))
    assert refused.value.reason is Reason.NONCE_MISMATCH
    again = challenges(it, b"another day")[0]
    stored = await answer(it, first)
    fresh = await answer(it, again)
    mixed = IssuerProof(secret=fresh.secret, certified=stored.certified)
    with pytest.raises(BindingRejected) as refused:
        conclude(again, mixed)
    assert refused.value.reason is Reason.NONCE_MISMATCH


async def test_a_credential_for_another_tpm_is_refused_and_nothing_certified(
    it: Installation,
) -> None:
    asked = challenges(it)[0]
    certified = it.tpm.commands.count("certify")
    with pytest.raises(Refused) as refused:
        await it.keys.prove(
            kid=asked.published.kid,
            nonce=asked.nonce,
            credential_blob=asked.credential_blob[:-1] + b"\0",
            encrypted_secret=asked.encrypted_secret,
        )
    assert refused.value.reason is Reason.HARDWARE_REFUSED
    assert it.tpm.commands.count("certify") == certified


async def test_no_proof_leaves_without_its_record(it: Installation) -> None:
    asked = challenges(it)[0]
    it.store.fails = lambda events: True
    with pytest.raises(Unavailable):
        await answer(it, asked)
