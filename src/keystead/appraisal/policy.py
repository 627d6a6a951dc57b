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

An unknown or wrong entry is a ConfigurationError that names its path, and the line of the file:
"policy.toml:12: tpm2.pcr_values.sha256.0: expected 64 hex digits, …". Nothing is allowed by
silence: a policy without a kind, anchors, PCRs, or with a required PCR for which neither values
nor "any" is written, is refused as empty. ``docs/evidence/tpm2.md`` has a row for each entry.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from keystead.appraisal.anchors import AnchorSet, load_anchors, merge
from keystead.appraisal.app_attest_policy import (
    AppAttestPolicy,
    AppAttestTable,
    app_attest_policy,
)
from keystead.appraisal.aws_nitro_policy import NitroPolicy, NitroTable, nitro_policy
from keystead.appraisal.azure_cvm_policy import (
    AzureCvmPolicy,
    AzureCvmTable,
    azure_cvm_policy,
)
from keystead.appraisal.chain_cache import TpmChainCache
from keystead.appraisal.event_rules import (
    SECURE_BOOT_PCR,
    Digests,
    EventLogRules,
    check_enforced,
)
from keystead.appraisal.maa_policy import MaaPolicy, MaaTable, maa_policy
from keystead.appraisal.oidc_policy import OidcPolicy, OidcTable, oidc_policy
from keystead.appraisal.pcr_tables import (
    PcrReferences,
    PcrValueTables,
    RequiredPcrs,
    bank_digests,
    bank_named,
    index_named,
    pcr_references,
    pcr_selection,
    required_selection,
)
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    FilePath,
    MaxAge,
    empty,
    wrong,
)
from keystead.appraisal.sev_snp_policy import SnpPolicy, SnpTable, snp_policy
from keystead.appraisal.tdx_policy import TdxPolicy, TdxTable, tdx_policy
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.toml_lines import line_of
from keystead.codec.tpm2 import PcrSelection
from keystead.codec.tpm2.constants import PCR_COUNT
from keystead.errors import ConfigurationError, Reason
from keystead.model import AnchorClass, EvidenceKind

MAX_POLICY_BYTES: Final = 1 << 20
"""Some thousand reference values; anything larger is not a policy."""

_KIND = Literal["tpm2", "aws-nitro", "sev-snp", "tdx", "azure-cvm", "maa", "app-attest", "oidc"]
_REATTEST = Annotated[int, Meta(ge=30, le=86_400)]
_TPM_CLASSES = Literal["tpm", "virtual-tpm", "emulated"]

