"""What ``maa`` evidence has to show.

    [maa]
    policy_hashes = ["QsNi9UE365SgcskuV_a4p-uFQyGlNcIlQkrsi0UIy7o"]
    compliance = ["azure-compliant-cvm"]
    measurements = ["<96 hex digits>"]
    minimum_versions = { boot_loader = 4, tee = 0, snp = 24, microcode = 219 }

    [[maa.instances]]
    issuer = "https://sharedeus2.eus2.attest.azure.net"
    jwks_url = "https://sharedeus2.eus2.attest.azure.net/certs"
    class = "tee"

``docs/evidence/maa.md`` has a row for each entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keystead.appraisal.issuer_keys import (
    DEFAULT_JWKS_MAX_AGE_S,
    JwksMaxAge,
    KeySource,
    Url,
    key_source,
)
from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    FilePath,
    HexValues,
    MaxAge,
    Table,
    empty,
    reference_values,
    wrong,
)
from keystead.codec import base64url
from keystead.codec.maa import (
    AZURE_VM,
    HOST_DATA_BYTES,
    ID_KEY_DIGEST_BYTES,
    MEASUREMENT_BYTES,
    SecurityVersions,
)
from keystead.model import AnchorClass

DEFAULT_MAX_TOKEN_AGE_S: Final = 300
"""A token answers a challenge within seconds; more is for saved ones."""
# The service's tokens live eight hours.
_MAX_TOKEN_AGE_S: Final = 8 * 3_600
_MAX_VMPL: Final = 3

_Text = Annotated[str, Meta(min_length=1, max_length=1_024)]
_Version = Annotated[int, Meta(ge=0, le=255)]
# Base64url of a SHA-256, as tokens and Azure's own tools show it.
_Hash = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}$")]
_Any = Literal["any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaInstance:
    """One attestation provider; ``saved_keys`` are RFC 7638 thumbprints."""

    issuer: str
    jku: str
    keys: KeySource
    anchor_class: AnchorClass
    saved_keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaPolicy:
    """Values are the allowed ones, or None where the policy says "any".

    ``claims`` is path → values, of claims that no other entry names. ``whole_image``: the
    operator's word that the measurement covers all that runs in the guest.
    """

    instances: Mapping[str, MaaInstance]
    attestation_type: str
    policy_hashes: frozenset[bytes] | None
    compliance: frozenset[str] | None
    measurements: frozenset[bytes] | None
    host_data: frozenset[bytes] | None
    id_key_digests: frozenset[bytes] | None
    minimum_versions: SecurityVersions | None
    claims: Mapping[tuple[str, ...], frozenset[str] | None]
    require_secure_boot: bool = True
    whole_image: bool = False
    max_vmpl: int = 0
    allow_debug: bool = False
    allow_migration_agent: bool = False
    max_token_age_s: int = DEFAULT_MAX_TOKEN_AGE_S
    max_age_s: int = DEFAULT_MAX_AGE_S


class MaaInstanceTable(Table, frozen=True):
    """``[[maa.instances]]``."""

    issuer: Url
    jku: Url | None = None
    jwks_url: Url | None = None
    jwks_file: FilePath | None = None
    jwks_max_age_s: JwksMaxAge = DEFAULT_JWKS_MAX_AGE_S
    anchor_class: Literal["tee", "emulated"] = msgspec.field(name="class", default="emulated")
    saved_keys: list[_Hash] = msgspec.field(default_factory=list)


class MinimumVersionsTable(Table, frozen=True):
    """The least security version of each part of the firmware under the guest."""

    boot_loader: _Version
    tee: _Version
    snp: _Version
    microcode: _Version


class MaaTable(Table, frozen=True):
    """``[maa]``."""

    instances: list[MaaInstanceTable] = msgspec.field(default_factory=list)
    attestation_type: Literal["azurevm", "sevsnpvm"] = "azurevm"
    policy_hashes: list[_Hash] | _Any = msgspec.field(default_factory=list)
    compliance: list[_Text] | _Any = msgspec.field(default_factory=list)
    measurements: HexValues = msgspec.field(default_factory=list)
    host_data: HexValues = "any"
    id_key_digests: HexValues = "any"
    minimum_versions: MinimumVersionsTable | _Any | None = None
    claims: dict[_Text, list[_Text] | _Any] = msgspec.field(default_factory=dict)
    require_secure_boot: bool = True
    whole_image: bool = False
    max_vmpl: Annotated[int, Meta(ge=0, le=_MAX_VMPL)] = 0
    allow_debug: bool = False
    allow_migration_agent: bool = False
    max_token_age_s: Annotated[int, Meta(ge=1, le=_MAX_TOKEN_AGE_S)] = DEFAULT_MAX_TOKEN_AGE_S
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def maa_policy(table: MaaTable, folder: Path) -> MaaPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry."""
    _check_whole_image(table)
    hashes = _texts(table.policy_hashes, "maa.policy_hashes")
    return MaaPolicy(
        instances=_instances(table, folder),
        attestation_type=table.attestation_type,
        policy_hashes=None if hashes is None else frozenset(map(base64url.decode, hashes)),
        compliance=_texts(table.compliance, "maa.compliance"),
        measurements=_values(table.measurements, MEASUREMENT_BYTES, "maa.measurements"),
        host_data=_values(table.host_data, HOST_DATA_BYTES, "maa.host_data"),
        id_key_digests=_values(table.id_key_digests, ID_KEY_DIGEST_BYTES, "maa.id_key_digests"),
        minimum_versions=_minimum(table.minimum_versions),
        claims={
            tuple(path.split("/")): _texts(values, f"maa.claims.{path}")
            for path, values in table.claims.items()
        },
        require_secure_boot=table.require_secure_boot,
        whole_image=table.whole_image,
        max_vmpl=table.max_vmpl,
        allow_debug=table.allow_debug,
        allow_migration_agent=table.allow_migration_agent,
        max_token_age_s=table.max_token_age_s,
        max_age_s=table.max_age_s,
    )


