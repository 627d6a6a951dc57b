"""Evidence of kind ``azure-cvm``: the HCL report, what vouches for it, and the vTPM's quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.agent.collectors.collateral import Collateral
from keystead.agent.key_file import WorkloadKey
from keystead.binding.binding_hash import binding_hash
from keystead.codec import base64url, json, pem
from keystead.codec.hcl import HardwareReport, HclReport, parse_hcl_report
from keystead.codec.json import JSON
from keystead.codec.td_quote import MAX_QUOTE_BYTES, quoted_report_data
from keystead.codec.tpm2 import PcrSelection, parse_tpm2b_public
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.evidence import azure_cvm
from keystead.evidence.sev_snp import MAX_CERTIFICATES
from keystead.hardware.tpm2 import Tpm2Device, nv, persistent_keys
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind
from keystead.ports import Attestation
from keystead.system.platform import PlatformEndpoint, read_file

HCL_INDEX: Final = 0x01400001
AK_HANDLE: Final = 0x81000003

THIM: Final = PlatformEndpoint(
    url="http://169.254.169.254/metadata/THIM/amd/certification", headers={"Metadata": "true"}
)
TD_QUOTE: Final = PlatformEndpoint(url="http://169.254.169.254/acc/tdquote")

MAX_ANSWER_BYTES: Final = 65_536
"""Three certificates in PEM, or a quote in base64url."""

_MAX_PEM_CHARS: Final = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureEndpoints:
    """Where the host answers: with AMD's certificates, and with a quote for a TDREPORT."""

    thim: PlatformEndpoint = THIM
    td_quote: PlatformEndpoint = TD_QUOTE


class AzureCvmCollector:
    """Runs in the confidential machine, with access to its vTPM.

    With ``workload_key`` the AK certifies the key, which proves that it is in this vTPM. Without,
    the quote names whatever key is asked for.
    """

    kind: Final = EvidenceKind.AZURE_CVM

    def __init__(
        self,
        device: Tpm2Device,
        *,
        required_pcrs: PcrSelection,
        workload_key: WorkloadKey | None = None,
        endpoints: AzureEndpoints | None = None,
        certificates: Path | None = None,
        collateral: Collateral | None = None,
    ) -> None:
        """``required_pcrs`` are what the service's policy wants quoted. ``certificates`` is a file
        to read instead of asking the host, on AMD hardware; ``collateral`` is for Intel's.
        """
        self._device = device
        self._required_pcrs = required_pcrs
        self._workload_key = workload_key
        self._endpoints = AzureEndpoints() if endpoints is None else endpoints
        self._certificates = certificates
        self._collateral = collateral

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """The report of the boot, a new quote, and the AK's certification of ``key``.

        Raises as :class:`keystead.agent.collectors.Collector` says.
        """
        raw, hcl = self._hcl_report()
        self._check_ak(hcl)
        if self._workload_key is None:
            said, certify, public = self._naming(key, issuer, nonce), None, None
        else:
            said = nonce
            certify, public = self._certification(self._workload_key, key, nonce)
        quote, values = self._device.call(
            persistent_keys.quote_with_values, AK_HANDLE, self._required_pcrs, qualifying_data=said
        )
        snp = hcl.hardware is HardwareReport.SEV_SNP
        return azure_cvm.encode(
            hcl_report=raw,
            quote=quote,
            pcrs=values,
            certificates=self._amd_certificates() if snp else (),
            td_quote=None if snp else self._td_quote(hcl),
            collateral=None if snp else self._read_collateral(),
            certify=certify,
            key_public=public,
        )

    def _hcl_report(self) -> tuple[bytes, HclReport]:
        raw = self._device.call(nv.find_index, HCL_INDEX)
        if raw is None:
            raise Unavailable(
                Reason.HARDWARE_UNAVAILABLE,
                f"the TPM has no NV index {HCL_INDEX:#010x}: is this Azure's confidential machine?",
            )
        return raw, parse_hcl_report(raw)

    def _check_ak(self, hcl: HclReport) -> None:
        """The service would find out, but could not say what is wrong here."""
        public = self._device.call(persistent_keys.find_public, AK_HANDLE)
        if public is None:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, f"the TPM has no key {AK_HANDLE:#x}")
        if parse_tpm2b_public(public).key != hcl.ak:
            raise Refused(
                Reason.HARDWARE_REFUSED, f"{AK_HANDLE:#x} is not the AK of the HCL report"
            )

    def _naming(self, key: PublicJwk, issuer: str, nonce: bytes) -> bytes:
        return binding_hash(self.kind, issuer=issuer, nonce=nonce, key=key)

    def _certification(
        self, workload_key: WorkloadKey, key: PublicJwk, nonce: bytes
    ) -> tuple[Attestation, bytes]:
        if workload_key.jkt != key.thumbprint:
            raise Refused(Reason.HARDWARE_REFUSED, "the key to bind is not the one in the vTPM")
        made = self._device.call(
            persistent_keys.certify,
            workload_key.wrapped,
            handle=AK_HANDLE,
            qualifying_data=nonce,
        )
        return made, workload_key.wrapped.public

    def _amd_certificates(self) -> tuple[bytes, ...]:
        """The VCEK's first, then its CA's."""
        if self._certificates is not None:
            found = pem.certificates(read_file(self._certificates, max_bytes=MAX_ANSWER_BYTES))
        else:
            answer = self._endpoints.thim.get(max_bytes=MAX_ANSWER_BYTES)
            members = json.parse_object(answer, max_bytes=MAX_ANSWER_BYTES)
            texts = (_pem_text(members, "vcekCert"), _pem_text(members, "certificateChain"))
            found = pem.certificates(b"\n".join(texts))
        if len(found) > MAX_CERTIFICATES:
            raise Malformed(Reason.TOO_LARGE, f"{len(found)} certificates")
        return found

    def _td_quote(self, hcl: HclReport) -> bytes:
        """The host's quoting service takes a TDREPORT of any of its machines."""
        body = json.encode({"report": base64url.encode(hcl.td_report)})
        answer = self._endpoints.td_quote.post(body, max_bytes=MAX_ANSWER_BYTES)
        members = json.parse_object(answer, max_bytes=MAX_ANSWER_BYTES)
        quote = json.get_bytes(members, "quote", max_bytes=MAX_QUOTE_BYTES)
        quoted_report_data(quote)
        return quote

    def _read_collateral(self) -> dict[str, JSON]:
        if self._collateral is None:
            raise Unavailable(
                Reason.HARDWARE_UNAVAILABLE, "on Intel hardware the quote's collateral is needed"
            )
        return self._collateral.read()


def _pem_text(members: Mapping[str, JSON], name: str) -> bytes:
    """PEM has line ends, which other texts of JSON must not have."""
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PEM_CHARS or not value.isascii():
        raise Malformed(Reason.MALFORMED, f"{name} is not PEM")
    return value.encode()
