"""``keystead.toml``: read strictly, so that a typing error stops the start and not the service.

Every entry is in ``docs/configuration.md``. An unknown or wrong one is a ConfigurationError that
names its line, its path and what was expected.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from keystead.codec.toml_lines import line_of
from keystead.errors import ConfigurationError, Reason

MAX_CONFIG_BYTES = 1 << 20
"""A configuration is some hundred lines; a larger file is not one."""

Seconds = Annotated[int, Meta(ge=1, le=366 * 86400)]
Port = Annotated[int, Meta(ge=0, le=65535)]
NonEmpty = Annotated[str, Meta(min_length=1, max_length=2048)]
EkTemplate = Literal["p256", "p384", "p256-high", "rsa2048", "rsa2048-high", "rsa3072"]
Sha256Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which only the listed entries may stand."""


class TlsConfig(Strict, frozen=True, kw_only=True):
    """PEM files. With ``client_ca``, gRPC clients must show a certificate under it (mTLS)."""

    certificate: NonEmpty
    private_key: NonEmpty
    client_ca: NonEmpty | None = None


class ListenerConfig(Strict, frozen=True, kw_only=True):
    """Where one of the two doors listens; port 0 lets the system choose."""

    host: NonEmpty = "127.0.0.1"
    port: Port = 0
    tls: TlsConfig | None = None


class ServerConfig(Strict, frozen=True, kw_only=True):
    """Addresses. What callers see is ``issuer``: proofs name its endpoints."""

    http: ListenerConfig = ListenerConfig(port=8440)
    grpc: ListenerConfig = ListenerConfig(port=8441)
    admin_socket: NonEmpty | None = None
    drain_s: Seconds = 10


class Tpm2Config(Strict, frozen=True, kw_only=True):
    """The TPM that holds the issuer's keys."""

    tcti: NonEmpty
    command_timeout_ms: Annotated[int, Meta(ge=10, le=300_000)] = 5_000
    queue_limit: Annotated[int, Meta(ge=1, le=65_536)] = 256
    ek_order: Annotated[tuple[EkTemplate, ...], Meta(min_length=1)] = (
        "p256",
        "p384",
        "p256-high",
        "rsa2048",
        "rsa2048-high",
        "rsa3072",
    )
    """Which endorsement key is used: the first of these that has a certificate."""
    owner_auth_file: NonEmpty | None = None
    """A file (0600) with the owner hierarchy's password, where it has one."""
    endorsement_auth_file: NonEmpty | None = None
    """The same for the endorsement hierarchy."""
    counter_index: Annotated[int, Meta(ge=0x01800000, le=0x01BFFFFF)] = 0x01800100
    """In the owner's range of NV indexes (TCG registry of reserved handles)."""


class KeysConfig(Strict, frozen=True, kw_only=True):
    """Issuer keys."""

    token_algorithm: Literal["ES256", "RS256"] = "ES256"
    publish_ahead_s: Seconds = 3600
    """How long a successor stands in the JWKS before it signs."""


class StorageConfig(Strict, frozen=True, kw_only=True):
    """The state folder (0700) with the SQLite file in it."""

    folder: NonEmpty


class AttestationConfig(Strict, frozen=True, kw_only=True):
    """Evidence: the appraisal policy and the times."""

    policy: NonEmpty
    """The path of the appraisal policy (TOML)."""
    challenge_ttl_s: Seconds = 60
    binding_ttl_s: Annotated[int, Meta(ge=60, le=86_400)] = 86_400
    """What a registration entry gets that names no time of its own."""


