"""Every combination of faults: a batch names the same first one as the readable path."""

import json
from itertools import product
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import ConfigurationError, Reason
from keystead.model import EvidenceKind, Freshness, Protection, VerifiedToken
from keystead.relying import RequestToVerify, ResidencyRequirement
from tests.bent_tokens import NAMES, issuer_jwks
from tests.differential.test_tokens import OneNonce, Outcome, check_same
from tests.jose_keys import compact, private_key, public_jwk
from tests.relying_tokens import (
    AUDIENCE,
    ISSUER,
    LEAVE_OUT,
    NOW,
    RESULT,
    URL,
    claims,
    jwks,
    proof,
    residency,
    spoilt,
    token,
    verifier,
)

BASIC = {"issuer": ISSUER, "jwks": jwks(), "audience": AUDIENCE}


def request(access_token: str, proof_value: Any = None, **changes: str) -> RequestToVerify:
    return RequestToVerify(
        token=access_token, proof=proof_value, **{"method": "GET", "url": URL, **changes}
    )


def reasons(outcomes: list[Outcome]) -> set[Reason | None]:
    return {None if isinstance(found, VerifiedToken) else found[1] for found in outcomes}


def test_faults_of_a_proof_are_found_in_the_same_order() -> None:
    access_token = token()
    requests = [
        request(
            access_token,
            spoilt(sent) if spoil else sent,
            method=method,
            url=url,
        )
        for spoil, key, method, url in product(
            (False, True), ("holder", "other"), ("GET", "POST"), (URL, URL + "/", "a" * 2_049)
        )
        for iat, nonce, ath in product(
            (NOW, NOW - 66, NOW + 6), ("good", "bad", LEAVE_OUT), (None, LEAVE_OUT)
        )
        for sent in [
            proof(
                access_token,
                key=key,
                iat=iat,
                nonce=nonce,
                **({} if ath is None else {"ath": ath}),
            )
        ]
    ]
    for nonces in (None, OneNonce()):
        found = reasons(check_same(requests, {**BASIC, "nonces": nonces}, capacity=1_000))
        assert found >= {None, Reason.SIGNATURE_INVALID, Reason.METHOD_MISMATCH, Reason.TOO_LARGE}
        assert found >= {Reason.PROOF_TOO_OLD, Reason.KEY_BINDING_MISMATCH, Reason.URL_MISMATCH}
        assert (Reason.NONCE_REQUIRED in found) == (nonces is not None)


# --- keys ----------------------------------------------------------------------------------------


def _number(bits: int, *, odd: bool = True) -> str:
    return base64url.encode(((1 << bits - 1) | 1 << 77 | odd).to_bytes((bits + 7) // 8, "big"))


def _keys() -> list[dict[str, Any]]:
    ec, okp = dict(public_jwk().members), dict(public_jwk("Ed25519").members)
    other, rsa = public_jwk(name="other").members, dict(public_jwk("PS256").members)
    high = base64url.encode(b"\xff" * 32)
    keys = [ec, okp, rsa, dict(public_jwk("ES512").members), {**ec, "y": other["y"]}]
    keys += [
        {**ec, "x": high},
        {**ec, "x": "AAAA"},
        {**ec, "y": high + "A"},
        {**ec, "crv": "P-384"},
    ]
    keys += [{**ec, "crv": "secp256k1"}, {**ec, "x": 7}, {**ec, "kty": "oct"}, {"kty": "EC"}, {}]
    prime = 2**255 - 19
    order_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    small = (0, 1, prime - 1, order_8, prime - order_8)
    for y in (*small, 2, order_8 - 1, prime - 2, prime, 2**255 - 1):
        for sign in (0, 2**255):
            keys += [{**okp, "x": base64url.encode((y | sign).to_bytes(32, "little"))}]
    keys += [{**rsa, "n": _number(bits)} for bits in (2_047, 2_048, 8_192, 8_193)]
    keys += [{**rsa, "n": _number(2_048, odd=False)}, {**rsa, "n": "AA" + rsa["n"]}]
    keys += [
        {**rsa, "e": e}
        for e in ("Aw", "AAEAAQ", "AQAA", "_____w", "AQAAAAE", "AQABAAE", "", "é", 3)
    ]
    return keys


METADATA: tuple[dict[str, Any], ...] = (
    {},
    {"kid": ""},
    {"kid": "k" * 257, "use": "enc"},
    {"alg": "ES256"},
    {"alg": "EdDSA"},
    {"alg": "PS256"},
    {"alg": "none"},
    {"alg": None},
    {"use": "enc"},
    {"use": "sig", "key_ops": ["sign", "verify"]},
    {"key_ops": []},
    {"key_ops": ["verify", 1]},
    {"key_ops": ["verify"] * 101},
    {"d": None},
    {"oth": "", "kty": 1},
)


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "PS256"])
def test_keys_in_proofs_are_judged_alike(algorithm: str) -> None:
    access_token = token()
    payload = {"jti": "j", "htm": "GET", "htu": URL, "iat": NOW}
    requests = []
    for key, metadata in product(_keys(), METADATA):
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": {**key, **metadata}}
        signer = private_key(algorithm)
        requests.append(
            request(access_token, compact(header, payload, key=signer, algorithm=algorithm))
        )
    found = reasons(check_same(requests, BASIC))
    assert found >= {Reason.PRIVATE_KEY_MEMBER, Reason.KEY_UNSUITABLE, Reason.TOKEN_HASH_MISMATCH}


