"""The appraisal policy: what evidence has to show, read strictly from a TOML file.

    id = "lab"
    version = 1

    [[tpm2.anchors]]
    path = "anchors/vendors"            # a PEM file or a folder of them, beside this file
    class = "tpm"

    [tpm2.required_pcrs]
    sha256 = [0, 7]

    [tpm2.pcr_values.sha256]
    0 = ["<64 hex digits>"]
    7 = "any"

An unknown or wrong entry is a ConfigurationError that names its path. Nothing is allowed by
silence: a policy without a kind, anchors, PCRs, or with a required PCR for which neither values
nor "any" is written, is refused as empty. ``docs/evidence/tpm2.md`` has a row for each entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from keystead.appraisal.anchors import AnchorSet, load_anchors, merge
from keystead.appraisal.app_attest_policy import (
    AppAttestPolicy,
    AppAttestTable,
    app_attest_policy,
)
from keystead.appraisal.aws_nitro_policy import NitroPolicy, NitroTable, nitro_policy
from keystead.appraisal.event_rules import (
    SECURE_BOOT_PCR,
    Digests,
    EventLogRules,
    check_enforced,
)
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    MaxAge,
    empty,
    wrong,
)
from keystead.appraisal.sev_snp_policy import SnpPolicy, SnpTable, snp_policy
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.codec.tpm2.constants import PCR_COUNT
from keystead.errors import ConfigurationError, Malformed
from keystead.model import AnchorClass

MAX_POLICY_BYTES: Final = 1 << 20
"""Some thousand reference values; anything larger is not a policy."""

_BANKS: Final = {bank.digest_name: bank for bank in HashAlgorithm if bank is not HashAlgorithm.SHA1}
_TPM_CLASSES = Literal["tpm", "virtual-tpm", "emulated"]
_INDEXES: Final = {str(index): index for index in range(PCR_COUNT)}

_NAME = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
_PCR = Annotated[int, Meta(ge=0, lt=PCR_COUNT)]
_HEX = Annotated[str, Meta(pattern="^[0-9a-f]+$", max_length=128)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm2Policy:
    """What ``tpm2`` evidence has to show.

    ``pcr_values`` has every required PCR: its allowed values, or None where the policy says "any".
    ``require_key_policy`` is the selection that a workload key's PolicyPCR must be over.
    """

    anchors: AnchorSet
    allowed_anchor_classes: frozenset[AnchorClass]
    required_pcrs: PcrSelection
    pcr_values: Mapping[HashAlgorithm, Mapping[int, frozenset[bytes] | None]]
    event_log: EventLogRules
    require_key_policy: PcrSelection | None = None
    accept_ak_certificate: bool = False
    max_age_s: int = DEFAULT_MAX_AGE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """A policy, and for each kind of evidence what it has to show; None: the kind is refused."""

    id: str
    version: int
    tpm2: Tpm2Policy | None = None
    aws_nitro: NitroPolicy | None = None
    app_attest: AppAttestPolicy | None = None
    sev_snp: SnpPolicy | None = None

    @property
    def name(self) -> str:
        """``id@version``, as results and tokens carry it."""
        return f"{self.id}@{self.version}"


def load_policy(path: Path) -> AppraisalPolicy:
    """The policy in the file ``path``; anchors are looked for beside it. ConfigurationError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise wrong(f"{path}: {error.strerror}") from error
    if len(data) > MAX_POLICY_BYTES:
        raise wrong(f"{path}: more than {MAX_POLICY_BYTES} bytes")
    try:
        return parse_policy(data, folder=path.parent)
    except ConfigurationError as error:
        raise ConfigurationError(error.reason, f"{path}: {error.detail}") from error


