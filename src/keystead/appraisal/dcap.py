"""Who vouches for a TD's quote, and what Intel says of them: each check one function.

The platform's key (PCK) signs a report of Intel's quoting enclave, which holds the attestation key,
which signs the quote. Intel's statements, TCB info of the platform's family and the identity of the
enclave, say how recent all of it is. ``appraisal.tdx`` calls these in order and numbers them; they
are true of any policy. Source: Intel "TDX DCAP Quoting Library API" and the documentation of its
Provisioning Certification Service, "Determining TCB status".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from keystead.appraisal.anchors import Anchor
from keystead.appraisal.dcap_memory import DcapMemory, Statements
from keystead.appraisal.intel_chain import (
    NotInForce,
    PckPath,
    SignerPath,
    common_window,
    pck_path,
    signer_path,
    verify_p256,
)
from keystead.appraisal.path import Untrusted
from keystead.appraisal.revocation_lists import Revoked
from keystead.codec.dcap_collateral import Collateral
from keystead.codec.pck import PckTcb
from keystead.codec.sgx_report import SGX_ATTRIBUTE_DEBUG
from keystead.codec.tcb_info import (
    IsvLevel,
    ModuleIdentity,
    QeIdentity,
    TcbInfo,
    TcbLevel,
    TcbStatus,
    parse_qe_identity,
    parse_tcb_info,
)
from keystead.codec.td_quote import TdQuote, TdReport
from keystead.errors import EvidenceRejected, Malformed, Reason

_HALF: Final = 32
_TCB_INFO: Final = "TCB info"
_QE_IDENTITY: Final = "QE identity"
# Parsed; a family of platforms has one pair a month, with some tens of kilobytes.
_KEPT_STATEMENTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbStanding:
    """What Intel says of the platform, of the TDX module (None: of no version with a say), and of
    the quoting enclave. ``advisories`` are those of all three, sorted."""

    platform: TcbStatus
    module: TcbStatus | None
    qe: TcbStatus
    advisories: tuple[str, ...]

    @property
    def statuses(self) -> frozenset[TcbStatus]:
        """All of them: a chain of three is as good as each."""
        return frozenset(each for each in (self.platform, self.module, self.qe) if each is not None)


def check_pck_chain(
    quote: TdQuote, collateral: Collateral, memory: DcapMemory, now: int, *, step: int
) -> PckPath:
    """The quote's certificates chain, at ``now``, to an anchor, and no list revokes one."""
    chain, root_crl, pck_crl = parts = quote.pck_chain, collateral.root_ca_crl, collateral.pck_crl
    try:
        return memory.paths.find(
            parts,
            at=now,
            make=lambda: pck_path(
                chain, root_crl=root_crl, pck_crl=pck_crl, anchors=memory.anchors, at=now
            ),
        )
    except Untrusted as error:
        raise _path(error, Reason.CHAIN_UNTRUSTED, "the platform", step) from error


def check_statements(
    collateral: Collateral, anchor: Anchor, memory: DcapMemory, now: int, *, step: int
) -> Statements:
    """Intel signed both statements, by a key of ``anchor``, and they are in force."""
    root_crl = collateral.root_ca_crl
    signed = _signed_statements(collateral)
    return memory.statements.find(
        (anchor.sha256, root_crl, *(part for each in signed.values() for part in each)),
        at=now,
        make=lambda: _statements(signed, root_crl, anchor, now, step),
    )


def check_subject(statements: Statements, tcb: PckTcb, *, step: int) -> None:
    """The TCB info is of this platform's family."""
    said = statements.tcb_info
    if (said.fmspc, said.pce_id) != (tcb.fmspc, tcb.pce_id):
        raise EvidenceRejected(
            Reason.ENDORSEMENT_MISMATCH,
            f"TCB info of {said.fmspc.hex()}, a platform of {tcb.fmspc.hex()}",
            step=step,
        )