class SubjectIssuerConfig(Strict, frozen=True, kw_only=True):
    """One identity provider whose users' tokens are taken as subject tokens."""

    issuer: NonEmpty
    jwks_url: NonEmpty | None = None
    jwks_file: NonEmpty | None = None
    audiences: Annotated[tuple[NonEmpty, ...], Meta(min_length=1, max_length=16)]
    """The names of Keystead of which a token's ``aud`` must hold one."""
    clients: Annotated[tuple[NonEmpty, ...], Meta(min_length=1, max_length=256)]
    """The clients (``azp`` or ``client_id``) through which users may come."""
    algorithms: tuple[Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"], ...] = (
        "ES256",
        "RS256",
    )
    token_types: tuple[Literal["access_token", "id_token", "jwt"], ...] = (
        "access_token",
        "id_token",
    )
    aal: dict[str, Annotated[int, Meta(ge=1, le=3)]] = {}
    """``acr`` value → AAL; any other ``acr`` is ``default_aal``."""
    default_aal: Annotated[int, Meta(ge=1, le=3)] = 1
    max_age_s: Seconds | None = None
    """How long ago the user may have signed in; then tokens must carry ``auth_time``."""
    scopes_limit: bool = True
    """Whether a ``scope`` claim bounds what agents get; off for providers whose scopes
    (``openid profile``) say nothing about the APIs here."""
    plain_access_token_typ: bool = False
    """Take access tokens whose ``typ`` is JWT or missing, from providers before RFC 9068."""
    jwks_max_age_s: Seconds = 600


class AudienceConfig(Strict, frozen=True, kw_only=True):
    """One API that tokens may be for."""

    uri: NonEmpty
    scopes: Annotated[tuple[NonEmpty, ...], Meta(min_length=1, max_length=64)]
    max_lifetime_s: Annotated[int, Meta(ge=1, le=300)] = 300


class DelegationConfig(Strict, frozen=True, kw_only=True):
    """Who may act for whom: a Cedar policy file, and whose JWT-SVIDs may confirm an agent."""

    policy: NonEmpty
    actor_jwks_url: NonEmpty | None = None
    """The JWT-SVID keys of this trust domain; without them actor tokens are refused."""
    actor_jwks_file: NonEmpty | None = None


class OperatorConfig(Strict, frozen=True, kw_only=True):
    """A named person. The credential itself is never stored: ``keystead operators new`` prints it
    once, with the line for this file."""

    name: NonEmpty
    role: Literal["operator", "administrator"]
    credential_sha256: Sha256Hex


class IdentityConfig(Strict, frozen=True, kw_only=True):
    """What a client certificate's SPIFFE ID stands for on the gRPC door."""

    spiffe_id: NonEmpty
    role: Literal["relying_party", "issuer", "operator", "administrator"]


class AuthorizationConfig(Strict, frozen=True, kw_only=True):
    """Credentials. Hosts need no entry: an enrolled host's SPIFFE ID has the role ``host``."""

    operators: tuple[OperatorConfig, ...] = ()
    identities: tuple[IdentityConfig, ...] = ()
    anonymous_roles: tuple[Literal["relying_party"], ...] = ()
    """What callers without any credential may be: in development, relying parties."""


class AuditConfig(Strict, frozen=True, kw_only=True):
    """The audit trail's checkpoints."""

    checkpoint_every_s: Seconds = 3600
    """Each is one write to the TPM's counter, and a chip's NV memory wears: some chips are rated
    for 100,000 writes, which is eleven years at one an hour."""
    aggregate_refusals_s: Seconds = 60


class LimitsConfig(Strict, frozen=True, kw_only=True):
    """What one caller, or all of them, may ask; docs/configuration.md has the reasons."""

    body_bytes: Annotated[int, Meta(ge=1024, le=1 << 24)] = 65_536
    message_bytes: Annotated[int, Meta(ge=4096, le=1 << 28)] = 16 << 20
    batch_items: Annotated[int, Meta(ge=1, le=4_096)] = 4_096
    concurrent_requests: Annotated[int, Meta(ge=1, le=100_000)] = 512
    concurrent_streams: Annotated[int, Meta(ge=1, le=10_000)] = 64
    requests_per_caller_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    burst_per_caller: Annotated[int, Meta(ge=1, le=1_000_000)] = 400
    issuer_proofs_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 30