def test_keys_of_the_issuer_are_judged_alike() -> None:
    kids = [key["kid"] for key in issuer_jwks()["keys"]]
    kids += ["", None, "k" * 256, "k" * 257, "a\0", "unknown", LEAVE_OUT, "é", 7]
    tokens = [
        token(header={"kid": kid, "alg": algorithm}, algorithm=algorithm)
        for kid, algorithm in product(kids, NAMES)
    ]
    configured = {**BASIC, "jwks": issuer_jwks(), "allowed_algorithms": NAMES}
    found = reasons(check_same([request(sent, proof(sent)) for sent in tokens], configured))
    assert found >= {None, Reason.KEY_UNKNOWN, Reason.KEY_UNSUITABLE, Reason.MALFORMED}


# --- claims --------------------------------------------------------------------------------------


def test_residency_in_all_combinations_is_judged_alike() -> None:
    jkt = public_jwk().thumbprint
    tokens = [
        token(cnf={"jkt": jkt, "residency": residency(**dict(zip(NAMED, values, strict=True)))})
        for values in product(
            (*EvidenceKind, "sgx"), Protection, (True, False), Freshness, (NOW - 31, NOW + 5)
        )
    ]
    requests = [request(sent) for sent in tokens]
    everything = ResidencyRequirement(
        protections=frozenset(Protection), hardware=False, freshness=frozenset(Freshness)
    )
    required = (None, ResidencyRequirement(), everything, ResidencyRequirement(max_age_s=25))
    for requirement in required:
        configured = {**BASIC, "require_residency": requirement}
        check_same(requests, configured)


NAMED = ("kind", "protection", "hardware", "freshness", "verified_at")


@pytest.mark.parametrize("depth", range(11))
def test_faults_in_chains_of_actors_are_found_in_the_same_order(depth: int) -> None:
    faults: tuple[dict[str, Any], ...] = (
        {},
        {"sub": LEAVE_OUT},
        {"sub": ""},
        {"iss": None},
        {"attestation": 7, "sub": LEAVE_OUT},
        {"act": None},
        {"act": []},
        {"act": {}},
    )
    tokens = []
    for at, fault in product(sorted({0, depth // 2, max(depth - 1, 0)}), faults):
        act: Any = LEAVE_OUT
        for link in range(depth):
            members = {"sub": "agent", "act": act, **(fault if link == at else {})}
            act = {name: value for name, value in members.items() if value is not LEAVE_OUT}
        tokens.append(token(act=act))
    check_same([request(sent) for sent in tokens], BASIC)


def test_an_age_of_zero_is_looked_at() -> None:
    """It is not "not looked at"; what is below it is refused when a verifier is made."""
    for ago_s, unmet in ((5, None), (6, Reason.AUTHENTICATION_INSUFFICIENT)):
        sent = token(auth_time=NOW - ago_s)
        good = [request(sent, proof(sent))]
        assert reasons(check_same(good, {**BASIC, "max_authentication_age_s": 0})) == {unmet}
    required = ResidencyRequirement(hardware=False, max_age_s=0)
    found = check_same([request(token())], {**BASIC, "require_residency": required})
    assert reasons(found) == {Reason.RESIDENCY_INSUFFICIENT}
    for age_s in (-1, -1_000, -(2**80)):
        with pytest.raises(ConfigurationError):
            verifier(max_authentication_age_s=age_s)
        with pytest.raises(ConfigurationError):
            verifier(require_residency=ResidencyRequirement(max_age_s=age_s))


def test_an_unbound_token_with_any_proof_is_judged_alike() -> None:
    unbound, bound = token(cnf=LEAVE_OUT), token()
    sent = proof(bound)
    proofs: tuple[Any, ...] = (None, "", [], (), [""], "a", [sent], (sent,), [sent, sent])
    proofs += (
        f"{sent},{sent}",
        ",",
        ["é"],
        "é,",
        "é" * 8_193,
        "a" * 8_192,
        "a" * 8_193,
        [sent, None],
    )
    requests = [request(access, value) for access in (unbound, bound) for value in proofs]
    for required in (True, False):
        check_same(requests, {**BASIC, "dpop_required": required})


def test_every_fault_of_claims_is_found_before_a_later_one() -> None:
    wrong = {
        "iss": "x",
        "aud": "x",
        "exp": NOW - 100,
        "sub": "",
        "act": {},
        "scope": " ",
        "aal": 4,
        "cnf": {"jkt": RESULT, "x": 1},
    }
    names = list(wrong)
    tokens = []
    for chosen in product((False, True), repeat=len(names)):
        changes = {name: wrong[name] for name, use in zip(names, chosen, strict=True) if use}
        body = json.dumps(claims(**changes)).encode()
        tokens.append(
            compact(
                {"typ": "at+jwt", "alg": "ES256", "kid": "token-1"},
                body,
                key=private_key(name="issuer"),
            )
        )
    check_same([request(sent) for sent in tokens], {**BASIC, "scopes_required": ["x"]})