def _instances(table: MaaTable, folder: Path) -> dict[str, MaaInstance]:
    if not table.instances:
        raise empty("maa.instances: no attestation provider")
    found: dict[str, MaaInstance] = {}
    for index, each in enumerate(table.instances):
        path = f"maa.instances[{index}]"
        if each.issuer in found:
            raise wrong(f"{path}.issuer: {each.issuer} stands here twice")
        found[each.issuer] = _instance(each, folder, path)
    return found


def _instance(table: MaaInstanceTable, folder: Path, path: str) -> MaaInstance:
    return MaaInstance(
        issuer=table.issuer,
        jku=table.jku or f"{table.issuer}/certs",
        keys=key_source(
            url=table.jwks_url,
            file=table.jwks_file,
            max_age_s=table.jwks_max_age_s,
            folder=folder,
            parse=parse_maa_keys,
            path=path,
        ),
        anchor_class=AnchorClass(table.anchor_class),
        saved_keys=frozenset(table.saved_keys),
    )


def _check_whole_image(table: MaaTable) -> None:
    """A VM boots its disk through a measured paravisor, so there no measurement is the image's."""
    if not table.whole_image:
        return
    if table.attestation_type == AZURE_VM:
        raise wrong("maa.whole_image: the launch measurement of an azurevm is not of its disk")
    if table.measurements == "any":
        raise wrong("maa.whole_image: says nothing where measurements are any")


def _minimum(table: MinimumVersionsTable | str | None) -> SecurityVersions | None:
    if isinstance(table, str):
        return None
    if table is None:
        raise empty('maa.minimum_versions: expected a table, or "any" written out')
    return SecurityVersions(
        boot_loader=table.boot_loader, tee=table.tee, snp=table.snp, microcode=table.microcode
    )


def _values(value: HexValues, size: int, path: str) -> frozenset[bytes] | None:
    return reference_values(value, size_bytes=size, path=path)


def _texts(value: list[str] | str, path: str) -> frozenset[str] | None:
    if isinstance(value, str):
        return None
    if not value:
        raise empty(f'{path}: expected values, or "any" written out')
    return frozenset(value)
