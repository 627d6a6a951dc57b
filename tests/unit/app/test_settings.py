"""The configuration in the words of the stages: nothing is lost and nothing is added."""

from pathlib import Path

import msgspec
import pytest

from keystead.app import settings
from keystead.config import (
    AudienceConfig,
    AuthorizationConfig,
    Config,
    DelegationConfig,
    IdentityConfig,
    LimitsConfig,
    ListenerConfig,
    OperatorConfig,
    ServerConfig,
    SubjectIssuerConfig,
    TlsConfig,
    parse_config,
)
from keystead.errors import ConfigurationError, Reason, Refused
from keystead.identity.subject_claims import TokenType
from keystead.server.limits import Limits
from keystead.service.roles import Role
from tests.unit.test_config import MINIMAL

BASE = Path("/etc/keystead")
PLAIN = parse_config(MINIMAL)
PROVIDER = SubjectIssuerConfig(
    issuer="https://idp.example",
    jwks_url="https://idp.example/jwks",
    audiences=("https://keystead.example",),
    clients=("app", "other"),
    algorithms=("ES256",),
    token_types=("id_token", "jwt"),
    aal={"phr": 2},
    default_aal=1,
    max_age_s=600,
    scopes_limit=False,
)


def config(**changes: object) -> Config:
    return msgspec.structs.replace(PLAIN, **changes)


def test_a_provider_is_believed_as_far_as_it_says() -> None:
    made = settings.subject_issuer(PROVIDER)
    assert made.issuer == PROVIDER.issuer
    assert made.audiences == {"https://keystead.example"}
    assert made.clients == {"app", "other"}
    assert made.algorithms == {"ES256"}
    assert made.token_types == {TokenType.ID_TOKEN, TokenType.JWT}
    assert (made.aal_by_acr, made.default_aal) == ({"phr": 2}, 1)
    assert (made.max_age_s, made.scopes_limit) == (600, False)


def test_every_token_type_of_the_configuration_is_known() -> None:
    names = ("access_token", "id_token", "jwt")
    made = settings.subject_issuer(msgspec.structs.replace(PROVIDER, token_types=names))
    assert made.token_types == {TokenType.ACCESS_TOKEN, TokenType.ID_TOKEN, TokenType.JWT}


def test_relative_paths_are_below_the_file() -> None:
    url = settings.subject_key_location(PROVIDER, BASE)
    assert (url.where, url.max_age_s) == (PROVIDER.jwks_url, PROVIDER.jwks_max_age_s)
    file = msgspec.structs.replace(PROVIDER, jwks_url=None, jwks_file="idp.json")
    assert settings.subject_key_location(file, BASE).where == "/etc/keystead/idp.json"
    absolute = msgspec.structs.replace(PROVIDER, jwks_url=None, jwks_file="/srv/idp.json")
    assert settings.subject_key_location(absolute, BASE).where == "/srv/idp.json"


def test_actor_keys_are_nowhere_unless_named() -> None:
    assert settings.actor_key_location(PLAIN, BASE) is None
    for changes, where in (
        ({"actor_jwks_url": "https://spire.example/keys"}, "https://spire.example/keys"),
        ({"actor_jwks_file": "bundle.json"}, "/etc/keystead/bundle.json"),
    ):
        made = config(delegation=DelegationConfig(policy="p", **changes))
        location = settings.actor_key_location(made, BASE)
        assert location is not None and location.where == where


def test_audiences_have_their_scopes_and_lifetimes() -> None:
    audience = AudienceConfig(uri="https://api.example", scopes=("a", "b"), max_lifetime_s=60)
    made = settings.audiences(config(audiences=(audience,)))
    found = made.lookup("https://api.example")
    assert (found.scopes, found.max_lifetime_s) == ({"a", "b"}, 60)
    with pytest.raises(Refused):
        made.lookup("https://api.example/")


def test_operators_and_identities_have_their_roles() -> None:
    made = config(
        authorization=AuthorizationConfig(
            operators=(
                OperatorConfig(name="o", role="operator", credential_sha256="01" * 32),
                OperatorConfig(name="a", role="administrator", credential_sha256="02" * 32),
            ),
            identities=(IdentityConfig(spiffe_id="spiffe://example.org/i", role="issuer"),),
            anonymous_roles=("relying_party",),
        )
    )
    assert [(o.name, o.role, o.credential_sha256) for o in settings.operators(made)] == [
        ("o", Role.OPERATOR, b"\x01" * 32),
        ("a", Role.ADMINISTRATOR, b"\x02" * 32),
    ]
    assert settings.identities(made) == {"spiffe://example.org/i": Role.ISSUER}
    assert settings.anonymous_roles(made) == {Role.RELYING_PARTY}
    assert settings.anonymous_roles(PLAIN) == frozenset()


def test_a_wrong_spiffe_id_is_named_by_its_place() -> None:
    identities = tuple(
        IdentityConfig(spiffe_id=id, role="issuer")
        for id in ("spiffe://example.org/a", "spiffe://Example.org/b")
    )
    with pytest.raises(ConfigurationError) as refused:
        settings.identities(config(authorization=AuthorizationConfig(identities=identities)))
    assert refused.value.reason is Reason.CONFIGURATION_INVALID
    assert refused.value.detail.startswith("authorization.identities[1].spiffe_id: ")


@pytest.mark.parametrize("name", ["Example.org", "example.org/x", "a b", "spiffe://a", "a:1"])
def test_a_wrong_trust_domain_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings.trust_domain(config(trust_domain=name))
    assert refused.value.detail.startswith("trust_domain: ")
    assert settings.trust_domain(PLAIN) == "example.org"


def test_doors_get_their_addresses_and_files() -> None:
    made = settings.door_settings(
        config(
            server=ServerConfig(
                http=ListenerConfig(
                    host="0.0.0.0",
                    port=443,
                    tls=TlsConfig(certificate="c.pem", private_key="/keys/k.pem"),
                ),
                grpc=ListenerConfig(port=8441),
                drain_s=7,
            ),
            development=True,
        ),
        BASE,
        Path("/run/keystead.sock"),
    )
    assert (made.http.host, made.http.port, made.grpc.port) == ("0.0.0.0", 443, 8441)
    assert made.http.tls is not None and made.grpc.tls is None
    assert made.http.tls.certificate == BASE / "c.pem"
    assert made.http.tls.private_key == Path("/keys/k.pem")
    assert made.http.tls.client_ca is None
    assert (made.drain_s, made.development) == (7, True)
    assert made.admin_socket == Path("/run/keystead.sock")


def test_every_limit_reaches_the_doors() -> None:
    """Each with a value of its own, so that no two are mixed up and none is left out."""
    names = [field.name for field in msgspec.structs.fields(LimitsConfig)]
    chosen = {name: 5_000 + at for at, name in enumerate(names)}
    made = settings.door_settings(config(limits=LimitsConfig(**chosen)), BASE, Path("/s"))
    del chosen["batch_items"]  # VerificationService's, not a door's
    assert {name: getattr(made.limits, name) for name in chosen} == chosen


def test_the_defaults_are_the_doors_defaults() -> None:
    assert settings.door_settings(PLAIN, BASE, Path("/s")).limits == Limits()
