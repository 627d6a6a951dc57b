"""Everything that the demo needs running, started in order.

The service is configured here as an operator would: whose users, which API, which TPMs, and who
may act for whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keystead.codec import json
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.demo import api, oidc_issuer
from keystead.demo.children import READY_TIMEOUT_S, Child
from keystead.dev import TRUST_DOMAIN, DevSettings, ek_ca_pem, free_ports, prepare

HOST_ID = f"spiffe://{TRUST_DOMAIN}/host/one"
AGENT_ID = f"spiffe://{TRUST_DOMAIN}/agent/calendar"
USER_AAL = 3

# The second policy is what makes a grant; it has to name all five.
DELEGATION = """\
@id("demo-read")
permit (
    principal == Agent::"{agent}",
    action in [Action::"exchange", Action::"renew"],
    resource == Audience::"{audience}"
) when {{
    context.user.issuer == "{provider}" && context.user.aal >= 2 &&
    ["{scope}"].containsAll(context.scopes)
}};

@id("demo-grant")
@grant_ttl_s("3600")
permit (
    principal == Agent::"{agent}",
    action == Action::"grant",
    resource == Audience::"{audience}"
) when {{
    context.user.issuer == "{provider}" && context.user.client == "{client}" &&
    ["{scope}"].containsAll(context.scopes)
}};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The workload's host, as it describes itself: nothing of it is believed for that."""

    child: Child
    ek: str
    ek_public: Path
    ek_certificate: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs: ``provider``, ``issuer`` and ``api`` are URLs, ``state`` the service's folder."""

    folder: Path
    provider: str
    api: str
    api_log: Path
    host: Host
    issuer: str
    state: Path
    issuer_roots: Path
    audience: str
    processes: int


class Crew:
    """The processes that were started, in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []

    def start(self, name: str, *arguments: str) -> Child:
        """Start one; its log is in the folder."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        child = Child(name, arguments, log=log)
        self.children.append(child)
        return child

    def log_tails(self) -> dict[str, list[str]]:
        """The last lines of every log that has any."""
        tails = {child.name: child.log_tail() for child in self.children}
        return {name: lines for name, lines in tails.items() if lines}

    def stop(self) -> None:
        """End them all; nothing of them is left when this returns."""
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.stop()


def set_up(crew: Crew) -> Stage:
    """Start everything; StepFailed where something does not start."""
    http_port, grpc_port = free_ports(0, 0)
    issuer = DevSettings(http_port=http_port, grpc_port=grpc_port).issuer
    # The host makes its TPM meanwhile, which takes longest.
    host_child = crew.start(
        "host", "keystead.demo.host", str(crew.folder / "host"), f"127.0.0.1:{grpc_port}", issuer
    )
    provider_child = crew.start("identity provider", "keystead.demo.oidc_issuer")
    api_child = crew.start("api", "keystead.demo.api", issuer)
    provider = json.get_str(provider_child.read(timeout_s=READY_TIMEOUT_S), "url")
    audience = json.get_str(api_child.read(timeout_s=READY_TIMEOUT_S), "url")
    host = _host(host_child)
    settings = DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(_subject_issuer(provider, issuer),),
        audiences=(AudienceConfig(uri=audience, scopes=(api.READ_SCOPE, api.WRITE_SCOPE)),),
        delegation=_delegation(provider, audience),
        anchors={"host-ek-ca.pem": host.ca.read_bytes()},
    )
    state = crew.folder / "service"
    prepare(state, settings)
    service = crew.start("service", "keystead", "serve", "--dev", "--json", "--state", str(state))
    service.read(timeout_s=READY_TIMEOUT_S)
    roots = crew.folder / "issuer-roots.pem"
    roots.write_bytes(ek_ca_pem(state))
    return Stage(
        folder=crew.folder,
        provider=provider,
        api=audience + api.PATH,
        api_log=api_child.log,
        host=host,
        issuer=issuer,
        state=state,
        issuer_roots=roots,
        audience=audience,
        processes=len(crew.children),
    )


def _host(child: Child) -> Host:
    said = child.read(timeout_s=READY_TIMEOUT_S)
    return Host(
        child=child,
        ek=json.get_str(said, "ek"),
        ek_public=Path(json.get_str(said, "ek_public")),
        ek_certificate=Path(json.get_str(said, "ek_certificate")),
        ca=Path(json.get_str(said, "ca")),
    )


def _subject_issuer(provider: str, issuer: str) -> SubjectIssuerConfig:
    return SubjectIssuerConfig(
        issuer=provider,
        jwks_url=f"{provider}/jwks",
        audiences=(issuer,),
        clients=(oidc_issuer.CLIENT,),
        algorithms=("ES256",),
        token_types=("access_token",),
        aal={oidc_issuer.ACR: USER_AAL},
    )


def _delegation(provider: str, audience: str) -> str:
    return DELEGATION.format(
        agent=AGENT_ID,
        audience=audience,
        provider=provider,
        client=oidc_issuer.CLIENT,
        scope=api.READ_SCOPE,
    )
