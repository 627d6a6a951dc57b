"""Intel's collateral for a quote, the JSON that DCAP verifiers take: a file or a local cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.system.documents import check_location
from keystead.system.platform import CONNECT_TIMEOUT_S, TIMEOUT_S, PlatformEndpoint, read_file

MAX_COLLATERAL_BYTES: Final = 262_144
"""Two chains, two revocation lists, TCB info and QE identity have some 16 KiB."""

_MAX_DEPTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """``location`` is a path, or an https URL (http on loopback only) of a service that keeps it.

    Raises ConfigurationError when it is made of anything else.
    """

    location: str
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        check_location(self.location)
        if self._is_url:
            self._endpoint()

    def read(self) -> dict[str, JSON]:
        """The collateral, read anew; raises as :mod:`keystead.system.platform` does."""
        return json.parse_object(
            self._bytes(), max_bytes=MAX_COLLATERAL_BYTES, max_depth=_MAX_DEPTH
        )

    def _bytes(self) -> bytes:
        if self._is_url:
            return self._endpoint().get(max_bytes=MAX_COLLATERAL_BYTES)
        return read_file(Path(self.location), max_bytes=MAX_COLLATERAL_BYTES)

    @property
    def _is_url(self) -> bool:
        return "://" in self.location

    def _endpoint(self) -> PlatformEndpoint:
        return PlatformEndpoint(
            url=self.location,
            connect_timeout_s=self.connect_timeout_s,
            timeout_s=self.timeout_s,
        )