def parse_policy(data: bytes | str, *, folder: Path) -> AppraisalPolicy:
    """The policy that ``data`` (TOML) spells; relative anchor paths start at ``folder``.

    Raises ConfigurationError: policy_empty, or configuration_invalid naming the entry.
    """
    try:
        table = msgspec.toml.decode(data, type=_PolicyTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise wrong(str(error)) from error
    kinds = {name for name in table.__struct_fields__ if name not in ("id", "version")}
    if all(getattr(table, name) is None for name in kinds):
        raise empty("tpm2: no kind of evidence has rules")
    tpm2, nitro, app = table.tpm2, table.aws_nitro, table.app_attest
    snp = table.sev_snp
    return AppraisalPolicy(
        id=table.id,
        version=table.version,
        tpm2=None if tpm2 is None else _tpm2_policy(tpm2, folder),
        aws_nitro=None if nitro is None else nitro_policy(nitro, folder),
        app_attest=None if app is None else app_attest_policy(app, folder),
        sev_snp=None if snp is None else snp_policy(snp, folder),
    )


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which only the listed entries may stand."""


class _AnchorTable(_Table, frozen=True):
    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    anchor_class: _TPM_CLASSES = msgspec.field(name="class", default="emulated")


class _EventLogTable(_Table, frozen=True):
    required: bool = False
    pcrs: list[_PCR] | None = None
    secure_boot: Literal["required", "any"] = "any"
    allowed_digests: dict[str, dict[str, list[_HEX]]] = {}
    forbidden_digests: dict[str, list[_HEX]] = {}


class _Tpm2Table(_Table, frozen=True):
    anchors: list[_AnchorTable] = []
    allowed_anchor_classes: list[_TPM_CLASSES] | None = None
    required_pcrs: dict[str, list[_PCR]] = {}
    pcr_values: dict[str, dict[str, list[_HEX] | Literal["any"]]] = {}
    event_log: _EventLogTable = _EventLogTable()
    require_key_policy: dict[str, list[_PCR]] | None = None
    accept_ak_certificate: bool = False
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


class _PolicyTable(_Table, frozen=True):
    id: _NAME
    version: Annotated[int, Meta(ge=1)]
    tpm2: _Tpm2Table | None = None
    aws_nitro: NitroTable | None = msgspec.field(name="aws-nitro", default=None)
    app_attest: AppAttestTable | None = msgspec.field(name="app-attest", default=None)
    sev_snp: SnpTable | None = msgspec.field(name="sev-snp", default=None)


def _tpm2_policy(table: _Tpm2Table, folder: Path) -> Tpm2Policy:
    anchors = _anchors(table, folder)
    required = _selection(table.required_pcrs, "tpm2.required_pcrs")
    if not required.banks:
        raise empty("tpm2.required_pcrs: no PCR is required")
    return Tpm2Policy(
        anchors=anchors,
        allowed_anchor_classes=_classes(table, anchors),
        required_pcrs=required,
        pcr_values=_pcr_values(table, required),
        event_log=_event_log_rules(table.event_log, required),
        require_key_policy=_key_policy(table, required),
        accept_ak_certificate=table.accept_ak_certificate,
        max_age_s=table.max_age_s,
    )


def _anchors(table: _Tpm2Table, folder: Path) -> AnchorSet:
    if not table.anchors:
        raise empty("tpm2.anchors: no trust anchor")
    return merge(
        load_anchors(folder / each.path, anchor_class=AnchorClass(each.anchor_class))
        for each in table.anchors
    )


def _classes(table: _Tpm2Table, anchors: AnchorSet) -> frozenset[AnchorClass]:
    """The classes written out, or those of the anchors, each of which was written out as well."""
    if table.allowed_anchor_classes is None:
        return anchors.classes
    allowed = frozenset(AnchorClass(each) for each in table.allowed_anchor_classes)
    if not allowed & anchors.classes:
        raise empty("tpm2.allowed_anchor_classes: no anchor has one of these classes")
    return allowed


def _selection(banks: Mapping[str, list[int]], path: str) -> PcrSelection:
    try:
        return PcrSelection.of({_bank(name, path): indexes for name, indexes in banks.items()})
    except Malformed as error:
        raise wrong(f"{path}: {error.detail}") from error


def _bank(name: str, path: str) -> HashAlgorithm:
    bank = _BANKS.get(name)
    if bank is None:
        raise wrong(f"{path}.{name}: the banks that may be used are {', '.join(_BANKS)}")
    return bank


def _index(text: str, path: str) -> int:
    if text not in _INDEXES:
        raise wrong(f"{path}.{text}: expected the number of a PCR, 0 to {PCR_COUNT - 1}")
    return _INDEXES[text]


def _pcr_values(
    table: _Tpm2Table, required: PcrSelection
) -> dict[HashAlgorithm, dict[int, frozenset[bytes] | None]]:
    path = "tpm2.pcr_values"
    found: dict[HashAlgorithm, dict[int, frozenset[bytes] | None]] = {}
    for name, values in table.pcr_values.items():
        bank = _bank(name, path)
        found[bank] = {
            _index(text, f"{path}.{name}"): _references(value, bank, f"{path}.{name}.{text}")
            for text, value in values.items()
        }
    wanted = set(required.pairs())
    given = {(bank, index) for bank, values in found.items() for index in values}
    for bank, index in sorted(wanted - given):
        raise empty(f'{path}.{bank.digest_name}.{index}: expected values, or "any" written out')
    for bank, index in sorted(given - wanted):
        raise wrong(f"{path}.{bank.digest_name}.{index}: this PCR is not in required_pcrs")
    return found


def _references(
    value: list[str] | Literal["any"], bank: HashAlgorithm, path: str
) -> frozenset[bytes] | None:
    if value == "any":
        return None
    if not value:
        raise empty(f'{path}: expected values, or "any" written out')
    return _digests(list(value), bank, path)


def _digests(texts: list[str], bank: HashAlgorithm, path: str) -> frozenset[bytes]:
    for text in texts:
        if not re.fullmatch(rf"[0-9a-f]{{{2 * bank.digest_size}}}", text):
            raise wrong(f"{path}: expected {2 * bank.digest_size} hex digits, got {text!r}")
    return frozenset(bytes.fromhex(text) for text in texts)


def _event_log_rules(table: _EventLogTable, required: PcrSelection) -> EventLogRules:
    path = "tpm2.event_log"
    quoted = frozenset(index for _, index in required.pairs())
    rules = EventLogRules(
        required=table.required,
        pcrs=quoted if table.pcrs is None else frozenset(table.pcrs),
        secure_boot_required=table.secure_boot == "required",
        allowed=_allowed(table, f"{path}.allowed_digests"),
        forbidden=_bank_digests(table.forbidden_digests, f"{path}.forbidden_digests"),
    )
    if not rules.pcrs <= quoted:
        raise wrong(f"{path}.pcrs: {sorted(rules.pcrs - quoted)} not in required_pcrs")
    if not rules.required and (rules.secure_boot_required or rules.allowed or rules.forbidden):
        raise wrong(f"{path}.required: must be true where events have rules")
    if rules.secure_boot_required and SECURE_BOOT_PCR not in rules.pcrs:
        raise wrong(f"{path}.secure_boot: needs PCR {SECURE_BOOT_PCR} quoted and explained")
    if not rules.allowed.keys() <= rules.pcrs:
        raise wrong(f"{path}.allowed_digests: a PCR that the log need not explain")
    check_enforced(rules, required, path=path)
    return rules


def _allowed(table: _EventLogTable, path: str) -> dict[int, Digests]:
    found: dict[int, dict[HashAlgorithm, frozenset[bytes]]] = {}
    for name, values in table.allowed_digests.items():
        bank = _bank(name, path)
        for text, digests in values.items():
            place = f"{path}.{name}.{text}"
            found.setdefault(_index(text, place), {})[bank] = _digests(digests, bank, place)
    return dict(found)


def _bank_digests(banks: Mapping[str, list[str]], path: str) -> Digests:
    return {
        (bank := _bank(name, path)): _digests(texts, bank, f"{path}.{name}")
        for name, texts in banks.items()
    }


def _key_policy(table: _Tpm2Table, required: PcrSelection) -> PcrSelection | None:
    if table.require_key_policy is None:
        return None
    path = "tpm2.require_key_policy"
    selection = _selection(table.require_key_policy, path)
    if not selection.banks:
        raise empty(f"{path}: no PCR")
    if not set(selection.pairs()) <= set(required.pairs()):
        raise wrong(f"{path}: only required_pcrs have values that a key can be held to")
    return selection
