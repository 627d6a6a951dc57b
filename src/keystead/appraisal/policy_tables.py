"""What the policy's tables of every kind share: strictness, words for what is wrong, and anchors.

[aws-nitro]
pinned_anchors = true               # the makers' roots that Keystead ships
[[aws-nitro.anchors]]               # an operator's own
path = "anchors/simulator.pem"
class = "emulated"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from keystead.appraisal.anchors import AnchorSet, load_anchors, merge
from keystead.appraisal.pinned_anchors import PINNED
from keystead.errors import ConfigurationError, Reason
from keystead.model import AnchorClass, EvidenceKind

DEFAULT_MAX_AGE_S: Final = 3_600
"""How long an attestation result is believed where the policy does not say."""

FilePath = Annotated[str, Meta(pattern=r"^[^\x00]+$", max_length=1024)]
"""A file or folder, beside the policy unless absolute."""

MaxAge = Annotated[int, Meta(ge=1, le=366 * 86_400)]
HexValues = list[Annotated[str, Meta(pattern="^[0-9a-f]+$", max_length=128)]] | Literal["any"]


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which only the listed entries may stand."""


class TeeAnchorTable(Table, frozen=True):
    """A root of the operator's own: a maker's that is not shipped, or a simulator's."""

    path: FilePath
    anchor_class: Literal["tee", "emulated"] = msgspec.field(name="class", default="emulated")


def tee_anchors(
    kind: EvidenceKind, tables: Sequence[TeeAnchorTable], *, pinned: bool, folder: Path
) -> AnchorSet:
    """The anchors of ``kind``: those that are shipped, if ``pinned``, and the operator's own.

    ConfigurationError (policy_empty) where that is none.
    """
    sets = [
        load_anchors(folder / each.path, anchor_class=AnchorClass(each.anchor_class))
        for each in tables
    ]
    if pinned:
        sets.append(AnchorSet(anchors=PINNED[kind]))
    if not sets:
        raise empty(f"{kind}.anchors: no trust anchor")
    return merge(sets)


def reference_values(value: HexValues, *, size_bytes: int, path: str) -> frozenset[bytes] | None:
    """The allowed values, or None for "any" written out; ``path`` names the entry in errors."""
    if value == "any":
        return None
    if not value:
        raise empty(f'{path}: expected values, or "any" written out')
    for text in value:
        if not re.fullmatch(rf"[0-9a-f]{{{2 * size_bytes}}}", text):
            raise wrong(f"{path}: expected {2 * size_bytes} hex digits, got {text!r}")
    return frozenset(bytes.fromhex(text) for text in value)


def wrong(detail: str) -> ConfigurationError:
    """An entry that is not as it must be; ``detail`` starts with its path."""
    return ConfigurationError(Reason.CONFIGURATION_INVALID, detail)


def empty(detail: str) -> ConfigurationError:
    """An entry whose absence would allow something by silence."""
    return ConfigurationError(Reason.POLICY_EMPTY, detail)
