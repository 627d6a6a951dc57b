"""One request at a time: what is accepted, and every refusal with its class, reason and step."""

from collections.abc import Mapping
from typing import Any

import pytest

from keystead.errors import (
    ConfigurationError,
    Malformed,
    ProofRejected,
    Reason,
    Replayed,
    Unavailable,
)
from keystead.model import Protection
from keystead.relying import ReplayMemory, ResidencyRequirement, RollingNonces
from keystead.relying.steps import Step
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    AGENT,
    AUDIENCE,
    ISSUER,
    KID,
    LEAVE_OUT,
    NOW,
    URL,
    accept,
    jwks,
    proof,
    refusal,
    refused,
    request,
    spoilt,
    token,
    verifier,
)


def test_tells_everything_about_a_good_request() -> None:
    found = accept(verifier())
    assert (found.user, found.agent, found.client_id) == ("user-7", AGENT, AGENT)
    assert (found.issuer, found.audience) == (ISSUER, (AUDIENCE,))
    assert found.scopes == ("orders:read", "orders:list")
    assert (found.aal, found.acr, found.auth_time) == (3, "phrh", NOW - 600)
    assert found.amr == ("pop", "user", "hwk")
    assert found.jkt == public_jwk(name="holder").thumbprint
    assert found.actor is not None and found.actor.attestation == "tpm2"
    assert found.residency is not None
    assert found.residency.protection is Protection.NON_EXPORTABLE
    assert found.residency.hardware is False
    assert (found.issued_at, found.expires_at, found.txn) == (NOW - 10, NOW + 200, "transaction-1")


def test_accepts_the_media_type_and_other_case_in_typ() -> None:
    accept(verifier(), token(header={"typ": "application/AT+JWT"}))


def test_accepts_an_audience_among_others() -> None:
    access_token = token(aud=["https://other.example", AUDIENCE])
    assert accept(verifier(), access_token).audience == ("https://other.example", AUDIENCE)


def test_accepts_rs256_where_it_is_allowed() -> None:
    check = verifier(jwks=jwks(algorithm="RS256"), allowed_algorithms=["RS256"])
    accept(check, token(algorithm="RS256"))


def test_names_the_actors_current_first() -> None:
    inner = {"sub": "spiffe://example.org/agent/first"}
    found = accept(verifier(), token(act={"sub": AGENT, "act": inner}))
    assert found.actors == (AGENT, "spiffe://example.org/agent/first")


def test_the_client_is_the_agent_where_nobody_else_acts() -> None:
    assert accept(verifier(), token(act=LEAVE_OUT, client_id="job")).agent == "job"


HEADERS: list[tuple[Mapping[str, object], Reason, Step]] = [
    ({"typ": LEAVE_OUT}, Reason.TYPE_MISMATCH, Step.TYPE),
    ({"typ": "JWT"}, Reason.TYPE_MISMATCH, Step.TYPE),
    ({"typ": "dpop+jwt"}, Reason.TYPE_MISMATCH, Step.TYPE),
    ({"alg": "none"}, Reason.ALGORITHM_NOT_ALLOWED, Step.ALGORITHM),
    ({"alg": "HS256"}, Reason.ALGORITHM_NOT_ALLOWED, Step.ALGORITHM),
    ({"alg": "RS256"}, Reason.ALGORITHM_NOT_ALLOWED, Step.ALGORITHM),
    ({"kid": LEAVE_OUT}, Reason.KEY_UNKNOWN, Step.KEY),
    ({"kid": "another"}, Reason.KEY_UNKNOWN, Step.KEY),
    ({"crit": ["exp"]}, Reason.CRITICAL_HEADER_UNKNOWN, Step.DECODE),
    ({"b64": False}, Reason.CRITICAL_HEADER_UNKNOWN, Step.DECODE),
]


@pytest.mark.parametrize(("header", "reason", "step"), HEADERS)
def test_rejects_another_header(header: Mapping[str, object], reason: Reason, step: Step) -> None:
    assert refused(token(header=header)) == (reason, step)


