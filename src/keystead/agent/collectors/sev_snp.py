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
        """``certificates`` is a file in PEM with what the host does not give: the VCEK's or VLEK's
        first, then its CA's. ``vmpl`` is the level to ask from, the kernel's own unless given.
        """
        self._reports = TsmReports() if reports is None else reports
        self._device = SevGuest() if device is None else device
        self._file = certificates
        self._vmpl = vmpl

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """A report whose REPORT_DATA is the binding hash of ``key``, ``issuer`` and ``nonce``.

        Raises as :class:`keystead.agent.collectors.Collector` says.
        """
        said = padded(binding_hash(self.kind, issuer=issuer, nonce=nonce, key=key))
        raw, table = self._ask(said)
        report = parse_report(raw)
        chain = self._certificates_for(report, parse_table(table))
        return sev_snp.encode(report=raw, certificates=chain)

    def _ask(self, report_data: bytes) -> tuple[bytes, bytes]:
        """The report, and the host's table of certificates."""
        if self._reports.there or not self._device.there:
            made = self._reports.report(report_data, provider=_PROVIDER, privlevel=self._vmpl)
            return made.outblob, made.auxblob
        return self._device.extended_report(report_data, vmpl=self._vmpl or 0)

    def _certificates_for(
        self, report: SnpReport, table: dict[TableEntry, bytes]
    ) -> tuple[bytes, ...]:
        """The signing key's certificate, then its CA's: the host's, and from the file the rest."""
        leaf = table.get(_LEAF[report.signing_key]) if report.signing_key in _LEAF else None
        if leaf is not None and TableEntry.ASK in table:
            rest = (TableEntry.ASK, TableEntry.ARK)
            return (leaf, *(table[each] for each in rest if each in table))
        if self._file is None:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, _where_to_find(report))
        found = pem.certificates(read_file(self._file, max_bytes=MAX_FILE_BYTES))
        if leaf is not None:
            found = (leaf, *(each for each in found if each != leaf))
        if len(found) > sev_snp.MAX_CERTIFICATES:
            raise Malformed(Reason.TOO_LARGE, f"{self._file}: {len(found)} certificates with it")
        return found


def _where_to_find(report: SnpReport) -> str:
    """What to do: a VLEK's certificate is the cloud's to give, a VCEK's has an address at AMD."""
    missing = "the host does not give the certificates of the report's key and its CA: name a file"
    if report.product is None:
        return f"{missing}; AMD's, by processor line, are at {KDS}"
    if report.signing_key is not SigningKey.VCEK:
        line = f"{KDS}/vlek/v1/{report.product}"
        return f"{missing} of the VLEK's, which is the cloud's to give, and {line}/cert_chain"
    line = f"{KDS}/vcek/v1/{report.product}"
    return f"{missing} of {line}/{_place(report, report.product)} and {line}/cert_chain"


def _place(report: SnpReport, product: Product) -> str:
    """Where a chip's certificate for its TCB stands (AMD 57230, §4.1)."""
    tcb = parse_tcb(report.reported_tcb, product)
    parts = {
        "blSPL": tcb.boot_loader,
        "teeSPL": tcb.tee,
        "snpSPL": tcb.snp,
        "ucodeSPL": tcb.microcode,
    }
    if product is Product.TURIN:
        parts = {"fmcSPL": tcb.fmc} | parts
    chip = report.chip_id[: _CHIP_BYTES.get(product)].hex()
    return f"{chip}?{'&'.join(f'{name}={value:02d}' for name, value in parts.items())}"
