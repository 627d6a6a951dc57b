"""Evidence of kind ``tdx``: a quote over the binding hash, and Intel's collateral for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keystead.agent.collectors.collateral import Collateral
from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec import eventlog
from keystead.codec.json import JSON
from keystead.codec.td_quote import parse_td_quote
from keystead.evidence import tdx
from keystead.hardware.tsm import TsmReports
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind
from keystead.system.platform import read_file

EVENT_LOG: Final = Path("/sys/firmware/acpi/tables/data/CCEL")
"""Where Linux shows the log of a TD's firmware, to root."""

_PROVIDER: Final = "tdx_guest"


class TdxCollector:
    """Runs in the TD, as root, by configfs-tsm; the host's quoting service makes the quote."""

    kind: Final = EvidenceKind.TDX

    def __init__(
        self,
        *,
        collateral: Collateral,
        reports: TsmReports | None = None,
        event_log: Path | None = None,
    ) -> None:
        """``collateral`` says where Intel's documents for this platform are. ``event_log`` is where
        the firmware's log is (``EVENT_LOG``), for policies that want one.
        """
        self._collateral = collateral
        self._reports = TsmReports() if reports is None else reports
        self._event_log = event_log

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """A quote whose REPORTDATA is the binding hash of ``key``, ``issuer`` and ``nonce``.

        Raises as :class:`keystead.agent.collectors.Collector` says.
        """
        said = padded(binding_hash(self.kind, issuer=issuer, nonce=nonce, key=key))
        quote = self._reports.report(said, provider=_PROVIDER).outblob
        parse_td_quote(quote)
        log = None
        if self._event_log is not None:
            log = read_file(self._event_log, max_bytes=eventlog.MAX_LOG_BYTES)
        return tdx.encode(quote=quote, collateral=self._collateral.read(), event_log=log)
