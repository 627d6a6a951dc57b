"""What a cloud, a CI system or a cluster says to the programs that it runs: endpoints and files.

    body = PlatformEndpoint("http://169.254.169.254/metadata/…", headers={"Metadata": "true"}).get(
        max_bytes=16_384
    )

Everything is bounded in size and time. Redirects are refused and proxies of the environment are not
used: the address is who is asked. No answer is ever part of an error, since many are credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from keystead.errors import ConfigurationError, Malformed, Reason, Refused, Unavailable

CONNECT_TIMEOUT_S: Final = 2.0
"""Metadata services are one hop away; elsewhere nothing listens at their address."""

TIMEOUT_S: Final = 10.0
"""For one whole answer: tokens are made while one waits."""

CHUNK_BYTES: Final = 16_384

# What another try may find otherwise; 410 is how Azure says that its service is being updated.
_AWAY: Final = frozenset({408, 410, 425, 429})
_FIRST_SERVER_ERROR: Final = 500

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformEndpoint:
    """One address and how to speak to it; ``headers`` may hold a credential.

    ``connect_timeout_s`` and ``timeout_s`` are for connecting and for everything, in seconds. The
    operating system's resolver has its own time for a name.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        try:
            parts = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise _not_a_url(self.url) from error
        if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo:
            raise _not_a_url(self.url)

    def get(self, *, max_bytes: int, parameters: Mapping[str, str] | None = None) -> bytes:
        """What it answers to GET, with ``parameters`` added to the URL's own.

        Raises:
            Unavailable: hardware_unavailable, no answer in time, or one that says "later".
            Refused: hardware_refused, another status than 200, a redirect among them.
            Malformed: too_large, more than ``max_bytes``; malformed, an encoding that is not ours.
        """
        return self._ask("GET", parameters or {}, None, max_bytes)

    def post(self, body: bytes, *, max_bytes: int) -> bytes:
        """What it answers to POST of a JSON ``body``; raises as :meth:`get`."""
        return self._ask("POST", {}, body, max_bytes)

    def _ask(
        self, method: str, parameters: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> bytes:
        headers = {"Accept-Encoding": "identity", **self.headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = httpx.Request(
            method,
            httpx.URL(self.url).copy_merge_params(dict(parameters)),
            headers=headers,
            content=body,
        )
        return _in_own_loop(self._exchange(request, max_bytes))

    async def _exchange(self, request: httpx.Request, max_bytes: int) -> bytes:
        timeout = httpx.Timeout(self.timeout_s, connect=self.connect_timeout_s)
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                httpx.AsyncClient(
                    timeout=timeout, follow_redirects=False, trust_env=False
                ) as client,
            ):
                response = await client.send(request, stream=True)
                try:
                    self._check_head(response)
                    return await self._read(response, max_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            raise Unavailable(
                Reason.HARDWARE_UNAVAILABLE, f"{self._name}: {type(error).__name__}"
            ) from None

    def _check_head(self, response: httpx.Response) -> None:
        status = response.status_code
        detail = f"{self._name}: HTTP {status}"
        if status in _AWAY or status >= _FIRST_SERVER_ERROR:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, detail)
        if status != httpx.codes.OK:
            raise Refused(Reason.HARDWARE_REFUSED, detail)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Malformed(Reason.MALFORMED, f"{self._name}: an encoding that was not asked for")

    async def _read(self, response: httpx.Response, max_bytes: int) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw(CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes:
                raise Malformed(Reason.TOO_LARGE, f"{self._name}: over {max_bytes} bytes")
        return bytes(body)

    @property
    def _name(self) -> str:
        """The address without its query, which may say more than a log should."""
        return self.url.partition("?")[0]


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The whole of a file that the platform or its operator keeps up to date.

    Raises:
        Unavailable: hardware_unavailable, it is not there or not readable.
        Malformed: too_large, more than ``max_bytes``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise Unavailable(Reason.HARDWARE_UNAVAILABLE, f"{path}: {error.strerror}") from error
    if len(data) > max_bytes:
        raise Malformed(Reason.TOO_LARGE, f"{path}: over {max_bytes} bytes")
    return data


def _in_own_loop(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for ``work`` in a thread of its own: the caller's may have an event loop already.

    Only a loop can end an exchange at a deadline, whichever part of it is slow.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="keystead-platform") as threads:
        return threads.submit(asyncio.run, work).result()


def _not_a_url(url: str) -> ConfigurationError:
    where = url.partition("?")[0][:200]
    return ConfigurationError(
        Reason.CONFIGURATION_INVALID, f"{where!r}: expected an http or https URL"
    )
