"""From a platform's endpoint, faked on loopback, to a key that is bound."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keystead.agent.collectors.oidc import OidcCollector
from keystead.agent.collectors.token_providers import (
    AzureMetadata,
    GcpMetadata,
    GitHubActions,
    TokenFile,
    TokenProvider,
)
from keystead.appraisal import oidc as appraisal
from keystead.binding import oidc as binding
from keystead.errors import Malformed, Reason, Unavailable
from keystead.evidence import oidc as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind, Freshness
from keystead.system.platform import PlatformEndpoint
from tests.platform_server import PlatformServer, body, json_body, serving
from tests.workload_tokens import (
    ISSUERS,
    KEY,
    NONCE,
    NOW,
    SERVICE,
    issuer_keys,
    oidc_policy,
    platform_claims,
    sign,
)


@contextmanager
def platform(profile: str, member: str | None) -> Iterator[PlatformServer]:
    """A platform that signs a token for the audience that it is asked for."""

    def answer(connection: socket.socket) -> None:
        parameters = server.asked[-1].parameters
        (audience,) = parameters.get("audience") or parameters["resource"]
        token = sign(platform_claims(profile, aud=audience))
        (body(token.encode()) if member is None else json_body({member: token}))(connection)

    with serving(answer) as server:
        yield server


def github(url: str) -> TokenProvider:
    variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret"}
    return GitHubActions.of_environment(variables)


def gcp(url: str) -> TokenProvider:
    return GcpMetadata(endpoint=PlatformEndpoint(url=url))


def azure(url: str) -> TokenProvider:
    return AzureMetadata(resource="keystead", endpoint=PlatformEndpoint(url=url))


def collect(provider: TokenProvider) -> dict[str, Any]:
    collector = OidcCollector(provider=provider)
    return dict(collector.collect(key=KEY, issuer=SERVICE, nonce=NONCE))


def freshness(collected: dict[str, Any], profile: str) -> Freshness:
    """How fresh the service finds it, once it has bound the key."""
    envelope = encode_envelope(kind=EvidenceKind.OIDC, evidence=collected, nonce=NONCE, key=KEY)
    found = evidence.parse(parse_envelope(envelope))
    made = appraisal.appraise(
        found,
        policy=oidc_policy(profile),
        nonce=NONCE,
        now=NOW,
        keys={ISSUERS[profile]: issuer_keys()},
    )
    result = appraisal.conclude(made)
    assert binding.bind_key(found, result, key=KEY, issuer=SERVICE, nonce=NONCE).key == KEY
    return result.freshness


def test_a_token_for_the_audience_that_is_asked_for_answers_the_challenge() -> None:
    with platform("github-actions", "value") as server:
        collected = collect(github(server.url))
    assert freshness(collected, "github-actions") is Freshness.CHALLENGED
    with platform("gcp", None) as server:
        collected = collect(gcp(server.url))
    assert freshness(collected, "gcp") is Freshness.CHALLENGED


def test_a_token_of_a_fixed_audience_is_its_bearers(tmp_path: Path) -> None:
    with platform("azure", "access_token") as server:
        collected = collect(azure(server.url))
    assert freshness(collected, "azure") is Freshness.BEARER
    file = tmp_path / "token"
    file.write_text(sign(platform_claims("azure")))
    assert freshness(collect(TokenFile(path=file)), "azure") is Freshness.BEARER


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "<html>", "e30.e30.e30"])
def test_what_is_no_token_is_malformed(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(Malformed):
        collect(TokenFile(path=tmp_path / "token"))


def test_a_truncated_token_is_malformed(tmp_path: Path) -> None:
    head, claims, _ = sign(platform_claims()).split(".")
    (tmp_path / "token").write_text(f"{head}.{claims}")
    with pytest.raises(Malformed):
        collect(TokenFile(path=tmp_path / "token"))


def test_a_token_with_a_critical_header_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(sign(platform_claims(), crit=["b64"], b64=False))
    with pytest.raises(Malformed) as caught:
        collect(TokenFile(path=tmp_path / "token"))
    assert caught.value.reason is Reason.CRITICAL_HEADER_UNKNOWN


def test_a_platform_that_is_away_is_unavailable() -> None:
    away = body(b"{}", status="503 Later")
    with serving(away) as server, pytest.raises(Unavailable):
        collect(github(server.url))
