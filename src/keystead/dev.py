"""``keystead serve --dev``: everything a first try needs, in one folder, on an emulated TPM.

    DIR/keystead.toml         written once, yours to change
    DIR/appraisal.toml        which evidence is believed: TPMs whose EK chains to DIR/anchors
    DIR/delegation.cedar      who may act for whom
    DIR/operator.credential   an administrator's credential (0600)
    DIR/anchors/              EK CAs; the local CA's root is there from the start
    DIR/tpm/ DIR/ek-ca/       the emulated TPM and the CA that certified it
    DIR/store/ DIR/admin/     the state and the administration socket

Nothing here can pass for hardware: the anchors are of class ``emulated``.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from keystead.app.wiring import new_operator
from keystead.config import AudienceConfig, Config, SubjectIssuerConfig, load_config
from keystead.errors import ConfigurationError, Reason
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template

PREFERRED_HTTP_PORT = 8440
PREFERRED_GRPC_PORT = 8441
TRUST_DOMAIN = "dev.example"
DEV_TCTI = "dev"
"""Stands in keystead.toml for the folder's own TPM, whose socket may move."""

CONFIG = """\
# Written by `keystead serve --dev`; docs/configuration.md explains every entry.
development = true
issuer = "http://127.0.0.1:{http_port}"
trust_domain = "{trust_domain}"

[server.http]
port = {http_port}

[server.grpc]
port = {grpc_port}

[tpm2]
# The emulated TPM of this folder.
tcti = "dev"

[storage]
folder = "store"

[attestation]
policy = "appraisal.toml"

[delegation]
policy = "delegation.cedar"

[authorization]
anonymous_roles = ["relying_party"]

[[authorization.operators]]
name = "dev"
role = "administrator"
credential_sha256 = "{credential_sha256}"

# Whose users may delegate:
# [[subject_issuers]]
# issuer = "https://idp.example"
# jwks_url = "https://idp.example/jwks"
# audiences = ["http://127.0.0.1:{http_port}"]
# clients = ["my-app"]

# For which APIs:
# [[audiences]]
# uri = "https://api.example"
# scopes = ["calendar.read"]
"""

APPRAISAL = """\
# Which TPM evidence is believed; docs/evidence/tpm2.md explains every entry.
id = "dev-tpm2"
version = 1

[tpm2]
allowed_anchor_classes = ["emulated"]
max_age_s = 86400

[[tpm2.anchors]]
path = "anchors"
class = "emulated"

# Firmware, boot loader and secure boot state are quoted, but an emulated TPM booted nothing, so
# there is nothing to compare them with.
[tpm2.required_pcrs]
sha256 = [0, 1, 2, 3, 4, 5, 6, 7]

[tpm2.pcr_values.sha256]
0 = "any"
1 = "any"
2 = "any"
3 = "any"
4 = "any"
5 = "any"
6 = "any"
7 = "any"

[tpm2.event_log]
required = false
"""

DELEGATION = """\
// Who may act for whom; docs/configuration.md explains the schema.
// In development, any attested agent may exchange a token of any configured user.
@id("dev-exchange")
permit (principal, action == Action::"exchange", resource);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevInstallation:
    """A folder ready to serve from, its TPM running."""

    folder: Path
    config: Config
    credential_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DevSettings:
    """What a folder's first configuration says; ``anchors`` is file name → PEM certificates,
    ``appraisal`` the policy of that name."""

    http_port: int
    grpc_port: int
    subject_issuers: tuple[SubjectIssuerConfig, ...] = ()
    audiences: tuple[AudienceConfig, ...] = ()
    delegation: str = DELEGATION
    appraisal: str = APPRAISAL
    anchors: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The name that the service will have."""
        return f"http://127.0.0.1:{self.http_port}"


def prepare(folder: Path, settings: DevSettings) -> None:
    """Configure a new folder for ``serve --dev``, which keeps what it finds there.

    Where ``settings`` has anchors they are the only ones: the folder's own CA is left out.
    """
    _make_private(folder)
    _write_configuration(folder, settings)
    (folder / "delegation.cedar").write_text(settings.delegation)
    (folder / "appraisal.toml").write_text(settings.appraisal)
    if settings.anchors:
        (folder / "anchors").mkdir(mode=0o700)
    for name, certificates in settings.anchors.items():
        (folder / "anchors" / name).write_bytes(certificates)


