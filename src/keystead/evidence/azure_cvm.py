"""Evidence of kind ``azure-cvm``: the HCL report, what vouches for it, and a quote of the vTPM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.dcap_collateral import Collateral, parse_collateral
from keystead.codec.hcl import MAX_HCL_BYTES, HardwareReport, HclReport, parse_hcl_report
from keystead.codec.json import JSON
from keystead.codec.td_quote import TdQuote
from keystead.codec.tpm2 import PcrValues, PublicArea
from keystead.errors import Malformed, Reason
from keystead.evidence.envelope import Submission
from keystead.evidence.sev_snp import read_certificates
from keystead.evidence.tdx import read_td_quote
from keystead.evidence.tpm2 import (
    SignedAttest,
    encode_attestation,
    encode_pcrs,
    read_attestation,
    read_pcrs,
    read_public,
)
from keystead.jose.jwk import PublicJwk
from keystead.ports import Attestation

_OF_EITHER: Final = frozenset({"hcl_report", "quote", "pcrs", "certify", "key_public"})
_MEMBERS: Final[Mapping[HardwareReport, frozenset[str]]] = {
    HardwareReport.SEV_SNP: _OF_EITHER | {"certificates"},
    HardwareReport.TDX: _OF_EITHER | {"td_quote", "collateral"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TdEndorsement:
    """What vouches for a TDREPORT, which is only MACed: a quote, and Intel's collateral for it."""

    quote: TdQuote
    collateral: Collateral = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureCvmEvidence:
    """What arrived; ``None`` is what did not. ``nonce`` and ``key`` are the envelope's.

    ``certificates`` are of an SEV-SNP report and ``td`` is of a TDREPORT, as ``hcl`` has one or the
    other.
    """

    nonce: bytes | None
    key: PublicJwk | None
    hcl: HclReport
    certificates: tuple[bytes, ...]
    td: TdEndorsement | None
    quote: SignedAttest | None
    pcrs: PcrValues | None
    certify: SignedAttest | None
    key_public: PublicArea | None


def parse(submission: Submission) -> AzureCvmEvidence:
    """The structures of ``submission``; ``Malformed`` names the member that is not one."""
    members = submission.evidence
    hcl = parse_hcl_report(json.get_bytes(members, "hcl_report", max_bytes=MAX_HCL_BYTES))
    json.refuse_other_members(members, _MEMBERS[hcl.hardware])
    snp = hcl.hardware is HardwareReport.SEV_SNP
    return AzureCvmEvidence(
        nonce=submission.nonce,
        key=submission.key,
        hcl=hcl,
        certificates=read_certificates(members) if snp else (),
        td=None if snp else _td(members),
        quote=read_attestation(members, "quote"),
        pcrs=read_pcrs(members),
        certify=read_attestation(members, "certify"),
        key_public=read_public(members, "key_public"),
    )


def encode(
    *,
    hcl_report: bytes,
    quote: Attestation,
    pcrs: PcrValues,
    certificates: Sequence[bytes] = (),
    td_quote: bytes | None = None,
    collateral: Mapping[str, JSON] | None = None,
    certify: Attestation | None = None,
    key_public: bytes | None = None,
) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope.

    ``certificates`` (DER) are for an SEV-SNP report, ``td_quote`` and ``collateral`` for a
    TDREPORT; ``key_public`` is a TPM2B_PUBLIC.
    """
    members: dict[str, JSON] = {
        "hcl_report": base64url.encode(hcl_report),
        "quote": encode_attestation(quote),
        "pcrs": encode_pcrs(pcrs),
    }
    if certificates:
        members["certificates"] = [base64url.encode(each) for each in certificates]
    if td_quote is not None:
        members["td_quote"] = base64url.encode(td_quote)
    if collateral is not None:
        members["collateral"] = dict(collateral)
    if certify is not None:
        members["certify"] = encode_attestation(certify)
    if key_public is not None:
        members["key_public"] = base64url.encode(key_public)
    return members


def _td(members: Mapping[str, JSON]) -> TdEndorsement:
    if "td_quote" not in members:
        raise Malformed(Reason.MALFORMED, "a TDREPORT without td_quote")
    return TdEndorsement(
        quote=read_td_quote(members, "td_quote"),
        collateral=parse_collateral(json.get_object(members, "collateral")),
    )