class Config(Strict, frozen=True, kw_only=True):
    """The whole file."""

    issuer: NonEmpty
    """This issuer's URL: ``iss`` of every token."""
    trust_domain: NonEmpty
    development: bool = False
    """Said aloud everywhere: emulated hardware and plain HTTP are allowed."""
    server: ServerConfig = ServerConfig()
    tpm2: Tpm2Config
    keys: KeysConfig = KeysConfig()
    storage: StorageConfig
    attestation: AttestationConfig
    subject_issuers: tuple[SubjectIssuerConfig, ...] = ()
    audiences: tuple[AudienceConfig, ...] = ()
    delegation: DelegationConfig
    authorization: AuthorizationConfig = AuthorizationConfig()
    audit: AuditConfig = AuditConfig()
    limits: LimitsConfig = LimitsConfig()


def parse_config(text: str, *, source: str = "keystead.toml") -> Config:
    """The configuration; ConfigurationError names file, line, entry and what was expected."""
    try:
        config = _config(_document(text))
        _check_together(config)
    except ConfigurationError as error:
        line = _line_of(text, error)
        place = source if line is None else f"{source}:{line}"
        raise _wrong(f"{place}: {error.detail}") from None
    return config


def load_config(path: Path) -> Config:
    """Read and parse a file; relative paths in it are meant from its own folder."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise _wrong(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise _wrong(f"{path}: larger than {MAX_CONFIG_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _wrong(f"{path}: not UTF-8") from None
    return parse_config(text, source=str(path))


def _document(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"not TOML: {error}") from None
    except RecursionError:
        raise _wrong("not TOML: nested too deeply") from None


def _config(document: Any) -> Config:
    try:
        return msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise _wrong(str(error).replace("`$", "`").replace("`.", "`")) from None


def _line_of(text: str, error: ConfigurationError) -> int | None:
    def fails(document: Any) -> bool:
        try:
            _config(document)
        except ConfigurationError as other:
            return other.detail == error.detail
        return False

    return line_of(text, error.detail, fails=fails)


def _check_together(config: Config) -> None:
    """What no single entry can show."""
    for at, issuer in enumerate(config.subject_issuers):
        if (issuer.jwks_url is None) == (issuer.jwks_file is None):
            raise _wrong(f"subject_issuers[{at}]: exactly one of jwks_url, jwks_file")
        if issuer.issuer == config.issuer:
            raise _wrong(f"subject_issuers[{at}].issuer: names this issuer itself")
    for at, audience in enumerate(config.audiences):
        if audience.uri == config.issuer:
            raise _wrong(f"audiences[{at}].uri: names this issuer itself")
    if config.delegation.actor_jwks_url and config.delegation.actor_jwks_file:
        raise _wrong("delegation: at most one of actor_jwks_url, actor_jwks_file")
    _check_unique("subject_issuers", [i.issuer for i in config.subject_issuers])
    _check_unique("audiences", [a.uri for a in config.audiences])
    people = config.authorization.operators
    _check_unique("authorization.operators", [o.name for o in people])
    # One credential for two names would leave open whom the audit trail means.
    _check_unique("authorization.operators", [o.credential_sha256 for o in people])
    _check_unique(
        "authorization.identities", [i.spiffe_id for i in config.authorization.identities]
    )
    # RFC 8414 §2; the endpoints' names are made by appending to it.
    if "?" in config.issuer or "#" in config.issuer:
        raise _wrong("issuer: expected a URL without query and fragment")
    if config.development:
        return
    if config.authorization.anonymous_roles:
        raise _wrong("authorization.anonymous_roles: only with development = true")
    for door, listener in (("http", config.server.http), ("grpc", config.server.grpc)):
        if listener.tls is None:
            raise _wrong(f"server.{door}.tls: required unless development = true")
    if not config.issuer.startswith("https://"):
        raise _wrong("issuer: expected an https URL unless development = true")


def _check_unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _wrong(f"{where}: {name!r} stands there twice")


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(Reason.CONFIGURATION_INVALID, what)
