"""Evidence of kind ``tdx``: a quote over the binding hash, and Intel's collateral for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keystead.agent.collectors.collateral import Collateral
from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec import base64url, eventlog
from keystead.codec.json import JSON
from keystead.codec.td_quote import quoted_report_data
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
        quoted_report_data(quote)
        log = None
        if self._event_log is not None:
            log = read_file(self._event_log, max_bytes=eventlog.MAX_LOG_BYTES)
        return _encode(quote=quote, collateral=self._collateral.read(), event_log=log)


def _encode(
    *, quote: bytes, collateral: Mapping[str, JSON], event_log: bytes | None
) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope."""
    members: dict[str, JSON] = {"quote": base64url.encode(quote), "collateral": dict(collateral)}
    if event_log is not None:
        members["event_log"] = base64url.encode(event_log)
    return members
