"""A service that can be asked for tokens: its own process, an attested agent, a user's provider.

    with running() as installation:
        requests = installation.exchanges(500, audience=GRANTING, chance=random.Random(1))
        answers = installation.send(requests)

All of it is emulated hardware on loopback; the service is the real one, started as its own
process, and the agent signs every proof with a key in its own TPM.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from bench.load import Answers, header, send_accepted, send_all, token_request
from keystead.agent import TpmHost, Workload
from keystead.agent.collector import endorsement as endorsement_of
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.delegation.policy import DelegationRequest
from keystead.delegation.schema import PolicyAction
from keystead.demo.children import READY_TIMEOUT_S, Child
from keystead.demo.software_key import SoftwareKey
from keystead.dev import DevSettings, free_ports, prepare
from keystead.hardware.tpm2 import Tpm2Device
from keystead.identity.subject_claims import TokenType
from keystead.issuance.request import REFRESH_GRANT, TOKEN_EXCHANGE_GRANT
from keystead.model import (
    EvidenceKind,
    Freshness,
    Protection,
    Residency,
    ResultId,
    SpiffeId,
    Subject,
)
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import IdentityServiceStub
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template

HOST_ID = "spiffe://dev.example/host/bench"
AGENT_ID = "spiffe://dev.example/agent/bench"
PROVIDER = "https://idp.example"
CLIENT = "bench-app"
GRANTING = "https://calendar.example"
"""Policy lets the agent keep a grant for this one."""
PLAIN = "https://mail.example"
"""And only exchange for this one."""
SCOPE = "events.read"
USER_TOKEN_S = 600
JTI_BYTES = 16

# Some policies that concern others, as every real set has.
DELEGATION = """\
@id("bench-exchange")
permit (
    principal == Agent::"{agent}",
    action in [Action::"exchange", Action::"renew"],
    resource
) when {{
    context.user.issuer == "{provider}" && context.user.aal >= 2 &&
    ["{scope}"].containsAll(context.scopes)
}};
@id("bench-grant") @grant_ttl_s("3600")
permit (
    principal == Agent::"{agent}",
    action == Action::"grant",
    resource == Audience::"{granting}"
) when {{
    context.user.issuer == "{provider}" && context.user.client == "{client}" &&
    ["{scope}"].containsAll(context.scopes)
}};
@id("others-exchange") @max_lifetime_s("60")
permit (
    principal == Agent::"spiffe://dev.example/agent/other",
    action == Action::"exchange",
    resource == Audience::"{plain}"
) when {{ context.residency.hardware && context.user.aal == 3 }};
@id("no-stale-sign-in")
forbid (principal, action, resource)
when {{ context.user has auth_age_s && context.user.auth_age_s > 86400 }};
"""

# One address asks for everything here; what a caller may ask for in a second is not measured.
LIMITS = """
[limits]
requests_per_caller_per_s = 1000000
burst_per_caller = 1000000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What runs."""

    pid: int
    issuer: str
    workload: Workload
    provider: SoftwareKey
    delegation: str
    admin_socket: str
    operator_credential: str

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"{self.issuer}/token"

    def exchanges(self, count: int, *, audience: str, chance: random.Random) -> list[bytes]:
        """Requests, each with a user's token and a proof of its own, good for a minute."""
        nonce = self._nonce()
        return [
            self._request(self._exchange_form(audience, chance), nonce=nonce) for _ in range(count)
        ]

    def renewals(self, count: int, *, refresh_token: str) -> list[bytes]:
        """Requests that renew one grant, each with a proof of its own, good for a minute."""
        form, nonce = {"grant_type": REFRESH_GRANT, "refresh_token": refresh_token}, self._nonce()
        return [self._request(form, nonce=nonce) for _ in range(count)]

    def send(self, requests: Sequence[bytes]) -> Answers:
        """Send them all; RuntimeError unless every answer is 200."""
        return send_accepted(self.token_endpoint, requests)

    def send_refused(self, count: int) -> None:
        """Send empty forms, which are refused as soon as they are read."""
        empty = token_request(self.token_endpoint, {}, proof=None)
        answers = send_all(self.token_endpoint, [empty] * count)
        if answers.statuses != {400: count}:
            raise RuntimeError(f"{dict(answers.statuses)}: {answers.last_body[:300]!r}")

    def asked(self) -> DelegationRequest:
        """What policy is asked for an exchange of these."""
        now = int(time.time())
        return DelegationRequest(
            action=PolicyAction.EXCHANGE,
            agent=SpiffeId(AGENT_ID),
            audience=PLAIN,
            subject=Subject(
                sub="user-1",
                issuer=PROVIDER,
                client=CLIENT,
                aal=3,
                acr="phrh",
                amr=("hwk", "pin"),
                auth_time=now,
            ),
            scopes=(SCOPE,),
            residency=Residency(
                kind=EvidenceKind.TPM2,
                protection=Protection.NON_EXPORTABLE,
                hardware=False,
                verified_at=now,
                freshness=Freshness.CHALLENGED,
                policy="dev-tpm2@1",
                result=ResultId("r" * 43),
            ),
            lifetime_s=300,
            now=now,
        )

    def refresh_token(self, chance: random.Random) -> str:
        """The handle of a new grant."""
        answers = self.send(self.exchanges(1, audience=GRANTING, chance=chance))
        return json.get_str(json.parse_object(answers.last_body), "refresh_token")

    def _nonce(self) -> str:
        """Every answer of the endpoint carries one, this refusal too."""
        asked = send_all(
            self.token_endpoint, [token_request(self.token_endpoint, {}, proof=None)], connections=1
        )
        return header(asked.last_head, b"dpop-nonce").decode()

    def _request(self, form: dict[str, str], *, nonce: str) -> bytes:
        proof = self.workload.proof("POST", self.token_endpoint, nonce=nonce)
        return token_request(self.token_endpoint, form, proof=proof)

    def _exchange_form(self, audience: str, chance: random.Random) -> dict[str, str]:
        return {
            "grant_type": TOKEN_EXCHANGE_GRANT,
            "subject_token": self.user_token(chance),
            "subject_token_type": TokenType.ACCESS_TOKEN.value,
            "audience": audience,
            "scope": SCOPE,
        }

    def user_token(self, chance: random.Random) -> str:
        """An access token of some user who has just signed in."""
        now = int(time.time())
        claims: dict[str, JSON] = {
            "iss": PROVIDER,
            "sub": f"user-{chance.randrange(1_000_000)}",
            "aud": self.issuer,
            "client_id": CLIENT,
            "iat": now,
            "exp": now + USER_TOKEN_S,
            "jti": base64url.encode(chance.randbytes(JTI_BYTES)),
            "auth_time": now,
            "acr": "phrh",
            "amr": ["hwk", "pin"],
        }
        return self.provider.sign_jwt(claims, typ="at+jwt")


