"""From the evidence to the answer of the API: attest, bind, exchange, call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.appraisal.result import EAR_TYP
from keystead.codec import base64url, json
from keystead.demo import api, oidc_issuer
from keystead.demo.evidence import Evidence, Expected
from keystead.demo.scene import Scene, text
from keystead.demo.web import Refusal, refused, told
from keystead.jose.jwt import Jwt

MAX_TOKEN_LIFETIME_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The attested key: its thumbprint, the attestation result (an EAR JWT) with its id, and what
    tokens of it have to say about where it lives."""

    jkt: str
    result_id: str
    ear: str = field(repr=False)
    residency: Sequence[Expected]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegated:
    """A token, what it says, and the user's token that it was exchanged for."""

    access_token: str = field(repr=False)
    subject_token: str = field(repr=False)
    jti: str
    grant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The request that the API answered with 200, exactly as it was sent."""

    method: str
    url: str
    access_token: str = field(repr=False)
    dpop_proof: str = field(repr=False)


def attest(scene: Scene, evidence: Evidence, *, issuer_ek: str) -> Bound:
    """Evidence and appraisal; then what the signed result says."""
    with scene.story.step("attest", evidence.claim):
        answer = scene.ask_host("attest")
        ear = text(answer, "ear")
        result = scene.verify(ear, purpose="ear", typ=EAR_TYP, audience=None).claims
        submodule = json.get_object(json.get_object(result, "submods"), evidence.kind.value)
        evidence.check_result(
            scene, submodule, issuer_ek=issuer_ek, challenged="eat_nonce" in result
        )
        agent = scene.stage.host.agent
        scene.story.check(answer["spiffe_id"] == agent, f"the key is bound to {agent}")
    return Bound(
        jkt=text(answer, "jkt"),
        result_id=text(answer, "result_id"),
        ear=ear,
        residency=evidence.residency,
    )


def bind(scene: Scene, bound: Bound) -> None:
    """What the service says about the key from now on."""
    check = scene.story.check
    with scene.story.step("bind", "the key gets the agent's name"):
        stored = scene.web.get_text(f"{scene.stage.issuer}/attestation-results/{bound.result_id}")
        digest = base64url.encode(hashlib.sha256(stored.encode()).digest())
        check(stored == bound.ear, "the attestation result can be fetched by its id")
        check(digest == bound.result_id, "its id is its SHA-256, so nobody can exchange it")
        claims = scene.verify(stored, purpose="ear", typ=EAR_TYP, audience=None).claims
        check(text(claims, "cnf", "jkt") == bound.jkt, f"it is about the key {bound.jkt}")


def exchange(scene: Scene, bound: Bound) -> Delegated:
    """The user's token for one that only the attested key can use."""
    stage, check = scene.stage, scene.story.check
    with scene.story.step("exchange", f"{oidc_issuer.USER}'s token for one bound to that key"):
        subject_token = sign_in(scene)
        answer = told(
            scene.ask_host(
                "exchange",
                subject_token=subject_token,
                audience=stage.audience,
                scope=api.READ_SCOPE,
            )
        )
        check(answer.status == 200, f"{answer.status} from {stage.issuer}/token")
        check(answer.body["token_type"] == "DPoP", "token_type DPoP: no bearer token")
        check("refresh_token" in answer.body, "a grant was made; its handle stays with the host")
        token = text(answer.body, "access_token")
        jwt = scene.verify(token, purpose="token", typ="at+jwt", audience=stage.audience)
        check_claims(scene, jwt, bound)
    return Delegated(
        access_token=token,
        subject_token=subject_token,
        jti=text(jwt.claims, "jti"),
        grant=text(jwt.claims, "grant_id"),
    )


def sign_in(scene: Scene) -> str:
    """The user's token for Keystead, from the stand-in identity provider."""
    url = f"{scene.stage.provider}/pretend-sign-in"
    return text(scene.web.post(url, {"audience": scene.stage.issuer}), "access_token")


