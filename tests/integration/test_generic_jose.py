"""What Keystead signs verifies with JOSE libraries that others wrote, and the published keys."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import joserfc.errors
import jwt
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.integration.agent.running_service import AGENT, AUDIENCE, SCOPE, USER
from tests.integration.service_harness import installation


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One object of each kind, and the key sets that were published for them."""

    issuer: str
    access_token: str
    proof: str
    ear: str
    checkpoint: str
    key_sets: dict[str, dict]
    jkt: str


@pytest.fixture(scope="module")
def signed(swtpm_ca: SwtpmCa, swtpm_template: Path, other_swtpm_template: Path) -> Iterator[Signed]:
    with (
        Swtpm.copy_of(other_swtpm_template) as service_tpm,
        Swtpm.copy_of(swtpm_template) as host_tpm,
        installation(service_tpm, host_ca=swtpm_ca) as site,
        site.workload(host_tpm) as workload,
        httpx.Client(trust_env=False, base_url=site.http) as http,
    ):
        binding = workload.attest()
        auth = workload.auth(site.running.user_token(), audience=AUDIENCE, scope=SCOPE)
        token = auth.tokens.current().value
        yield Signed(
            issuer=site.http,
            access_token=token,
            proof=workload.proof("GET", f"{AUDIENCE}/calendar", access_token=token),
            ear=binding.ear,
            checkpoint=site.asked("audit", "checkpoint")["checkpoint"],
            key_sets={name: http.get(f"/jwks/{name}").json() for name in ("token", "ear", "audit")},
            jkt=binding.jkt,
        )


Payload = Callable[[str, dict], dict]


def with_pyjwt(token: str, keys: dict) -> dict:
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_aud": False, "verify_exp": True}
    return jwt.decode(token, key, algorithms=["ES256"], options=options)


def with_joserfc(token: str, keys: dict) -> dict:
    found = jws.deserialize_compact(token, KeySet.import_key_set(keys), algorithms=["ES256"])
    return json.loads(found.payload)


libraries = pytest.mark.parametrize("verified", [with_pyjwt, with_joserfc])


@libraries
def test_access_token(signed: Signed, verified: Payload) -> None:
    claims = verified(signed.access_token, signed.key_sets["token"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == (signed.issuer, USER, AUDIENCE)
    assert (claims["act"]["sub"], claims["cnf"]["jkt"]) == (AGENT, signed.jkt)


@libraries
def test_attestation_result(signed: Signed, verified: Payload) -> None:
    claims = verified(signed.ear, signed.key_sets["ear"])
    assert claims["iss"] == signed.issuer
    # An emulated TPM whose PCRs are compared with nothing.
    assert claims["submods"]["tpm2"]["ear.status"] == "warning"
    digest = urlsafe_b64encode(hashlib.sha256(signed.ear.encode()).digest()).rstrip(b"=").decode()
    token = verified(signed.access_token, signed.key_sets["token"])
    assert token["cnf"]["residency"]["result"] == digest


@libraries
def test_checkpoint(signed: Signed, verified: Payload) -> None:
    claims = verified(signed.checkpoint, signed.key_sets["audit"])
    assert claims["iss"] == signed.issuer


@libraries
def test_proof_verifies_with_the_key_that_it_carries(signed: Signed, verified: Payload) -> None:
    header = jwt.get_unverified_header(signed.proof)
    key = ECKey.import_key(header["jwk"])
    assert key.thumbprint() == signed.jkt
    if verified is with_pyjwt:
        options = {"verify_aud": False}
        public = jwt.PyJWK(header["jwk"])
        claims = jwt.decode(signed.proof, public, algorithms=["ES256"], options=options)
    else:
        found = jws.deserialize_compact(signed.proof, key, algorithms=["ES256"])
        claims = json.loads(found.payload)
    assert (claims["htm"], claims["htu"]) == ("GET", f"{AUDIENCE}/calendar")


@libraries
@pytest.mark.parametrize("kind", ["access_token", "ear", "checkpoint"])
def test_another_payload_does_not_verify(signed: Signed, verified: Payload, kind: str) -> None:
    purpose = {"access_token": "token", "ear": "ear", "checkpoint": "audit"}[kind]
    header, payload, signature = getattr(signed, kind).split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    changed = json.dumps({**claims, "iss": "https://other.example"}).encode()
    bent = urlsafe_b64encode(changed).rstrip(b"=").decode()
    with pytest.raises((jwt.InvalidSignatureError, joserfc.errors.BadSignatureError)):
        verified(f"{header}.{bent}.{signature}", signed.key_sets[purpose])


def test_every_purpose_has_a_key_of_its_own(signed: Signed) -> None:
    kids = [key["kid"] for keys in signed.key_sets.values() for key in keys["keys"]]
    assert len(kids) == len(set(kids)) == len(signed.key_sets)
