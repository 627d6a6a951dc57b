"""What ``app-attest`` evidence has to show.

    [app-attest]
    apps = ["TEAM123456.com.example.app"]
    environment = "production"

``docs/evidence/app-attest.md`` has a row for each entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    MaxAge,
    Table,
    TeeAnchorTable,
    empty,
    tee_anchors,
)
from keystead.model import EvidenceKind

_APP_ID = Annotated[str, Meta(pattern=r"^[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,200}$")]


class Environment(StrEnum):
    """Apple's two App Attest environments; a development key is of a debug build."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"

    @property
    def aaguid(self) -> bytes:
        """What stands in the attestation's authenticator data."""
        return _AAGUIDS[self]


_AAGUIDS: Final = {
    Environment.PRODUCTION: b"appattest".ljust(16, b"\x00"),
    Environment.DEVELOPMENT: b"appattestdevelop",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestPolicy:
    """``apps``: SHA-256 of an app's identifier → the identifier, team and bundle."""

    apps: Mapping[bytes, str]
    environment: Environment
    max_age_s: int = DEFAULT_MAX_AGE_S
    chains: ChainCache = field(repr=False, compare=False)


class AppAttestTable(Table, frozen=True):
    """``[app-attest]``."""

    apps: list[_APP_ID] = msgspec.field(default_factory=list)
    environment: Literal["production", "development"] = "production"
    pinned_anchors: bool = True
    anchors: list[TeeAnchorTable] = msgspec.field(default_factory=list)
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def app_attest_policy(table: AppAttestTable, folder: Path) -> AppAttestPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry."""
    anchors = tee_anchors(
        EvidenceKind.APP_ATTEST, table.anchors, pinned=table.pinned_anchors, folder=folder
    )
    if not table.apps:
        raise empty("app-attest.apps: no app may attest")
    return AppAttestPolicy(
        apps={hashlib.sha256(each.encode()).digest(): each for each in table.apps},
        environment=Environment(table.environment),
        max_age_s=table.max_age_s,
        chains=ChainCache(anchors),
    )