def check_claims(scene: Scene, jwt: Jwt, bound: Bound) -> None:
    """User, agent and machine, each in its own claim."""
    check, claims = scene.story.check, jwt.claims
    lifetime_s = json.get_int(claims, "exp") - json.get_int(claims, "iat")
    residency = json.get_object(json.get_object(claims, "cnf"), "residency")
    check(claims["sub"] == oidc_issuer.USER, f"sub {claims['sub']!r}, aal {claims['aal']}")
    agent = text(claims, "act", "sub")
    check(agent == scene.stage.host.agent, f"act.sub {agent}")
    check(text(claims, "cnf", "jkt") == bound.jkt, f"cnf.jkt {bound.jkt}: the attested key")
    check(residency["result"] == bound.result_id, "cnf.residency.result: that attestation")
    for each in bound.residency:
        shown = str(each.value).lower()
        check(residency[each.name] == each.value, f"cnf.residency.{each.name} {shown}: {each.why}")
    check(claims["scope"] == api.READ_SCOPE, f"scope {claims['scope']!r}")
    check(lifetime_s <= MAX_TOKEN_LIFETIME_S, f"lives for {lifetime_s} s")


def call(scene: Scene, delegated: Delegated, *, step: str = "call") -> Call:
    """The API answers, and its log names user and agent."""
    stage, host, check = scene.stage, scene.stage.host, scene.story.check
    with scene.story.step(step, f"GET {api.PATH} with that token and a proof by {host.signer}"):
        said = scene.ask_host("call", url=stage.api)
        answer = told(said)
        check(answer.status == 200, f"{answer.status} from {stage.api}")
        check(said["access_token"] == delegated.access_token, "it was that token")
        check(answer.body["user"] == oidc_issuer.USER, f"the API saw user {answer.body['user']!r}")
        check(answer.body["agent"] == host.agent, f"the API saw agent {answer.body['agent']!r}")
        line = _log_line(scene, delegated.jti)
        names = f'user="{oidc_issuer.USER}" agent="{host.agent}"'
        check(names in line, "the API's log shows both:")
        scene.story.note(line)
    return Call(
        method=text(said, "method"),
        url=text(said, "url"),
        access_token=text(said, "access_token"),
        dpop_proof=text(said, "dpop_proof"),
    )


def _log_line(scene: Scene, jti: str) -> str:
    log = scene.stage.api_log.read_text(errors="replace")
    lines = [line for line in log.splitlines() if f'jti="{jti}"' in line]
    scene.story.check(bool(lines), "the API logged the token's jti")
    return lines[-1]


def renew(scene: Scene, delegated: Delegated, bound: Bound) -> Delegated:
    """Another token by the grant's handle; the user is not asked."""
    check = scene.story.check
    with scene.story.step("renew", "another token, without the user, by the same key"):
        answer = told(scene.ask_host("renew"))
        check(answer.status == 200, f"{answer.status}: grant_type=refresh_token with a proof")
        token = text(answer.body, "access_token")
        jwt = scene.verify(token, purpose="token", typ="at+jwt", audience=scene.stage.audience)
        check(text(jwt.claims, "jti") != delegated.jti, "a new token")
        check(jwt.claims["grant_id"] == delegated.grant, f"of the same grant {delegated.grant}")
        check_claims(scene, jwt, bound)
    return Delegated(
        access_token=token,
        subject_token=delegated.subject_token,
        jti=text(jwt.claims, "jti"),
        grant=delegated.grant,
    )


def revoke(scene: Scene, delegated: Delegated) -> Refusal:
    """The grant ends, and with it the renewals."""
    with scene.story.step("revoke", "the grant ends; the host tries to renew all the same"):
        done = scene.keystead("grants", "revoke", delegated.grant)
        scene.story.check(done["revoked"] == delegated.grant, f"grant {delegated.grant} is revoked")
        scene.story.note(f"tokens from before end by themselves, within {MAX_TOKEN_LIFETIME_S} s")
        return refused(
            scene.story,
            "a renewal after revocation",
            told(scene.ask_host("renew")),
            status=400,
            error="invalid_grant",
            reason="grant_revoked",
        )
