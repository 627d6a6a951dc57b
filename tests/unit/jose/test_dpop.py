from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import KeysteadError, Malformed, ProofRejected, Reason
from keystead.jose import dpop, jws
from tests.jose_keys import bent_proof, compact, private_key, proof, public_jwk

NOW = 1_000_000
TOKEN = "access.token.text"
URL = "https://server.example/token"


def verify(proofs: Sequence[str] | str, **changes: object) -> dpop.Proof:
    arguments = {
        "method": "POST",
        "url": URL,
        "now": NOW,
        "access_token": None,
        "expected_jkt": None,
        "nonce": None,
        **changes,
    }
    return dpop.verify_proof(proofs, **arguments)


def refused(proofs: Sequence[str] | str, **changes: object) -> tuple[Reason, int | None]:
    with pytest.raises(ProofRejected) as caught:
        verify(proofs, **changes)
    return caught.value.reason, caught.value.step


def malformed(proofs: Sequence[str] | str, **changes: object) -> Reason:
    with pytest.raises(Malformed) as caught:
        verify(proofs, **changes)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "EdDSA"])
def test_accepts_a_good_proof(algorithm: str) -> None:
    accepted = verify(proof(algorithm=algorithm))
    key = public_jwk(algorithm)
    assert accepted == dpop.Proof(
        jkt=key.thumbprint, jti="jti-of-a-test", issued_at=NOW, nonce=None, key=key
    )


def test_accepts_a_proof_for_a_token_its_key_and_a_nonce() -> None:
    asked: list[str | None] = []
    good = proof(access_token=TOKEN, nonce="fresh")
    jkt = public_jwk().thumbprint
    accepted = verify([good], access_token=TOKEN, expected_jkt=jkt, nonce=asked.append)
    assert (accepted.nonce, asked) == ("fresh", ["fresh"])


def test_step_1_there_is_exactly_one_proof() -> None:
    assert refused([]) == (Reason.PROOF_MISSING, 1)
    assert malformed("") is malformed([""]) is Reason.MALFORMED
    assert refused([proof(), proof()]) == (Reason.PROOF_NOT_SINGLE, 1)
    assert refused(f"{proof()}, {proof()}") == (Reason.PROOF_NOT_SINGLE, 1)
    assert refused([f"{proof()},"]) == (Reason.PROOF_NOT_SINGLE, 1)


def test_step_2_rejects_what_is_no_jwt() -> None:
    assert malformed(proof()[:-1]) is Reason.MALFORMED
    assert malformed("x" * (dpop.MAX_PROOF_BYTES + 1)) is Reason.TOO_LARGE
    assert refused(bent_proof(header={"crit": ["b64"]})) == (Reason.CRITICAL_HEADER_UNKNOWN, 2)


@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
def test_step_3_rejects_a_missing_claim(name: str) -> None:
    assert refused(bent_proof(claims={name: None})) == (Reason.CLAIM_MISSING, 3)


@pytest.mark.parametrize("name", ["jwk", "typ"])
def test_step_3_rejects_a_missing_header(name: str) -> None:
    assert refused(bent_proof(header={name: None})) == (Reason.CLAIM_MISSING, 3)


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": 7},
        {"jti": ""},
        {"jti": "x\0y"},
        {"htm": ["POST"]},
        {"htu": 7},
        {"htu": "/token"},
        {"htu": "https://user@server.example/token"},
        {"htu": "https://server.example/token\0"},
        {"iat": "1000000"},
        {"iat": True},
        {"iat": -1},
        {"nonce": 7},
        {"ath": 7},
    ],
)
def test_step_3_rejects_claims_of_another_type(claims: dict[str, object]) -> None:
    assert malformed(bent_proof(claims=claims)) is Reason.MALFORMED


