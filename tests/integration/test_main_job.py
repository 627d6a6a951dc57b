"""The main job in one process: two TPMs, a store, both doors, nothing replaced.

attest → bind → exchange → verify → renew → revoke → refused, and the trail verified by the command.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keystead import Verifier
from keystead.app.process import ADMIN_SOCKET
from keystead.app.settings import door_settings
from keystead.app.wiring import Service, running_service
from keystead.cli import main as keystead
from keystead.codec import tpm2
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.dev import DevSettings, dev_installation, free_ports, prepare
from keystead.errors import ConfigurationError, KeysteadError, Reason
from keystead.evidence import envelope, key_proof
from keystead.evidence import tpm2 as evidence
from keystead.hardware.tpm2 import Tpm2Device
from keystead.identity.subject_claims import TokenType
from keystead.issuance.request import REFRESH_GRANT, TOKEN_EXCHANGE_GRANT
from keystead.jose import dpop, jws
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import AuditAction, EvidenceKind, WrappedKey
from keystead.ports import Endorsement
from keystead.server.run import Doors
from keystead.service.roles import Caller, Role
from keystead.system.entropy import SystemEntropy
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.jose_keys import compact, private_key, public_jwk

HOST = "spiffe://dev.example/host"
AGENT = "spiffe://dev.example/agent"
IDP = "https://idp.example"
API = "https://api.example"
URL = f"{API}/calendar"
DEV = Caller(name="dev", roles=frozenset({Role.ADMINISTRATOR}))
POLICY = f"""
@id("read") permit(principal, action in [Action::"exchange", Action::"renew"], resource)
when {{ ["cal.read"].containsAll(context.scopes) && context.user.aal >= 2 }};
@id("stand-in") @grant_ttl_s("3600")
permit(principal == Agent::"{AGENT}", action == Action::"grant", resource == Audience::"{API}")
when {{
  context.user.issuer == "{IDP}" && context.user.client == "app" &&
  ["cal.read"].containsAll(context.scopes)
}};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A key in the host's TPM, and the AK that speaks for that TPM."""

    device: Tpm2Device
    endorsement: Endorsement
    ak: WrappedKey
    key: WrappedKey

    @classmethod
    async def start(cls, device: Tpm2Device) -> "Workload":
        return cls(
            device=device,
            endorsement=await device.endorsement(),
            ak=await device.create_attestation_key(),
            key=await device.create_signing_key("ES256"),
        )

    @property
    def jwk(self) -> PublicJwk:
        return parse_public(tpm2.jwk_members(tpm2.parse_tpm2b_public(self.key.public)))

    async def sign(self, message: bytes) -> str:
        digest = hashlib.sha256(message).digest()
        return jws.assemble(message, await self.device.sign(self.key, digest))

    async def proof(self, *, url: str, method: str = "POST", **claims: Any) -> str:
        return await self.sign(
            dpop.proof_signing_input(
                self.jwk,
                method=method,
                url=url,
                jti=secrets.token_urlsafe(16),
                issued_at=int(time.time()),
                **claims,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service with its doors open, in this process."""

    service: Service
    state: Path

    async def token(self, workload: Workload, form: Mapping[str, str]) -> Any:
        tokens = self.service.use_cases.tokens
        proof = await workload.proof(url=tokens.token_endpoint, nonce=tokens.fresh_nonce())
        return await tokens.exchange(list(form.items()), proofs=[proof])

    async def exchange(self, workload: Workload, **changes: str) -> Any:
        wanted = {
            "grant_type": TOKEN_EXCHANGE_GRANT,
            "subject_token": user_token(self.service.config.issuer),
            "subject_token_type": TokenType.ID_TOKEN.value,
            "audience": API,
            "scope": "cal.read",
        }
        return await self.token(workload, {**wanted, **changes})

    async def renew(self, workload: Workload, handle: str) -> Any:
        return await self.token(workload, {"grant_type": REFRESH_GRANT, "refresh_token": handle})

    async def attest(self, workload: Workload) -> Any:
        attestations = self.service.use_cases.attestations
        session = attestations.begin("tpm2")
        nonce = session.challenge.nonce
        assert attestations.policy.tpm2 is not None
        quote, pcrs = await workload.device.quote_with_values(
            workload.ak, attestations.policy.tpm2.required_pcrs, qualifying_data=nonce
        )
        certify = await workload.device.certify(
            workload.key, attestation_key=workload.ak, qualifying_data=nonce
        )
        body = evidence.encode(
            endorsement=workload.endorsement,
            ak_public=workload.ak.public,
            quote=quote,
            pcrs=pcrs,
            certify=certify,
            key_public=workload.key.public,
        )
        activation = await session.submit(
            envelope.encode_envelope(
                kind=EvidenceKind.TPM2, nonce=nonce, key=workload.jwk, evidence=body
            ),
            proof=await workload.sign(
                key_proof.key_proof_signing_input(
                    workload.jwk, issuer=self.service.config.issuer, nonce=nonce
                )
            ),
            wanted="",
        )
        secret = await workload.device.activate_credential(
            workload.ak,
            credential_blob=activation.credential_blob,
            encrypted_secret=activation.encrypted_secret,
        )
        return await session.finish(secret)

    async def command(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
        """A ``keystead`` command through the administration socket, and its JSON."""
        options = [*arguments, "--state", str(self.state), "--json"]
        status = await asyncio.to_thread(keystead, options)
        return status, json.loads(capsys.readouterr().out)


def user_token(issuer: str, **claims: object) -> str:
    now = int(time.time())
    said = {
        "iss": IDP,
        "sub": "alice",
        "aud": issuer,
        "azp": "app",
        "iat": now,
        "exp": now + 600,
        "auth_time": now,
        "acr": "phrh",
        "amr": ["hwk"],
        **claims,
    }
    return compact({"alg": "ES256", "kid": "k1", "typ": "JWT"}, said, key=private_key(name="idp"))


@pytest.fixture
def state(tmp_path: Path, swtpm_ca: SwtpmCa) -> Path:
    """A folder to serve from, which trusts its own TPM's CA and the hosts'."""
    folder = tmp_path / "state"
    http_port, grpc_port = free_ports(0, 0)
    settings = DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(
            SubjectIssuerConfig(
                issuer=IDP,
                jwks_file="idp.json",
                audiences=(f"http://127.0.0.1:{http_port}",),
                clients=("app",),
                aal={"phrh": 3},
            ),
        ),
        audiences=(AudienceConfig(uri=API, scopes=("cal.read", "cal.write")),),
        delegation=POLICY,
        anchors={"hosts.pem": swtpm_ca.root_certificate_pem + swtpm_ca.issuer_certificate_pem},
    )
    prepare(folder, settings)
    keys = [public_jwk(name="idp", kid="k1").to_dict()]
    (folder / "idp.json").write_text(json.dumps({"keys": keys}))
    return folder


@pytest.fixture
async def running(state: Path) -> AsyncIterator[Running]:
    with dev_installation(state) as installation:
        config, base = installation.config, installation.folder
        (base / "admin").mkdir(mode=0o700, exist_ok=True)
        async with running_service(config, base=base) as service:
            doors = Doors(
                service.use_cases,
                settings=door_settings(config, base, base / ADMIN_SOCKET),
                entropy=SystemEntropy(),
                queue_depth=service.queue_depth,
            )
            await doors.start()
            try:
                yield Running(service=service, state=base)
            finally:
                await doors.stop()


@pytest.fixture
async def workload(running: Running, swtpm: Swtpm) -> AsyncIterator[Workload]:
    """On a host whose TPM is another than the service's; enrolled and registered."""
    with Tpm2Device(swtpm.tcti) as device:
        made = await Workload.start(device)
        identities = running.service.use_cases.identities
        socket = running.service.use_cases.callers.admin_socket()
        await identities.enrol(
            socket,
            ek_public=made.endorsement.public,
            ek_certificate=made.endorsement.certificate or b"",
            spiffe_id=HOST,
            labels={},
        )
        await identities.create_entry(
            DEV, spiffe_id=AGENT, parent=HOST, kind="tpm2", pcrs={}, labels={}, binding_ttl_s=0
        )
        yield made


async def reason_of(coroutine: Any) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value.reason


async def test_the_main_job(
    running: Running, workload: Workload, capsys: pytest.CaptureFixture[str]
) -> None:
    service, use_cases = running.service, running.service.use_cases
    assert workload.endorsement.public != service.keyring.endorsement.public

    outcome = await running.attest(workload)
    bound = outcome.bound
    assert (bound.spiffe_id, bound.jkt) == (AGENT, workload.jwk.thumbprint)
    assert bound.residency.protection.value == "non-exportable"
    assert bound.residency.hardware is False, "an emulated TPM is never hardware"
    assert await use_cases.attestations.result(outcome.id) == outcome.ear

    issued = await running.exchange(workload)
    verifier = Verifier(issuer=service.config.issuer, jwks=use_cases.tokens.jwks(), audience=API)
    token = issued.access_token
    proof = await workload.proof(url=URL, method="GET", access_token=token)
    found = verifier.verify_request(token, proof, "GET", URL, now=int(time.time()))
    assert (found.user, found.agent, found.scopes, found.aal) == (
        "alice",
        AGENT,
        ("cal.read",),
        3,
    )
    assert found.residency is not None and found.residency.result == outcome.id
    with pytest.raises(KeysteadError) as replayed:
        verifier.verify_request(token, proof, "GET", URL, now=int(time.time()))
    assert replayed.value.reason is Reason.PROOF_REPLAYED

    assert await reason_of(running.exchange(workload, scope="cal.write")) is (
        Reason.SCOPE_NOT_ALLOWED
    )
    assert await reason_of(running.exchange(workload, audience="https://other.example")) is (
        Reason.AUDIENCE_NOT_ALLOWED
    )
    thief = await workload.device.create_signing_key("ES256")
    other = Workload(
        device=workload.device, endorsement=workload.endorsement, ak=workload.ak, key=thief
    )
    assert await reason_of(running.exchange(other)) is Reason.KEY_NOT_BOUND
    assert await reason_of(running.renew(other, issued.refresh_token)) is Reason.KEY_NOT_BOUND

    assert (await running.renew(workload, issued.refresh_token)).scope == "cal.read"
    status, listed = await running.command(capsys, "grants", "list")
    assert status == 0
    (grant,) = listed["grants"]
    assert (grant["sub"], grant["agent"], grant["revoked_at"]) == ("alice", AGENT, 0)
    assert await running.command(capsys, "grants", "revoke", grant["id"]) == (
        0,
        {"revoked": grant["id"]},
    )
    assert await reason_of(running.renew(workload, issued.refresh_token)) is Reason.GRANT_REVOKED

    witness = running.state / "witness.jws"
    status, sealed = await running.command(capsys, "audit", "checkpoint", "--out", str(witness))
    assert status == 0 and witness.read_text().strip() == sealed["checkpoint"]
    status, report = await running.command(capsys, "audit", "verify", "--checkpoint", str(witness))
    assert status == 0 and report["verified"] is True
    assert report["counter"] == sealed["counter"] and report["pinned"] == sealed["sequence"]

    status, document = await running.command(capsys, "audit", "list")
    told = [(event["action"], event["reason"]) for event in document["events"]]
    assert ("attestation.affirmed", "") in told and ("token.renewed", "") in told
    for reason in ("scope_not_allowed", "audience_not_allowed", "grant_revoked"):
        assert ("token.refused", reason) in told
    issued_event = next(e for e in document["events"] if e["action"] == "token.issued")
    assert issued_event["actors"] == [AGENT] and issued_event["jkt"] == bound.jkt


async def test_the_issuers_tpm_holds_every_key_it_signs_with(running: Running) -> None:
    keys = running.service.keyring.all()
    assert sorted(key.purpose.value for key in keys) == ["audit", "ear", "status", "svid", "token"]
    assert {key.tier.value for key in keys} == {"emulated-tpm"}
    for key in keys:
        area = tpm2.parse_tpm2b_public(key.wrapped.public)
        wanted = tpm2.ObjectAttributes.FIXED_TPM | tpm2.ObjectAttributes.SENSITIVE_DATA_ORIGIN
        assert area.attributes & wanted == wanted


async def test_the_state_of_one_tpm_is_not_served_by_another(
    state: Path, other_swtpm: Swtpm, swtpm: Swtpm
) -> None:
    """By name, before anything is written: new keys made silently would change the issuer."""

    with dev_installation(state) as installation:
        config, base = installation.config, installation.folder

        def on(tpm: Swtpm) -> Any:
            return msgspec.structs.replace(
                config, tpm2=msgspec.structs.replace(config.tpm2, tcti=tpm.tcti)
            )

        async with running_service(on(swtpm), base=base):
            pass
        with pytest.raises(ConfigurationError) as refused:
            async with running_service(on(other_swtpm), base=base):
                pass
        assert "another TPM" in refused.value.detail
        async with running_service(on(swtpm), base=base) as again:
            starts = [
                chained.event
                for chained in await again.trail.page(DEV, after=0, limit=0)
                if chained.event.action is AuditAction.SERVICE_STARTED
            ]
            assert len(starts) == 2
