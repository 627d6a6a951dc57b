"""What Intel says of platforms and of its quoting enclave: TCB info and enclave identity.

Both are JSON that Intel signs and renews every month; whoever reads them here has verified that.
Source: Intel "Provisioning Certification Service for ECDSA Attestation", API version 4, TCB info
version 3 and enclave identity version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from keystead.codec import json
from keystead.codec.dcap_collateral import MAX_SIGNED_CHARS
from keystead.codec.json import JSON
from keystead.codec.pck import COMPONENTS, FMSPC_BYTES, PCE_ID_BYTES
from keystead.errors import Malformed, Reason

_TCB_INFO_VERSION: Final = 3
_QE_IDENTITY_VERSION: Final = 2
_TDX: Final = "TDX"
_TD_QE: Final = "TD_QE"
# Real ones have some ten levels, and five modules.
_MAX_LEVELS: Final = 256
_MAX_ADVISORIES: Final = 256
_MAX_NAME_CHARS: Final = 64
_MAX_SVN: Final = 0xFFFF
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class TcbStatus(StrEnum):
    """What Intel says of a security version, best first."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevel:
    """Security versions, and what Intel says of whoever has at least these.

    ``svns`` are of SGX components, then ``pce_svn``, then ``tdx_svns``.
    """

    svns: tuple[int, ...]
    pce_svn: int
    tdx_svns: tuple[int, ...]
    status: TcbStatus
    advisories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IsvLevel:
    """The same for one number, a module's or an enclave's."""

    isv_svn: int
    status: TcbStatus
    advisories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleIdentity:
    """Who signs a TDX module, and with which attributes; ``levels`` may be empty."""

    mrsigner: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[IsvLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """``not_before`` and ``not_after`` are Unix seconds; ``modules`` go by the module's version.

    ``module`` is for modules before version 1, which have no entry of their own.
    """

    not_before: int
    not_after: int
    fmspc: bytes
    pce_id: bytes
    evaluation: int
    module: ModuleIdentity
    modules: Mapping[int, ModuleIdentity]
    levels: tuple[TcbLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QeIdentity:
    """The quoting enclave of TDs, as ``TcbInfo`` of platforms."""

    not_before: int
    not_after: int
    evaluation: int
    misc_select: bytes
    misc_select_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mrsigner: bytes
    isv_prod_id: int
    levels: tuple[IsvLevel, ...]


def parse_tcb_info(data: bytes) -> TcbInfo:
    """The TCB info of TDX that ``data`` is; ``Malformed``, also for that of SGX enclaves."""
    members = json.parse_object(data, max_bytes=MAX_SIGNED_CHARS)
    _check_head(members, _TDX, _TCB_INFO_VERSION)
    modules = json.find_object_list(members, "tdxModuleIdentities", max_items=_MAX_LEVELS) or ()
    levels = json.get_object_list(members, "tcbLevels", max_items=_MAX_LEVELS)
    not_before, not_after = _window(members)
    return TcbInfo(
        not_before=not_before,
        not_after=not_after,
        fmspc=_hex(members, "fmspc", FMSPC_BYTES),
        pce_id=_hex(members, "pceId", PCE_ID_BYTES),
        evaluation=json.get_int(members, "tcbEvaluationDataNumber"),
        module=_module(json.get_object(members, "tdxModule")),
        modules={_module_version(each): _module(each) for each in modules},
        levels=tuple(_level(each) for each in levels),
    )


def parse_qe_identity(data: bytes) -> QeIdentity:
    """The identity of the TDs' quoting enclave; ``Malformed``, also for another enclave's."""
    members = json.parse_object(data, max_bytes=MAX_SIGNED_CHARS)
    _check_head(members, _TD_QE, _QE_IDENTITY_VERSION)
    not_before, not_after = _window(members)
    return QeIdentity(
        not_before=not_before,
        not_after=not_after,
        evaluation=json.get_int(members, "tcbEvaluationDataNumber"),
        misc_select=_hex(members, "miscselect", 4),
        misc_select_mask=_hex(members, "miscselectMask", 4),
        attributes=_hex(members, "attributes", 16),
        attributes_mask=_hex(members, "attributesMask", 16),
        mrsigner=_hex(members, "mrsigner", 32),
        isv_prod_id=json.get_int(members, "isvprodid", maximum=_MAX_SVN),
        levels=_isv_levels(members),
    )


def _check_head(members: Mapping[str, JSON], name: str, version: int) -> None:
    found = json.get_str(members, "id", max_chars=_MAX_NAME_CHARS), json.get_int(members, "version")
    if found != (name, version):
        raise Malformed(Reason.MALFORMED, f"{found[0]!r} of version {found[1]}, not {name}")


def _window(members: Mapping[str, JSON]) -> tuple[int, int]:
    return _time(members, "issueDate"), _time(members, "nextUpdate")


def _time(members: Mapping[str, JSON], name: str) -> int:
    text = json.get_str(members, name, max_chars=_MAX_NAME_CHARS)
    try:
        return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"{name} is {text!r}") from None


def _module_version(members: Mapping[str, JSON]) -> int:
    text = json.get_str(members, "id", max_chars=_MAX_NAME_CHARS)
    head, _, number = text.partition("_")
    try:
        if head == _TDX and len(number) == 2:
            return int(number, 16)
    except ValueError:
        pass
    raise Malformed(Reason.MALFORMED, f"a TDX module named {text!r}")


def _module(members: Mapping[str, JSON]) -> ModuleIdentity:
    return ModuleIdentity(
        mrsigner=_hex(members, "mrsigner", 48),
        attributes=_hex(members, "attributes", 8),
        attributes_mask=_hex(members, "attributesMask", 8),
        levels=_isv_levels(members) if "tcbLevels" in members else (),
    )


def _level(members: Mapping[str, JSON]) -> TcbLevel:
    tcb = json.get_object(members, "tcb")
    return TcbLevel(
        svns=_svns(tcb, "sgxtcbcomponents"),
        pce_svn=json.get_int(tcb, "pcesvn", maximum=_MAX_SVN),
        tdx_svns=_svns(tcb, "tdxtcbcomponents"),
        status=_status(members),
        advisories=_advisories(members),
    )


def _isv_levels(members: Mapping[str, JSON]) -> tuple[IsvLevel, ...]:
    return tuple(
        IsvLevel(
            isv_svn=json.get_int(json.get_object(each, "tcb"), "isvsvn", maximum=_MAX_SVN),
            status=_status(each),
            advisories=_advisories(each),
        )
        for each in json.get_object_list(members, "tcbLevels", max_items=_MAX_LEVELS)
    )


def _svns(tcb: Mapping[str, JSON], name: str) -> tuple[int, ...]:
    found = json.get_object_list(tcb, name, max_items=COMPONENTS)
    if len(found) != COMPONENTS:
        raise Malformed(Reason.MALFORMED, f"{name}: {len(found)} components")
    return tuple(json.get_int(each, "svn", maximum=0xFF) for each in found)


def _status(members: Mapping[str, JSON]) -> TcbStatus:
    text = json.get_str(members, "tcbStatus", max_chars=_MAX_NAME_CHARS)
    try:
        return TcbStatus(text)
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"TCB status {text!r}") from None


def _advisories(members: Mapping[str, JSON]) -> tuple[str, ...]:
    found = json.find_str_list(
        members, "advisoryIDs", max_items=_MAX_ADVISORIES, max_chars=_MAX_NAME_CHARS
    )
    return found or ()


def _hex(members: Mapping[str, JSON], name: str, size: int) -> bytes:
    """Intel writes its digits in either case."""
    text = json.get_str(members, name, max_chars=2 * size)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size or len(text) != 2 * size:
        raise Malformed(Reason.MALFORMED, f"{name} is not {size} bytes in hex")
    return value