def test_step_3_lengths_are_bounded() -> None:
    assert len(verify(bent_proof(claims={"jti": "x" * 256})).jti) == dpop.MAX_JTI_CHARS
    for claims in ({"jti": "x" * 257}, {"nonce": "x" * 257}, {"htm": "x" * 33}):
        assert malformed(bent_proof(claims=claims)) is Reason.TOO_LARGE
    assert malformed(bent_proof(claims={"htu": URL + "x" * 2_048})) is Reason.TOO_LARGE


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "dpop", "dpop+jwt2"])
def test_step_4_rejects_another_type(typ: str) -> None:
    assert refused(bent_proof(header={"typ": typ})) == (Reason.TYPE_MISMATCH, 4)


def test_step_4_a_media_type_has_no_case() -> None:
    assert verify(bent_proof(header={"typ": "application/DPoP+JWT"})).jti


@pytest.mark.parametrize("name", ["none", "HS256", "es256", "RS512", "dir"])
def test_step_5_rejects_an_algorithm_outside_the_table(name: str) -> None:
    assert refused(bent_proof(header={"alg": name})) == (Reason.ALGORITHM_NOT_ALLOWED, 5)


def test_step_5_rejects_an_algorithm_that_is_not_among_the_callers() -> None:
    allowed = frozenset({"RS256"})
    assert refused(proof(), algorithms=allowed) == (Reason.ALGORITHM_NOT_ALLOWED, 5)


def test_step_6_rejects_another_keys_signature() -> None:
    other = public_jwk(name="another").members
    assert refused(bent_proof(header={"jwk": other})) == (Reason.SIGNATURE_INVALID, 6)


def test_step_6_alg_and_jwk_belong_together() -> None:
    assert refused(bent_proof(header={"alg": "ES384"})) == (Reason.KEY_UNSUITABLE, 6)
    okp = public_jwk("EdDSA").members
    assert refused(bent_proof(header={"jwk": okp})) == (Reason.KEY_UNSUITABLE, 6)
    assert refused(bent_proof(header={"jwk": {"kty": "oct"}})) == (Reason.KEY_UNSUITABLE, 6)


@pytest.mark.parametrize("jwk", [7, "key", [], None, {}, {"kty": "EC"}])
def test_step_6_rejects_a_jwk_that_is_none(jwk: object) -> None:
    header = {**jws.parse_compact(proof()).header, "jwk": jwk}
    claims = {"jti": "x", "htm": "POST", "htu": URL, "iat": NOW}
    assert malformed(compact(header, claims)) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["d", "p", "k"])
def test_step_7_rejects_a_private_key(name: str) -> None:
    jwk = {**public_jwk().members, name: "AQAB"}
    assert refused(bent_proof(header={"jwk": jwk})) == (Reason.PRIVATE_KEY_MEMBER, 7)


@pytest.mark.parametrize("method", ["GET", "post", "Post", "POST "])
def test_step_8_rejects_another_method(method: str) -> None:
    assert refused(proof(), method=method) == (Reason.METHOD_MISMATCH, 8)


@pytest.mark.parametrize(
    "url",
    [
        "https://server.example:443/token",
        "HTTPS://SERVER.example/token?grant=x#y",
        "https://server.example/./%74oken",
    ],
)
def test_step_9_accepts_another_spelling_of_the_url(url: str) -> None:
    assert verify(proof(), url=url).jti
    assert verify(bent_proof(claims={"htu": url})).jti


@pytest.mark.parametrize(
    "url",
    [
        "http://server.example/token",
        "https://server.example/Token",
        "https://server.example/token/",
        "https://server.example:8443/token",
        "https://server.example.evil.example/token",
        "https://server.example/",
    ],
)
def test_step_9_rejects_another_url(url: str) -> None:
    assert refused(proof(), url=url) == (Reason.URL_MISMATCH, 9)


def test_step_10_the_nonce_check_decides_and_sees_an_absent_nonce() -> None:
    def demand(nonce: str | None) -> None:
        if nonce is None:
            raise ProofRejected(Reason.NONCE_REQUIRED, step=10)
        raise ProofRejected(Reason.NONCE_INVALID, step=10)

    assert refused(proof(), nonce=demand) == (Reason.NONCE_REQUIRED, 10)
    assert refused(proof(nonce="stale"), nonce=demand) == (Reason.NONCE_INVALID, 10)


