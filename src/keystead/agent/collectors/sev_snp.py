"""Evidence of kind ``sev-snp``: a report over the binding hash, and AMD's certificates for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec import pem
from keystead.codec.certificate import MAX_CERTIFICATE_BYTES
from keystead.codec.json import JSON
from keystead.codec.snp import Product, SigningKey, SnpReport, parse_report, parse_tcb
from keystead.codec.snp_certificates import TableEntry, parse_table
from keystead.errors import Malformed, Reason, Unavailable
from keystead.evidence import sev_snp
from keystead.hardware.sev_guest import SevGuest
from keystead.hardware.tsm import TsmReports
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind
from keystead.system.platform import read_file

KDS: Final = "https://kdsintf.amd.com"
"""AMD's key distribution service, which an operator asks: nothing here does."""

MAX_FILE_BYTES: Final = 2 * sev_snp.MAX_CERTIFICATES * MAX_CERTIFICATE_BYTES
"""Base64 takes a third more, and text may stand between."""

_PROVIDER: Final = "sev_guest"
_CHIP_BYTES: Final = {Product.TURIN: 8}
_LEAF: Final = {SigningKey.VCEK: TableEntry.VCEK, SigningKey.VLEK: TableEntry.VLEK}


class SevSnpCollector:
    """Runs in the guest, as root: configfs-tsm where the kernel has it, else ``/dev/sev-guest``."""

    kind: Final = EvidenceKind.SEV_SNP

    def __init__(
        self,
        *,
        reports: TsmReports | None = None,
        device: SevGuest | None = None,
        certificates: Path | None = None,
        vmpl: int | None = None,
    ) -> None:
        """``certificates`` is a file for hosts that give none or not all: the VCEK's or VLEK's,
        then its CA's, in PEM. ``vmpl`` is the level to ask from, the kernel's own unless given.
        """
        self._reports = TsmReports() if reports is None else reports
        self._device = SevGuest() if device is None else device
        self._certificates = certificates
        self._vmpl = vmpl

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """A report whose REPORT_DATA is the binding hash of ``key``, ``issuer`` and ``nonce``.

        Raises as :class:`keystead.agent.collectors.Collector` says.
        """
        said = padded(binding_hash(self.kind, issuer=issuer, nonce=nonce, key=key))
        raw, table = self._ask(said)
        report = parse_report(raw)
        chain = _chain(report, parse_table(table)) or self._from_file(report)
        return sev_snp.encode(report=raw, certificates=chain)

    def _ask(self, report_data: bytes) -> tuple[bytes, bytes]:
        """The report, and the host's table of certificates."""
        if self._reports.there or not self._device.there:
            made = self._reports.report(report_data, provider=_PROVIDER, privlevel=self._vmpl)
            return made.outblob, made.auxblob
        return self._device.extended_report(report_data, vmpl=self._vmpl or 0)

    def _from_file(self, report: SnpReport) -> tuple[bytes, ...]:
        if self._certificates is None:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, _where_to_find(report))
        found = pem.certificates(read_file(self._certificates, max_bytes=MAX_FILE_BYTES))
        if len(found) > sev_snp.MAX_CERTIFICATES:
            raise Malformed(Reason.TOO_LARGE, f"{self._certificates}: {len(found)} certificates")
        return found


def _chain(report: SnpReport, table: dict[TableEntry, bytes]) -> tuple[bytes, ...]:
    """The certificate of the key that signed and its CA's; nothing where either is missing."""
    leaf = _LEAF.get(report.signing_key)
    if leaf not in table or TableEntry.ASK not in table:
        return ()
    wanted = (leaf, TableEntry.ASK, TableEntry.ARK)
    return tuple(table[each] for each in wanted if each in table)


def _where_to_find(report: SnpReport) -> str:
    """What to do: a VLEK's certificate is the cloud's to give, a VCEK's has an address at AMD."""
    missing = "the host gives no certificates of the report's key and its CA: name a file of them"
    if report.signing_key is not SigningKey.VCEK or report.product is None:
        return f"{missing}; the cloud has a VLEK's, {KDS} a VCEK's"
    tcb = parse_tcb(report.reported_tcb, report.product)
    chip = report.chip_id[: _CHIP_BYTES.get(report.product)].hex()
    parts = {
        "fmcSPL": tcb.fmc,
        "blSPL": tcb.boot_loader,
        "teeSPL": tcb.tee,
        "snpSPL": tcb.snp,
        "ucodeSPL": tcb.microcode,
    }
    if report.product is not Product.TURIN:
        del parts["fmcSPL"]
    query = "&".join(f"{name}={value:02d}" for name, value in parts.items())
    line = f"{KDS}/vcek/v1/{report.product}"
    return f"{missing}, of {line}/{chip}?{query} and {line}/cert_chain"