def check_attestation_key(quote: TdQuote, platform: bytes, *, step: int) -> None:
    """The key of the point ``platform`` signed the enclave's report, which names the attestation
    key."""
    try:
        verify_p256(platform, quote.qe_report_signature, quote.qe_report.raw)
    except Untrusted as error:
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, "the QE report", step=step) from error
    named = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest()
    if not hmac.compare_digest(quote.qe_report.report_data, named.ljust(2 * _HALF, b"\x00")):
        raise EvidenceRejected(
            Reason.ENDORSEMENT_MISMATCH, "the QE report names another key", step=step
        )


def check_quoting_enclave(quote: TdQuote, identity: QeIdentity, *, step: int) -> None:
    """It is Intel's quoting enclave of TDs, and not in debug mode."""
    found = quote.qe_report
    same = (
        found.mrsigner == identity.mrsigner
        and found.isv_prod_id == identity.isv_prod_id
        and _fits(found.misc_select, identity.misc_select, identity.misc_select_mask)
        and _fits(found.attributes, identity.attributes, identity.attributes_mask)
        and not found.attributes[0] & SGX_ATTRIBUTE_DEBUG
    )
    if not same:
        raise EvidenceRejected(Reason.ENDORSEMENT_MISMATCH, "another enclave", step=step)


def check_quote_signature(quote: TdQuote, *, step: int) -> None:
    """The attestation key signed header and report body."""
    try:
        verify_p256(quote.attestation_key, quote.signature, quote.signed)
    except Untrusted as error:
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, "the quote", step=step) from error


def check_standing(
    quote: TdQuote, tcb: PckTcb, statements: Statements, *, step: int
) -> TcbStanding:
    """Intel knows security versions like these, and has revoked none of them."""
    info = statements.tcb_info
    platform = _platform_level(quote.report, tcb, info.levels, step)
    module = _module_level(quote.report, info, step)
    enclave = _isv_level(
        quote.qe_report.isv_svn, statements.qe_identity.levels, "quoting enclave", step
    )
    levels: list[TcbLevel | IsvLevel] = [platform, enclave]
    if module is not None:
        levels.append(module)
    standing = TcbStanding(
        platform=platform.status,
        module=None if module is None else module.status,
        qe=enclave.status,
        advisories=tuple(sorted({name for level in levels for name in level.advisories})),
    )
    if TcbStatus.REVOKED in standing.statuses:
        raise _tcb("Revoked", step)
    return standing


def _signed_statements(collateral: Collateral) -> dict[str, tuple[bytes, bytes, bytes]]:
    """What is said, its signature, and the chain of who signed."""
    return {
        _TCB_INFO: (
            collateral.tcb_info,
            collateral.tcb_info_signature,
            collateral.tcb_info_issuer_chain,
        ),
        _QE_IDENTITY: (
            collateral.qe_identity,
            collateral.qe_identity_signature,
            collateral.qe_identity_issuer_chain,
        ),
    }


def _statements(
    signed: Mapping[str, tuple[bytes, bytes, bytes]],
    root_crl: bytes,
    anchor: Anchor,
    now: int,
    step: int,
) -> Statements:
    paths: dict[bytes, SignerPath] = {}  # One chain in most cases.
    for name, (said, signature, chain) in signed.items():
        try:
            if chain not in paths:
                paths[chain] = signer_path(chain, root_crl=root_crl, anchor=anchor, at=now)
            verify_p256(paths[chain].point, signature, said)
        except Untrusted as error:
            raise _path(error, Reason.COLLATERAL_UNTRUSTED, name, step) from error
    try:
        tcb_info, qe_identity = _parsed(signed[_TCB_INFO][0], signed[_QE_IDENTITY][0])
    except Malformed as error:
        raise EvidenceRejected(Reason.COLLATERAL_UNTRUSTED, error.detail, step=step) from error
    start, end = common_window(
        [
            *((path.not_before, path.not_after) for path in paths.values()),
            _in_force(_TCB_INFO, tcb_info, now, step),
            _in_force(_QE_IDENTITY, qe_identity, now, step),
        ]
    )
    return Statements(tcb_info=tcb_info, qe_identity=qe_identity, not_before=start, not_after=end)