@contextmanager
def running() -> Iterator[Installation]:
    """A new installation in a temporary folder; everything has ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as name:
        folder, provider = Path(name), SoftwareKey()
        ca = SwtpmCa(folder / "host-ca")
        template = make_template(folder / "host-tpm", ca=ca)
        state = _configure(folder / "service", ca, provider)
        child = Child(
            "service",
            ["bench.service", "serve", "--dev", "--json", "--state", str(state)],
            log=folder / "service.log",
        )
        try:
            said = child.read(timeout_s=READY_TIMEOUT_S)
            with (
                Swtpm(template) as tpm,
                Tpm2Device(tpm.tcti) as device,
                Workload(
                    TpmHost(device, folder=folder / "keys"), server=json.get_str(said, "grpc")
                ) as workload,
            ):
                _register(state, device)
                issuer = workload.attest().issuer
                yield Installation(
                    pid=child.pid,
                    issuer=issuer,
                    workload=workload,
                    provider=provider,
                    delegation=(state / "delegation.cedar").read_text(),
                    admin_socket=_admin_socket(state),
                    operator_credential=_operator_credential(state),
                )
        finally:
            child.stop()


def _configure(state: Path, ca: SwtpmCa, provider: SoftwareKey) -> Path:
    http_port, grpc_port = free_ports(0, 0)
    settings = DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(),
        audiences=tuple(AudienceConfig(uri=uri, scopes=(SCOPE,)) for uri in (GRANTING, PLAIN)),
        delegation=DELEGATION.format(
            agent=AGENT_ID,
            provider=PROVIDER,
            client=CLIENT,
            scope=SCOPE,
            granting=GRANTING,
            plain=PLAIN,
        ),
        anchors={"host-ek-ca.pem": ca.root_certificate_pem + ca.issuer_certificate_pem},
    )
    issuer = SubjectIssuerConfig(
        issuer=PROVIDER,
        jwks_file="provider.jwks.json",
        audiences=(settings.issuer,),
        clients=(CLIENT,),
        algorithms=("ES256",),
        token_types=("access_token",),
        aal={"phrh": 3},
    )
    prepare(state, replace(settings, subject_issuers=(issuer,)))
    (state / "provider.jwks.json").write_bytes(json.encode({"keys": [provider.published()]}))
    with (state / "keystead.toml").open("a") as file:
        file.write(LIMITS)
    return state


def _register(state: Path, device: Tpm2Device) -> None:
    """What an administrator does: vouch for the host, and say which agent runs there."""
    metadata = [("authorization", f"Bearer {_operator_credential(state)}")]
    endorsement = endorsement_of(device)
    with grpc.insecure_channel(_admin_socket(state)) as channel:
        stub = IdentityServiceStub(channel)
        stub.EnrolHost(
            pb.EnrolHostRequest(
                spiffe_id=HOST_ID,
                ek_public=endorsement.public,
                ek_certificate=endorsement.certificate or b"",
            ),
            metadata=metadata,
        )
        stub.CreateEntry(
            pb.CreateEntryRequest(spiffe_id=AGENT_ID, parent=HOST_ID, kind="tpm2"),
            metadata=metadata,
        )


def _admin_socket(state: Path) -> str:
    return f"unix:{state / 'admin' / 'keystead.sock'}"


def _operator_credential(state: Path) -> str:
    return (state / "operator.credential").read_text().strip()
