"""The configuration in the words of the stages and of the doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystead.config import Config, ListenerConfig, SubjectIssuerConfig
from keystead.delegation.audiences import Audience, Audiences
from keystead.errors import ConfigurationError, Malformed, Reason
from keystead.identity.federation import SubjectIssuer
from keystead.identity.spiffe import check_trust_domain, parse_spiffe_id
from keystead.identity.subject_claims import TokenType
from keystead.model import SpiffeId
from keystead.server.limits import Limits
from keystead.server.settings import DoorSettings, Listener, TlsFiles
from keystead.service.callers import Operator
from keystead.service.roles import Role

ACTOR_KEYS_MAX_AGE_S = 300
"""SPIFFE bundles name a refresh hint of this order."""
TOKEN_TYPES = {
    "access_token": TokenType.ACCESS_TOKEN,
    "id_token": TokenType.ID_TOKEN,
    "jwt": TokenType.JWT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLocation:
    """Where a JWK Set is, an URL or a path, and how long it is kept."""

    where: str
    max_age_s: int


def audiences(config: Config) -> Audiences:
    """The APIs that tokens may be for."""
    return Audiences.of(
        Audience(uri=a.uri, scopes=frozenset(a.scopes), max_lifetime_s=a.max_lifetime_s)
        for a in config.audiences
    )


def subject_issuer(issuer: SubjectIssuerConfig) -> SubjectIssuer:
    """One identity provider."""
    return SubjectIssuer(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audiences),
        clients=frozenset(issuer.clients),
        algorithms=frozenset(issuer.algorithms),
        token_types=frozenset(TOKEN_TYPES[name] for name in issuer.token_types),
        max_age_s=issuer.max_age_s,
        aal_by_acr=issuer.aal,
        default_aal=issuer.default_aal,
        scopes_limit=issuer.scopes_limit,
        plain_access_token_typ=issuer.plain_access_token_typ,
    )


def subject_key_location(issuer: SubjectIssuerConfig, base: Path) -> KeyLocation:
    """Where an identity provider's keys are."""
    where = issuer.jwks_url or str(base / (issuer.jwks_file or ""))
    return KeyLocation(where=where, max_age_s=issuer.jwks_max_age_s)


def actor_key_location(config: Config, base: Path) -> KeyLocation | None:
    """Where this trust domain's JWT-SVID keys are, if anywhere."""
    url, file = config.delegation.actor_jwks_url, config.delegation.actor_jwks_file
    if url is None and file is None:
        return None
    return KeyLocation(where=url or str(base / (file or "")), max_age_s=ACTOR_KEYS_MAX_AGE_S)


def operators(config: Config) -> list[Operator]:
    """The named people."""
    return [
        Operator(
            name=operator.name,
            role=Role(operator.role),
            credential_sha256=bytes.fromhex(operator.credential_sha256),
        )
        for operator in config.authorization.operators
    ]


def identities(config: Config) -> dict[SpiffeId, Role]:
    """What client certificates stand for."""
    return {
        _spiffe_id(identity.spiffe_id, f"authorization.identities[{at}].spiffe_id"): Role(
            identity.role
        )
        for at, identity in enumerate(config.authorization.identities)
    }


def trust_domain(config: Config) -> str:
    """The trust domain, once it is known to be one."""
    with _named("trust_domain"):
        check_trust_domain(config.trust_domain)
    return config.trust_domain


def _spiffe_id(text: str, where: str) -> SpiffeId:
    with _named(where):
        return parse_spiffe_id(text)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """What a stage finds wrong becomes a wrong entry of the configuration."""
    try:
        yield
    except Malformed as error:
        detail = f"{where}: {error.detail or error.reason}"
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, detail) from None


def anonymous_roles(config: Config) -> frozenset[Role]:
    """What callers without a credential may be."""
    return frozenset(Role(role) for role in config.authorization.anonymous_roles)


def door_settings(config: Config, base: Path, admin_socket: Path) -> DoorSettings:
    """Addresses and limits."""
    limits = config.limits
    return DoorSettings(
        http=_listener(config.server.http, base),
        grpc=_listener(config.server.grpc, base),
        admin_socket=admin_socket,
        limits=Limits(
            body_bytes=limits.body_bytes,
            message_bytes=limits.message_bytes,
            concurrent_requests=limits.concurrent_requests,
            concurrent_streams=limits.concurrent_streams,
            requests_per_caller_per_s=limits.requests_per_caller_per_s,
            burst_per_caller=limits.burst_per_caller,
            issuer_proofs_per_minute=limits.issuer_proofs_per_minute,
        ),
        drain_s=config.server.drain_s,
        development=config.development,
    )


def _listener(listener: ListenerConfig, base: Path) -> Listener:
    tls = listener.tls
    return Listener(
        host=listener.host,
        port=listener.port,
        tls=None
        if tls is None
        else TlsFiles(
            certificate=base / tls.certificate,
            private_key=base / tls.private_key,
            client_ca=base / tls.client_ca if tls.client_ca else None,
        ),
    )
