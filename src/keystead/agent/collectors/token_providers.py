"""Where a workload's token comes from, one small class a platform.

    OidcCollector(provider=GitHubActions.of_environment())
    OidcCollector(provider=GcpMetadata())
    OidcCollector(provider=TokenFile(path=Path("/var/run/secrets/tokens/keystead")))

AWS STS GetWebIdentityToken is not among them: its request has to be signed with credentials of the
role, which is the AWS SDK's work. Write its token to a file for :class:`TokenFile`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from keystead.codec import json
from keystead.errors import Malformed, Reason, Unavailable
from keystead.jose.jws import MAX_TOKEN_BYTES
from keystead.system.documents import check_location
from keystead.system.platform import PlatformEndpoint, read_file

GITHUB_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
GITHUB_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
EKS_TOKEN_FILE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"
"""IRSA's; that of pod identity is ``AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE``."""

GCP_METADATA: Final = PlatformEndpoint(
    url="http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity",
    headers={"Metadata-Flavor": "Google"},
)
AZURE_METADATA: Final = PlatformEndpoint(
    url="http://169.254.169.254/metadata/identity/oauth2/token", headers={"Metadata": "true"}
)
AZURE_API_VERSION: Final = "2018-02-01"

MAX_ANSWER_BYTES: Final = 2 * MAX_TOKEN_BYTES
"""A token, and what a platform puts around it."""


class TokenProvider(Protocol):
    """What has tokens of this workload."""

    def token(self, audience: str) -> str:
        """A token for ``audience``, or of the one audience that there is.

        Raises Unavailable, Refused (hardware_refused) or Malformed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubActions:
    """A job with ``permissions: id-token: write``; ``endpoint`` has the job's own credential."""

    endpoint: PlatformEndpoint

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """As the runner tells its jobs; Unavailable where it does not.

        Raises:
            ConfigurationError: the URL is neither https nor on loopback, and would be sent the
                job's credential.
        """
        variables = os.environ if environment is None else environment
        url = _variable(variables, GITHUB_URL)
        check_location(url)
        headers = {"Authorization": f"Bearer {_variable(variables, GITHUB_TOKEN)}"}
        return cls(endpoint=PlatformEndpoint(url=url, headers=headers))

    def token(self, audience: str) -> str:
        """A new token of this job for ``audience``."""
        answer = self.endpoint.get(max_bytes=MAX_ANSWER_BYTES, parameters={"audience": audience})
        return _member(answer, "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpMetadata:
    """A machine, pod or function of Google Cloud, as its default service account."""

    endpoint: PlatformEndpoint = GCP_METADATA

    def token(self, audience: str) -> str:
        """A new token for ``audience``, with the claims of the instance where there is one."""
        parameters = {"audience": audience, "format": "full"}
        return _text(self.endpoint.get(max_bytes=MAX_TOKEN_BYTES + 1, parameters=parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureMetadata:
    """A machine of Azure with a managed identity. ``resource`` is the audience: an application that
    Entra ID knows, so nobody can choose another. ``client_id`` is for one of several identities."""

    resource: str
    client_id: str | None = None
    endpoint: PlatformEndpoint = AZURE_METADATA

    def token(self, audience: str) -> str:
        """A token for ``resource``, possibly one that was given out before."""
        parameters = {"api-version": AZURE_API_VERSION, "resource": self.resource}
        if self.client_id is not None:
            parameters["client_id"] = self.client_id
        answer = self.endpoint.get(max_bytes=MAX_ANSWER_BYTES, parameters=parameters)
        return _member(answer, "access_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFile:
    """A file that something else keeps up to date: a projected service account token of Kubernetes,
    EKS's, or any other. Its audience is settled where it is made."""

    path: Path

    @classmethod
    def of_environment(
        cls, variable: str = EKS_TOKEN_FILE, environment: Mapping[str, str] | None = None
    ) -> Self:
        """The file that a variable of the environment names; Unavailable without one."""
        variables = os.environ if environment is None else environment
        return cls(path=Path(_variable(variables, variable)))

    def token(self, audience: str) -> str:
        """What the file holds now."""
        return _text(read_file(self.path, max_bytes=MAX_TOKEN_BYTES + 1))


def _variable(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise Unavailable(Reason.HARDWARE_UNAVAILABLE, f"{name} is not set: is this its platform?")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise Malformed(Reason.MALFORMED, "a token that is not ASCII") from None


def _member(answer: bytes, name: str) -> str:
    members = json.parse_object(answer, max_bytes=MAX_ANSWER_BYTES)
    return json.get_str(members, name, max_chars=MAX_TOKEN_BYTES)