def test_rejects_another_signature() -> None:
    assert refused(spoilt(token())) == (Reason.SIGNATURE_INVALID, Step.SIGNATURE)
    assert refused(token(key="holder")) == (Reason.SIGNATURE_INVALID, Step.SIGNATURE)


def test_rejects_a_key_of_another_algorithm() -> None:
    options = {"jwks": jwks(), "allowed_algorithms": ["ES256", "ES384"]}
    found = refused(token(algorithm="ES384"), **options)
    assert found == (Reason.KEY_UNSUITABLE, Step.SIGNATURE)


def test_rejects_what_is_no_token_as_malformed() -> None:
    good = token()
    for bad in ("", ".", "..", good[: good.rindex(".")], good + "=", good + ".x", "é" + good):
        found = refusal(
            verifier(), request(good).__class__(token=bad, proof=proof(good), method="GET", url=URL)
        )
        assert (type(found), found.step) == (Malformed, Step.DECODE)


# --- proofs ---------------------------------------------------------------------------------------


PROOFS: list[tuple[dict[str, Any], Reason]] = [
    ({"ath": LEAVE_OUT}, Reason.TOKEN_HASH_MISMATCH),
    ({"ath": "A" * 43}, Reason.TOKEN_HASH_MISMATCH),
    ({"key": "thief"}, Reason.KEY_BINDING_MISMATCH),
    ({"htm": "POST"}, Reason.METHOD_MISMATCH),
    ({"htu": "https://api.example/orders/7"}, Reason.URL_MISMATCH),
    ({"htu": "http://api.example/orders"}, Reason.URL_MISMATCH),
    ({"iat": NOW - 66}, Reason.PROOF_TOO_OLD),
    ({"iat": NOW + 6}, Reason.PROOF_IN_FUTURE),
    ({"jti": LEAVE_OUT}, Reason.CLAIM_MISSING),
    ({"header": {"typ": "JWT"}}, Reason.TYPE_MISMATCH),
    ({"header": {"alg": "HS256"}}, Reason.ALGORITHM_NOT_ALLOWED),
]


@pytest.mark.parametrize(("changes", "reason"), PROOFS)
def test_rejects_another_proof(changes: dict[str, Any], reason: Reason) -> None:
    access_token = token()
    found = refusal(verifier(), request(access_token, proof(access_token, **changes)))
    assert (type(found), found.reason) == (ProofRejected, reason)


def test_rejects_a_request_without_its_proof() -> None:
    check = verifier()
    for proofs in (None, []):
        with pytest.raises(ProofRejected) as caught:
            check.verify_request(token(), proofs, "GET", URL, now=NOW)
        assert caught.value.reason is Reason.PROOF_MISSING


def test_rejects_two_proofs() -> None:
    access_token = token()
    check = verifier()
    for proofs in ([proof(access_token)] * 2, f"{proof(access_token)}, {proof(access_token)}"):
        with pytest.raises(ProofRejected) as caught:
            check.verify_request(access_token, proofs, "GET", URL, now=NOW)
        assert caught.value.reason is Reason.PROOF_NOT_SINGLE


def test_a_truncated_proof_is_malformed() -> None:
    access_token = token()
    found = refusal(verifier(), request(access_token, proof(access_token).rpartition(".")[0]))
    assert (type(found), found.step) == (Malformed, Step.PROOF)


def test_accepts_the_other_spellings_of_the_url() -> None:
    check = verifier()
    for url in ("HTTPS://API.example:443/orders", URL + "?page=2#top"):
        sent = request(htu=url)
        check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW)


def test_proofs_are_good_for_a_minute_and_the_skew() -> None:
    check = verifier()
    for iat in (NOW - 65, NOW + 5):
        sent = request(iat=iat)
        check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW)


def test_a_proof_opens_one_request() -> None:
    check, sent = verifier(), request()
    check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=NOW)
    found = refusal(check, sent)
    assert (type(found), found.reason, found.step) == (
        Replayed,
        Reason.PROOF_REPLAYED,
        Step.REPLAY,
    )