def ek_ca_pem(folder: Path) -> bytes:
    """The certificates of the CA that certified the folder's TPM, once that has been made."""
    ca = SwtpmCa(folder / "ek-ca")
    return ca.root_certificate_pem + ca.issuer_certificate_pem


@contextmanager
def dev_installation(folder: Path) -> Iterator[DevInstallation]:
    """Make what is missing in ``folder``, start its TPM, and stop it at the end.

    A ``tcti`` changed in keystead.toml by hand is respected: then no TPM is started.
    """
    folder = folder.resolve()
    _make_private(folder)
    config_file, tpm = _prepare(folder)
    config = load_config(config_file)
    if not config.development:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{config_file}: --dev needs development = true"
        )
    credential_file = folder / "operator.credential"
    if config.tpm2.tcti != DEV_TCTI:
        yield DevInstallation(folder=folder, config=config, credential_file=credential_file)
        return
    with tpm:
        emulated = replace(config, tpm2=replace(config.tpm2, tcti=tpm.tcti))
        yield DevInstallation(folder=folder, config=emulated, credential_file=credential_file)


def _prepare(folder: Path) -> tuple[Path, Swtpm]:
    """Every file that is not there yet; what is there stays as it is."""
    ca = SwtpmCa(folder / "ek-ca")
    template = folder / "tpm"
    if not (template / "tpm2-00.permall").exists():
        make_template(template, ca=ca)
    tpm = Swtpm(template)
    anchors = folder / "anchors"
    if not anchors.exists():
        anchors.mkdir(mode=0o700)
        (anchors / "dev-ek-ca.pem").write_bytes(ek_ca_pem(folder))
    config_file = folder / "keystead.toml"
    if not config_file.exists():
        http_port, grpc_port = free_ports(PREFERRED_HTTP_PORT, PREFERRED_GRPC_PORT)
        _write_configuration(folder, DevSettings(http_port=http_port, grpc_port=grpc_port))
    for name, text in (("appraisal.toml", APPRAISAL), ("delegation.cedar", DELEGATION)):
        if not (folder / name).exists():
            (folder / name).write_text(text)
    return config_file, tpm


def _write_configuration(folder: Path, settings: DevSettings) -> None:
    credential, digest = new_operator()
    credential_file = folder / "operator.credential"
    with open(os.open(credential_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(credential + "\n")
    text = CONFIG.format(
        http_port=settings.http_port,
        grpc_port=settings.grpc_port,
        trust_domain=TRUST_DOMAIN,
        credential_sha256=digest,
    )
    tables = [_table("subject_issuers", issuer) for issuer in settings.subject_issuers]
    tables += [_table("audiences", audience) for audience in settings.audiences]
    (folder / "keystead.toml").write_text("\n".join([text, *tables]))


def _table(name: str, entry: Struct) -> str:
    """One ``[[name]]`` table. TOML writes strings, numbers, booleans and arrays as JSON does."""
    lines = [f"[[{name}]]"]
    for key, value in to_builtins(entry).items():
        if isinstance(value, dict):
            members = (f"{json.dumps(inner)} = {json.dumps(value[inner])}" for inner in value)
            lines.append(f"{key} = {{ {', '.join(members)} }}")
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def free_ports(*preferred: int) -> list[int]:
    """For each the preferred port if nothing has it now, else (and for 0) any free one.

    They become part of the issuer's name, so they are chosen once and written down.
    """
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in preferred]
        return [_bind(probe, port) for probe, port in zip(probes, preferred, strict=True)]


def _bind(probe: socket.socket, preferred: int) -> int:
    for port in (preferred, 0):
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise ConfigurationError(Reason.CONFIGURATION_INVALID, "no free port on 127.0.0.1")


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_mode & 0o077:
        raise ConfigurationError(
            Reason.PERMISSIONS_TOO_OPEN,
            f"{folder} is open to other users: chmod 700 {folder}",
        )
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            Reason.PERMISSIONS_TOO_OPEN,
            f"{folder} belongs to user {found.st_uid}, expected {os.geteuid()}",
        )