_NAME = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
_PCR = Annotated[int, Meta(ge=0, lt=PCR_COUNT)]
_HEX = Annotated[str, Meta(pattern="^[0-9a-f]+$", max_length=128)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm2Policy:
    """What ``tpm2`` evidence has to show.

    ``pcr_values`` has every required PCR: its allowed values, or None where the policy says "any".
    ``require_key_policy`` is the selection that a workload key's PolicyPCR must be over.
    """

    chains: TpmChainCache = field(repr=False, compare=False)
    allowed_anchor_classes: frozenset[AnchorClass]
    required_pcrs: PcrSelection
    pcr_values: PcrReferences
    event_log: EventLogRules
    require_key_policy: PcrSelection | None = None
    accept_ak_certificate: bool = False
    max_age_s: int = DEFAULT_MAX_AGE_S

    @property
    def anchors(self) -> AnchorSet:
        """The roots whose chains are believed."""
        return self.chains.anchors


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """A policy, and for each kind of evidence what it has to show; None: the kind is refused.

    ``reattest_after_s``: how long after an attestation its workload is told to attest again.
    """

    id: str
    version: int
    tpm2: Tpm2Policy | None = None
    aws_nitro: NitroPolicy | None = None
    app_attest: AppAttestPolicy | None = None
    sev_snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    azure_cvm: AzureCvmPolicy | None = None
    oidc: OidcPolicy | None = None
    maa: MaaPolicy | None = None
    reattest_after_s: Mapping[EvidenceKind, int] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[EvidenceKind]:
        """The kinds that have rules."""
        return frozenset(
            kind
            for kind in EvidenceKind
            if getattr(self, kind.value.replace("-", "_"), None) is not None
        )

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
        line = _line_of(data, error)
        place = path if line is None else f"{path}:{line}"
        raise ConfigurationError(error.reason, f"{place}: {error.detail}") from error


def parse_policy(data: bytes | str, *, folder: Path) -> AppraisalPolicy:
    """The policy that ``data`` (TOML) spells; relative anchor paths start at ``folder``.

    Raises ConfigurationError: policy_empty, or configuration_invalid naming the entry.
    """
    table = _table(_document(data))
    kinds = set(table.__struct_fields__) - {"id", "version", "reattest_after_s"}
    if all(getattr(table, name) is None for name in kinds):
        raise empty("tpm2: no kind of evidence has rules")
    tpm2, nitro, app = table.tpm2, table.aws_nitro, table.app_attest
    snp, azure = table.sev_snp, table.azure_cvm
    return AppraisalPolicy(
        id=table.id,
        version=table.version,
        tpm2=None if tpm2 is None else _tpm2_policy(tpm2, folder),
        aws_nitro=None if nitro is None else nitro_policy(nitro, folder),
        app_attest=None if app is None else app_attest_policy(app, folder),
        sev_snp=None if snp is None else snp_policy(snp, folder, max_age_s=snp.max_age_s),
        tdx=None if table.tdx is None else tdx_policy(table.tdx, folder),
        azure_cvm=None if azure is None else azure_cvm_policy(azure, folder),
        oidc=None if table.oidc is None else oidc_policy(table.oidc, folder),
        maa=None if table.maa is None else maa_policy(table.maa, folder),
        reattest_after_s={
            EvidenceKind(kind): seconds for kind, seconds in table.reattest_after_s.items()
        },
    )


def _document(data: bytes | str) -> dict[str, Any]:
    try:
        return tomllib.loads(data if isinstance(data, str) else data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise wrong(str(error)) from error
    except RecursionError as error:
        raise wrong("nested too deeply") from error


def _table(document: Any) -> _PolicyTable:
    try:
        return msgspec.convert(document, _PolicyTable)
    except msgspec.ValidationError as error:
        raise wrong(str(error)) from error


def _line_of(data: bytes, error: ConfigurationError) -> int | None:
    """Of the entry that the error is about; of a policy that is empty as a whole, the first."""

    def fails(document: Any) -> bool:
        try:
            _table(document)
        except ConfigurationError as other:
            return other.detail == error.detail
        return False

    line = line_of(data.decode(errors="replace"), error.detail, fails=fails)
    return 1 if line is None and error.reason is Reason.POLICY_EMPTY else line


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which only the listed entries may stand."""


class _AnchorTable(_Table, frozen=True):
    path: FilePath
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
    required_pcrs: RequiredPcrs = {}
    pcr_values: PcrValueTables = {}
    event_log: _EventLogTable = _EventLogTable()
    require_key_policy: RequiredPcrs | None = None
    accept_ak_certificate: bool = False
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


class _PolicyTable(_Table, frozen=True):
    id: _NAME
    version: Annotated[int, Meta(ge=1)]
    tpm2: _Tpm2Table | None = None
    aws_nitro: NitroTable | None = msgspec.field(name="aws-nitro", default=None)
    app_attest: AppAttestTable | None = msgspec.field(name="app-attest", default=None)
    sev_snp: SnpTable | None = msgspec.field(name="sev-snp", default=None)
    tdx: TdxTable | None = None
    azure_cvm: AzureCvmTable | None = msgspec.field(name="azure-cvm", default=None)
    oidc: OidcTable | None = None
    maa: MaaTable | None = None
    reattest_after_s: dict[_KIND, _REATTEST] = {}


def _tpm2_policy(table: _Tpm2Table, folder: Path) -> Tpm2Policy:
    anchors = _anchors(table, folder)
    required = required_selection(table.required_pcrs, "tpm2.required_pcrs")
    return Tpm2Policy(
        chains=TpmChainCache(anchors),
        allowed_anchor_classes=_classes(table, anchors),
        required_pcrs=required,
        pcr_values=pcr_references(table.pcr_values, required=required, path="tpm2.pcr_values"),
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
        bank = bank_named(name, path)
        for text, digests in values.items():
            place = f"{path}.{name}.{text}"
            found.setdefault(index_named(text, place), {})[bank] = bank_digests(
                digests, bank, place
            )
    return dict(found)


def _bank_digests(banks: Mapping[str, list[str]], path: str) -> Digests:
    return {
        (bank := bank_named(name, path)): bank_digests(texts, bank, f"{path}.{name}")
        for name, texts in banks.items()
    }


def _key_policy(table: _Tpm2Table, required: PcrSelection) -> PcrSelection | None:
    if table.require_key_policy is None:
        return None
    path = "tpm2.require_key_policy"
    selection = pcr_selection(table.require_key_policy, path)
    if not selection.banks:
        raise empty(f"{path}: no PCR")
    if not set(selection.pairs()) <= set(required.pairs()):
        raise wrong(f"{path}: only required_pcrs have values that a key can be held to")
    return selection
