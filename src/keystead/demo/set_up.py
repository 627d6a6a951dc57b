"""Everything that the demo needs running, started in order.

The service is configured here as an operator would: whose users, which API, which evidence, and who
may act for whom.
"""

from __future__ import annotations

from keystead.codec import json
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.demo import api, oidc_issuer
from keystead.demo.children import READY_TIMEOUT_S
from keystead.demo.evidence import Evidence
from keystead.demo.stage import Crew, Stage
from keystead.dev import DevSettings, ek_ca_pem, free_ports, prepare

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


def set_up(crew: Crew, evidence: Evidence) -> Stage:
    """Start everything; StepFailed where something does not start."""
    http_port, grpc_port = free_ports(0, 0)
    issuer = DevSettings(http_port=http_port, grpc_port=grpc_port).issuer
    server = f"127.0.0.1:{grpc_port}"
    # The host may have a TPM to make meanwhile, which takes longest.
    host_ready = evidence.start_host(crew, server, issuer)
    provider_child = crew.start("identity provider", "keystead.demo.oidc_issuer")
    api_child = crew.start("api", "keystead.demo.api", issuer, evidence.protection)
    provider = json.get_str(provider_child.read(timeout_s=READY_TIMEOUT_S), "url")
    audience = json.get_str(api_child.read(timeout_s=READY_TIMEOUT_S), "url")
    host = host_ready()
    settings = DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(_subject_issuer(provider, issuer),),
        audiences=(AudienceConfig(uri=audience, scopes=(api.READ_SCOPE, api.WRITE_SCOPE)),),
        delegation=_delegation(host.agent, provider, audience),
    )
    state = crew.folder / "service"
    prepare(state, evidence.configure(settings, host))
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
        server=server,
        state=state,
        issuer_roots=roots,
        audience=audience,
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


def _delegation(agent: str, provider: str, audience: str) -> str:
    return DELEGATION.format(
        agent=agent,
        audience=audience,
        provider=provider,
        client=oidc_issuer.CLIENT,
        scope=api.READ_SCOPE,
    )
