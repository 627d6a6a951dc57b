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
    TokenRejected,
    Unavailable,
)
from keystead.model import Freshness, Protection, VerifiedToken
from keystead.relying import ReplayMemory, ResidencyRequirement, RollingNonces, Verifier
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
    jwks,
    proof,
    refusal,
    request,
    residency,
    spoilt,
    token,
    verifier,
)


def accept(check: Verifier, access_token: str | None = None, *, now: int = NOW) -> VerifiedToken:
    sent = request(access_token, iat=now)
    return check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=now)


def refused(
    access_token: str, *, now: int = NOW, error: type = TokenRejected, **options: Any
) -> tuple[Reason, int | None]:
    found = refusal(verifier(**options), request(access_token), now=now)
    assert type(found) is error
    return found.reason, found.step


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


CLAIMS: list[tuple[str, object, Reason, Step]] = [
    ("iss", LEAVE_OUT, Reason.CLAIM_MISSING, Step.ISSUER),
    ("iss", ["x"], Reason.CLAIM_INVALID, Step.ISSUER),
    ("iss", ISSUER + "/", Reason.ISSUER_MISMATCH, Step.ISSUER),
    ("aud", LEAVE_OUT, Reason.CLAIM_MISSING, Step.AUDIENCE),
    ("aud", None, Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("aud", [], Reason.AUDIENCE_MISMATCH, Step.AUDIENCE),
    ("aud", AUDIENCE + "/", Reason.AUDIENCE_MISMATCH, Step.AUDIENCE),
    ("aud", [AUDIENCE, 7], Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("aud", [AUDIENCE] * 21, Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("exp", LEAVE_OUT, Reason.CLAIM_MISSING, Step.TIMES),
    ("exp", str(NOW + 60), Reason.CLAIM_INVALID, Step.TIMES),
    ("exp", True, Reason.CLAIM_INVALID, Step.TIMES),
    ("exp", -1, Reason.CLAIM_INVALID, Step.TIMES),
    ("iat", LEAVE_OUT, Reason.CLAIM_MISSING, Step.TIMES),
    ("iat", None, Reason.CLAIM_INVALID, Step.TIMES),
    ("nbf", "soon", Reason.CLAIM_INVALID, Step.TIMES),
    ("nbf", NOW + 6, Reason.NOT_YET_VALID, Step.TIMES),
    ("iat", NOW - 101, Reason.LIFETIME_TOO_LONG, Step.LIFETIME),
    ("exp", NOW - 10, Reason.EXPIRED, Step.TIMES),
    ("sub", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("sub", "", Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("sub", 7, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("sub", "u\x00v", Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("client_id", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("client_id", {}, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("jti", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("jti", "j" * 257, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("txn", 1, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("act", None, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", AGENT, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", {}, Reason.CLAIM_MISSING, Step.ACTOR),
    ("act", {"sub": AGENT, "act": {"iss": "x"}}, Reason.CLAIM_MISSING, Step.ACTOR),
    ("act", {"sub": AGENT, "iss": 1}, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", {"sub": AGENT, "attestation": []}, Reason.CLAIM_INVALID, Step.ACTOR),
    ("scope", ["orders:read"], Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", "", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", "a  b", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", " a", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", 'a"b', Reason.CLAIM_INVALID, Step.SCOPE),
    ("aal", 0, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", 4, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", "3", Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", True, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("acr", 3, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("amr", "pop", Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("amr", ["x"] * 17, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("auth_time", NOW + 6, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("cnf", LEAVE_OUT, Reason.BINDING_MISSING, Step.CONFIRMATION),
    ("cnf", {}, Reason.BINDING_MISSING, Step.CONFIRMATION),
    ("cnf", None, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": 7}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "short"}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "A" * 42 + "B"}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "A" * 43, "x5t#S256": "A" * 43}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
]


@pytest.mark.parametrize(("name", "value", "reason", "step"), CLAIMS)
def test_rejects_another_claim(name: str, value: object, reason: Reason, step: Step) -> None:
    assert refused(token(**{name: value})) == (reason, step)


RESIDENCIES: list[tuple[Mapping[str, object], Reason]] = [
    *[({name: LEAVE_OUT}, Reason.CLAIM_MISSING) for name in residency()],
    *[({name: 7.5}, Reason.CLAIM_INVALID) for name in residency()],
    ({"kind": "crystal"}, Reason.CLAIM_INVALID),
    ({"protection": "total"}, Reason.CLAIM_INVALID),
    ({"freshness": "stale"}, Reason.CLAIM_INVALID),
    ({"hardware": 1}, Reason.CLAIM_INVALID),
    ({"result": "A" * 44}, Reason.CLAIM_INVALID),
    ({"verified_at": NOW + 6}, Reason.CLAIM_INVALID),
    # What no TPM evidence proves, and hardware where nothing was proved.
    ({"protection": "measured-code"}, Reason.CLAIM_INVALID),
    ({"protection": "none", "hardware": True}, Reason.CLAIM_INVALID),
]


@pytest.mark.parametrize(("changes", "reason"), RESIDENCIES)
def test_rejects_another_residency(changes: Mapping[str, object], reason: Reason) -> None:
    cnf = {"jkt": public_jwk(name="holder").thumbprint, "residency": residency(**changes)}
    assert refused(token(cnf=cnf)) == (reason, Step.RESIDENCY)


def test_rejects_a_residency_that_is_no_object() -> None:
    cnf = {"jkt": public_jwk(name="holder").thumbprint, "residency": "tpm2"}
    assert refused(token(cnf=cnf)) == (Reason.CLAIM_INVALID, Step.RESIDENCY)


def test_skew_is_forgiven_to_the_second_and_no_further() -> None:
    check = verifier(leeway_s=5)
    accept(check, token(exp=NOW - 4, iat=NOW - 100))
    assert refused(token(exp=NOW - 5, iat=NOW - 100)) == (Reason.EXPIRED, Step.TIMES)
    accept(check, token(iat=NOW + 5))
    assert refused(token(iat=NOW + 6)) == (Reason.NOT_YET_VALID, Step.TIMES)
    accept(check, token(nbf=NOW + 5))
    accept(check, token(iat=NOW - 100, exp=NOW + 200))


def test_rejects_a_life_that_ends_before_it_begins() -> None:
    assert refused(token(iat=NOW, exp=NOW)) == (Reason.CLAIM_INVALID, Step.LIFETIME)


def test_act_chains_end() -> None:
    def chain(depth: int) -> dict[str, object]:
        return {"sub": AGENT, "act": chain(depth - 1)} if depth > 1 else {"sub": AGENT}

    assert len(accept(verifier(), token(act=chain(8))).actors) == 8
    assert refused(token(act=chain(9))) == (Reason.CLAIM_INVALID, Step.ACTOR)


def test_rejects_what_is_no_token_as_malformed() -> None:
    good = token()
    for bad in ("", ".", "..", good[: good.rindex(".")], good + "=", good + ".x", "é" + good):
        found = refusal(
            verifier(), request(good).__class__(token=bad, proof=proof(good), method="GET", url=URL)
        )
        assert (type(found), found.step) == (Malformed, Step.DECODE)


PAYLOADS = [
    (b"", Reason.MALFORMED),
    (b"[]", Reason.MALFORMED),
    (b'{"iss": NaN}', Reason.MALFORMED),
    (b'{"iss":"a","iss":"b"}', Reason.DUPLICATE_MEMBER),
    (b'{"act":' * 17 + b"1" + b"}" * 17, Reason.TOO_LARGE),
    (b'{"x":"' + b"y" * 8_192 + b'"}', Reason.TOO_LARGE),
]


@pytest.mark.parametrize(("payload", "reason"), PAYLOADS)
def test_rejects_a_payload_that_is_not_one_strict_object(payload: bytes, reason: Reason) -> None:
    assert refused(token(payload), error=Malformed) == (reason, Step.DECODE)


# --- requirements ---------------------------------------------------------------------------------


def test_requires_scopes() -> None:
    accept(verifier(scopes_required=["orders:list", "orders:read"]))
    found = refused(token(), scopes_required=["orders:read", "orders:write"])
    assert found == (Reason.SCOPE_INSUFFICIENT, Step.SCOPES_REQUIRED)
    assert refused(token(scope=LEAVE_OUT), scopes_required=["x"])[0] is Reason.SCOPE_INSUFFICIENT


def test_a_request_can_require_more_scopes() -> None:
    sent = request()
    check = verifier(scopes_required=["orders:read"])
    with pytest.raises(TokenRejected) as caught:
        check.verify_request(sent.token, sent.proof, "GET", URL, now=NOW, scopes=["orders:write"])
    assert (caught.value.reason, caught.value.detail) == (
        Reason.SCOPE_INSUFFICIENT,
        "orders:write",
    )


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"minimum_aal": 3}, {"aal": 2}),
        ({"minimum_aal": 1}, {"aal": LEAVE_OUT}),
        ({"acr_values": ["phrh"]}, {"acr": "phr"}),
        ({"acr_values": ["phr", "phrh"]}, {"acr": LEAVE_OUT}),
        ({"max_authentication_age_s": 600}, {"auth_time": NOW - 606}),
        ({"max_authentication_age_s": 600}, {"auth_time": LEAVE_OUT}),
    ],
)
def test_requires_a_sign_in(options: dict[str, Any], changes: dict[str, object]) -> None:
    accept(verifier(**options))
    expected = (Reason.AUTHENTICATION_INSUFFICIENT, Step.AUTHENTICATION_REQUIRED)
    assert refused(token(**changes), **options) == expected


SOFT = ResidencyRequirement(hardware=False)


@pytest.mark.parametrize(
    ("requirement", "changes"),
    [
        (ResidencyRequirement(), {"hardware": False}),
        (SOFT, {"protection": "none", "hardware": False}),
        (SOFT, {"freshness": "bearer"}),
        (ResidencyRequirement(hardware=False, max_age_s=60), {"verified_at": NOW - 66}),
        (ResidencyRequirement(hardware=False, policies=frozenset({"a/1"})), {"policy": "a/2"}),
    ],
)
def test_requires_a_residency(
    requirement: ResidencyRequirement, changes: dict[str, object]
) -> None:
    good = {"hardware": True, "policy": "a/1", "verified_at": NOW - 65}
    jkt = public_jwk(name="holder").thumbprint
    options = {"require_residency": requirement}
    accept(verifier(**options), token(cnf={"jkt": jkt, "residency": residency(**good)}))
    expected = (Reason.RESIDENCY_INSUFFICIENT, Step.RESIDENCY_REQUIRED)
    bad = residency(**{**good, **changes})
    assert refused(token(cnf={"jkt": jkt, "residency": bad}), **options) == expected
    assert refused(token(cnf={"jkt": jkt}), **options) == expected


def test_bearer_freshness_can_be_allowed() -> None:
    requirement = ResidencyRequirement(hardware=False, freshness=frozenset(Freshness))
    cnf = {
        "jkt": public_jwk(name="holder").thumbprint,
        "residency": residency(freshness="bearer"),
    }
    accept(verifier(require_residency=requirement), token(cnf=cnf))


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
        {"leeway_s": -1},
        {"leeway_s": 61},
        {"proof_max_age_s": 0},
        {"proof_max_age_s": 601},
        {"max_token_lifetime_s": 0},
        {"require_residency": ResidencyRequirement(protections=frozenset())},
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