@lru_cache(maxsize=_KEPT_STATEMENTS)
def _parsed(tcb_info: bytes, qe_identity: bytes) -> tuple[TcbInfo, QeIdentity]:
    """What stands in them, asked only of what Intel signed; ``Malformed``, each time."""
    return parse_tcb_info(tcb_info), parse_qe_identity(qe_identity)


def _in_force(name: str, said: TcbInfo | QeIdentity, now: int, step: int) -> tuple[int, int]:
    if not said.not_before <= now <= said.not_after:
        raise EvidenceRejected(
            Reason.COLLATERAL_EXPIRED,
            f"{name} is from {said.not_before} to {said.not_after}, not {now}",
            step=step,
        )
    return said.not_before, said.not_after


def _platform_level(
    report: TdReport, tcb: PckTcb, levels: Sequence[TcbLevel], step: int
) -> TcbLevel:
    """The first level that the platform has reached in everything: Intel lists the best first.

    Modules since version 1 are looked up by themselves; then the first two of the TD's numbers,
    the module's own, do not count here.
    """
    first = 2 if report.tee_tcb_svn[1] else 0
    for level in levels:
        if (
            tcb.pce_svn >= level.pce_svn
            and _reaches(tcb.svns, level.svns)
            and _reaches(report.tee_tcb_svn[first:], level.tdx_svns[first:])
        ):
            return level
    raise _tcb("a platform below every level that Intel knows", step)


def _module_level(report: TdReport, info: TcbInfo, step: int) -> IsvLevel | None:
    isv_svn, version = report.tee_tcb_svn[:2]
    identity = info.modules.get(version) if version else info.module
    if identity is None:
        raise _tcb(f"a TDX module of version {version}, which Intel does not know", step)
    _check_module(report, identity, step)
    return _isv_level(isv_svn, identity.levels, "TDX module", step) if version else None


def _check_module(report: TdReport, identity: ModuleIdentity, step: int) -> None:
    """What the mask leaves out has to be zero, since Intel gave it no meaning yet."""
    attributes = report.seam_attributes
    unnamed = bytes(~each & 0xFF for each in identity.attributes_mask)
    if report.mrsignerseam != identity.mrsigner or not (
        _fits(attributes, identity.attributes, identity.attributes_mask)
        and _fits(bytes(len(attributes)), attributes, unnamed)
    ):
        raise EvidenceRejected(
            Reason.ENDORSEMENT_MISMATCH, "a TDX module of another signer or kind", step=step
        )


def _isv_level(isv_svn: int, levels: Sequence[IsvLevel], what: str, step: int) -> IsvLevel:
    for level in levels:
        if isv_svn >= level.isv_svn:
            return level
    raise _tcb(f"a {what} of version {isv_svn}, below every level that Intel knows", step)


def _reaches(found: Sequence[int], wanted: Sequence[int]) -> bool:
    return all(have >= want for have, want in zip(found, wanted, strict=True))


def _fits(found: bytes, wanted: bytes, mask: bytes) -> bool:
    return all(
        have & bits == want & bits for have, want, bits in zip(found, wanted, mask, strict=True)
    )


def _path(error: Untrusted, reason: Reason, whose: str, step: int) -> EvidenceRejected:
    if isinstance(error, Revoked):
        reason = Reason.CERTIFICATE_REVOKED
    elif isinstance(error, NotInForce):
        reason = Reason.COLLATERAL_EXPIRED
    return EvidenceRejected(reason, f"{whose}: {error}", step=step)


def _tcb(detail: str, step: int) -> EvidenceRejected:
    return EvidenceRejected(Reason.TCB_REFUSED, detail, step=step)