@pytest.mark.parametrize(("max_age_s", "leeway_s"), [(60, 5), (10, 0)])
def test_step_11_both_edges_are_exact(max_age_s: int, leeway_s: int) -> None:
    window = {"max_age_s": max_age_s, "leeway_s": leeway_s}
    oldest, newest = NOW + max_age_s + leeway_s, NOW - leeway_s
    assert verify(proof(), now=oldest, **window).issued_at == NOW
    assert verify(proof(), now=newest, **window).issued_at == NOW
    assert refused(proof(), now=oldest + 1, **window) == (Reason.PROOF_TOO_OLD, 11)
    assert refused(proof(), now=newest - 1, **window) == (Reason.PROOF_IN_FUTURE, 11)


def test_step_11_fractions_are_rounded_down() -> None:
    assert verify(bent_proof(claims={"iat": NOW + 0.9})).issued_at == NOW


def test_step_12_rejects_another_tokens_hash_and_none() -> None:
    for bent in (proof(), proof(access_token="another"), bent_proof(claims={"ath": "x" * 43})):
        assert refused(bent, access_token=TOKEN) == (Reason.TOKEN_HASH_MISMATCH, 12)


def test_step_12_rejects_another_key_than_the_tokens() -> None:
    jkt = public_jwk(name="another").thumbprint
    assert refused(proof(), expected_jkt=jkt) == (Reason.KEY_BINDING_MISMATCH, 12)


def test_checks_run_in_the_order_of_their_numbers() -> None:
    claims = {"htm": "GET", "htu": "https://other.example/", "iat": 0}
    reasons = []
    for _ in range(3):
        reasons.append(refused(bent_proof(claims=claims))[0])
        claims.pop(next(iter(claims)))
    expected = [Reason.METHOD_MISMATCH, Reason.URL_MISMATCH, Reason.PROOF_TOO_OLD]
    assert reasons == expected


@pytest.mark.parametrize(("max_age_s", "leeway_s"), [(60, 5), (10, 0), (1, 30)])
def test_a_proof_stays_remembered_for_as_long_as_it_would_be_accepted(
    max_age_s: int, leeway_s: int
) -> None:
    window = {"max_age_s": max_age_s, "leeway_s": leeway_s}
    first_use = NOW - leeway_s
    verify(proof(), now=first_use, **window)
    forgotten = first_use + dpop.replay_window_s(**window)
    assert refused(proof(), now=forgotten, **window) == (Reason.PROOF_TOO_OLD, 11)
    assert verify(proof(), now=forgotten - 1, **window).issued_at == NOW


def test_token_hash_of_what_is_not_ascii_is_malformed() -> None:
    with pytest.raises(Malformed):
        dpop.access_token_hash("tökén")


def test_proof_signing_input_holds_what_rfc9449_asks_for() -> None:
    message = dpop.proof_signing_input(
        public_jwk(kid="never shown"),
        method="GET",
        url="HTTPS://Server.Example:443/a?b#c",
        jti="one",
        issued_at=NOW,
        access_token=TOKEN,
        nonce="fresh",
    )
    parsed = jws.parse_compact(jws.assemble(message, b""))
    assert parsed.header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk().members}
    expected = (
        b'{"jti":"one","htm":"GET","htu":"https://server.example/a","iat":1000000,'
        b'"ath":"%s","nonce":"fresh"}' % dpop.access_token_hash(TOKEN).encode()
    )
    assert parsed.payload == expected


@given(
    st.dictionaries(
        st.sampled_from(["jti", "htm", "htu", "iat", "nonce", "ath"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    )
)
def test_leaks_nothing_but_keystead_errors(claims: dict[str, object]) -> None:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk().members}
    with suppress(KeysteadError):
        verify(compact(header, claims, key=private_key()))
