"""Each platform's endpoint, faked on loopback from what the platforms document."""

from pathlib import Path

import pytest

from keystead.agent.collectors.token_providers import (
    MAX_ANSWER_BYTES,
    AzureMetadata,
    GcpMetadata,
    GitHubActions,
    TokenFile,
    TokenProvider,
)
from keystead.errors import ConfigurationError, Malformed, Reason, Refused, Unavailable
from keystead.jose.jws import MAX_TOKEN_BYTES
from keystead.system.platform import PlatformEndpoint
from tests.platform_server import Answer, PlatformServer, body, json_body, serving
from tests.workload_tokens import ANSWER

TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


def github(url: str) -> GitHubActions:
    variables = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-secret",
    }
    return GitHubActions.of_environment(variables)


def gcp(url: str) -> GcpMetadata:
    headers = GcpMetadata().endpoint.headers
    return GcpMetadata(endpoint=PlatformEndpoint(url=url, headers=headers))


def azure(url: str) -> AzureMetadata:
    headers = AzureMetadata(resource="x").endpoint.headers
    endpoint = PlatformEndpoint(url=url, headers=headers)
    return AzureMetadata(resource="api://keystead", client_id="id-1", endpoint=endpoint)


def asks(server: PlatformServer, provider: TokenProvider) -> dict[str, list[str]]:
    assert provider.token(ANSWER) == TOKEN
    (asked,) = server.asked
    assert asked.method == "GET"
    return asked.parameters


def test_github_is_asked_with_the_jobs_credential() -> None:
    with serving(json_body({"value": TOKEN, "count": 1}), "/token?api-version=2.0") as server:
        found = asks(server, github(server.url))
    assert found == {"api-version": ["2.0"], "audience": [ANSWER]}
    assert server.asked[0].headers["authorization"] == "Bearer job-secret"


def test_gcp_is_asked_for_all_claims() -> None:
    with serving(body(f"{TOKEN}\n".encode()), "/identity") as server:
        assert asks(server, gcp(server.url)) == {"audience": [ANSWER], "format": ["full"]}
    assert server.asked[0].headers["metadata-flavor"] == "Google"


def test_azure_is_asked_for_the_one_audience_that_there_is() -> None:
    members = {"access_token": TOKEN, "expires_in": "86399", "token_type": "Bearer"}
    with serving(json_body(members), "/token") as server:
        found = asks(server, azure(server.url))
    wanted = {"api-version": ["2018-02-01"], "resource": ["api://keystead"], "client_id": ["id-1"]}
    assert found == wanted
    assert server.asked[0].headers["metadata"] == "true"


def test_the_real_addresses_are_the_defaults() -> None:
    assert GcpMetadata().endpoint.url.startswith("http://metadata.google.internal/computeMetadata/")
    azure_endpoint = AzureMetadata(resource="x").endpoint
    assert azure_endpoint.url == "http://169.254.169.254/metadata/identity/oauth2/token"


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    provider = TokenFile(path=file)
    for token in (TOKEN, TOKEN + "x"):
        file.write_text(token + "\n")
        assert provider.token(ANSWER) == token


def test_a_file_is_named_by_the_environment() -> None:
    eks = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"}
    assert TokenFile.of_environment(environment=eks).path == Path("/var/run/token")
    pod = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/other"}
    found = TokenFile.of_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod)
    assert found.path == Path("/var/run/other")


def test_a_file_without_end_or_of_other_bytes_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(Malformed) as caught:
        TokenFile(path=Path("/dev/zero")).token(ANSWER)
    assert caught.value.reason is Reason.TOO_LARGE
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(Malformed):
        TokenFile(path=tmp_path / "token").token(ANSWER)
    with pytest.raises(Unavailable):
        TokenFile(path=tmp_path / "missing").token(ANSWER)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x.example"},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t", "ACTIONS_ID_TOKEN_REQUEST_URL": ""},
    ],
)
def test_elsewhere_than_on_its_platform_is_unavailable(environment: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="is not set"):
        GitHubActions.of_environment(environment)
    with pytest.raises(Unavailable, match="AWS_WEB_IDENTITY_TOKEN_FILE is not set"):
        TokenFile.of_environment(environment=environment)


def test_the_jobs_credential_is_sent_to_no_stranger_in_the_clear() -> None:
    with pytest.raises(ConfigurationError):
        github("http://pipelines.example/token")


def test_repr_shows_no_credential() -> None:
    assert "job-secret" not in repr(github("https://pipelines.example/token"))


@pytest.mark.parametrize(
    "answer",
    [
        json_body({"count": 1}),
        json_body({"value": 5, "access_token": 5}),
        json_body({"value": "", "access_token": ""}),
        json_body([TOKEN]),
        body(b'{"value":"a","value":"b","access_token":"a","access_token":"b"}'),
        body(b'{"value":"trunc'),
        body(b"\xff"),
        body(b"x" * (MAX_ANSWER_BYTES + 1)),
        json_body(
            {"value": "x" * (MAX_TOKEN_BYTES + 1), "access_token": "x" * (MAX_TOKEN_BYTES + 1)}
        ),
    ],
)
def test_another_answer_is_malformed(answer: Answer) -> None:
    with serving(answer) as server:
        for provider in (github(server.url), azure(server.url)):
            with pytest.raises(Malformed):
                provider.token(ANSWER)


def test_a_token_that_is_too_long_or_not_ascii_is_malformed() -> None:
    for content in (b"x" * (MAX_TOKEN_BYTES + 2), b"\xff"):
        with serving(body(content)) as server, pytest.raises(Malformed):
            gcp(server.url).token(ANSWER)


@pytest.mark.parametrize("status", ["302 Found", "400 Bad", "403 No", "404 None"])
def test_a_platform_that_refuses(status: str) -> None:
    with serving(body(TOKEN.encode(), status=status, headers=["Location: /other"])) as server:
        for provider in (github(server.url), gcp(server.url), azure(server.url)):
            with pytest.raises(Refused) as caught:
                provider.token(ANSWER)
            assert caught.value.reason is Reason.HARDWARE_REFUSED
            assert TOKEN not in str(caught.value)
    assert len(server.asked) == 3, "redirects are not followed"