def test_a_refused_proof_is_not_used_up() -> None:
    check, sent = verifier(), request()
    with pytest.raises(ProofRejected):
        check.verify_request(sent.token, sent.proof, "POST", URL, now=NOW)
    check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW)


def test_a_full_memory_refuses() -> None:
    check = verifier(replay=ReplayMemory(capacity=1, not_before=0))
    accept(check)
    found = refusal(check, request())
    assert (type(found), found.reason) == (Unavailable, Reason.REPLAY_MEMORY_FULL)


def test_an_empty_memory_of_the_caller_is_used() -> None:
    memory = ReplayMemory(not_before=0)
    accept(verifier(replay=memory))
    assert len(memory) == 1


def test_refuses_proofs_that_the_last_process_may_have_seen() -> None:
    check = verifier()
    check.refuse_proofs_before(NOW)
    assert refusal(check, request(iat=NOW + 4)).reason is Reason.PROOF_TOO_OLD
    accept(check, now=NOW + 5)


def test_nonces_are_demanded_and_checked() -> None:
    nonces = RollingNonces(b"s" * 32)
    check = verifier(nonces=nonces)
    assert refusal(check, request()).reason is Reason.NONCE_REQUIRED
    assert refusal(check, request(nonce="old")).reason is Reason.NONCE_INVALID
    sent = request(nonce=nonces.current(now=NOW))
    check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW)


# --- tokens that nothing binds --------------------------------------------------------------------


def test_an_unbound_token_needs_a_verifier_that_allows_it() -> None:
    check = verifier(dpop_required=False)
    found = check.verify_request(token(cnf=LEAVE_OUT), None, "GET", URL, now=NOW)
    assert (found.jkt, found.residency) == (None, None)
    assert refusal(check, request(token(cnf=LEAVE_OUT))).reason is Reason.BINDING_MISSING


def test_a_bound_token_needs_its_proof_even_where_none_is_required() -> None:
    with pytest.raises(ProofRejected) as caught:
        verifier(dpop_required=False).verify_request(token(), None, "GET", URL, now=NOW)
    assert caught.value.reason is Reason.PROOF_MISSING


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"audience": None},
        {"allowed_algorithms": []},
        {"allowed_algorithms": ["HS256"]},
        {"allowed_algorithms": "ES256"},
        {"scopes_required": "orders:read"},
        {"scopes_required": [""]},
        {"minimum_aal": 0},
        {"minimum_aal": 4},
        {"minimum_aal": True},
        {"max_authentication_age_s": -1},
        {"max_authentication_age_s": 1.5},
        {"dpop_required": "no"},
        {"replay": {}},
        {"nonces": 5},
        {"status_lists": 5},
        {"require_residency": True},
        {"leeway_s": -1},
        {"leeway_s": 61},
        {"proof_max_age_s": 0},
        {"proof_max_age_s": 601},
        {"max_token_lifetime_s": 0},
        {"require_residency": ResidencyRequirement(protections=frozenset())},
        {"jwks": None},
        {"jwks": b"{}"},
        {"jwks": [public_jwk(kid="k").to_dict()]},
        {"jwks": public_jwk(kid="k").to_dict()},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [public_jwk().to_dict()]}},
        {"jwks": "no/such/file.json"},
        {"jwks": "http://issuer.example/jwks"},
        {"jwks": "ftp://issuer.example/jwks"},
    ],
)
def test_refuses_a_configuration_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        verifier(**options)


def test_kid_selects_the_key() -> None:
    both = {"keys": [*jwks(kid="old", algorithm="ES384")["keys"], *jwks(kid=KID)["keys"]]}
    accept(verifier(jwks=both))
    found = refused(token(header={"kid": "old"}), jwks=both)
    assert found == (Reason.KEY_UNSUITABLE, Step.SIGNATURE)


async def test_the_async_call_gives_the_same_answers() -> None:
    check, sent = verifier(), request()
    found = await check.verify_request_async(sent.token, sent.proof, "GET", URL, now=NOW)
    assert found.user == "user-7"
    with pytest.raises(Replayed):
        await check.verify_request_async(sent.token, sent.proof, "GET", URL, now=NOW)
