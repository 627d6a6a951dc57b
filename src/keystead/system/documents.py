"""JWK Sets from the outside: an https URL or a file, bounded in size and time.

Redirects are not followed: the configuration says where the keys are, not the server there. Plain
http is for loopback only, where a developer's identity provider runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from keystead.errors import ConfigurationError, Reason, Unavailable

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
CHUNK_BYTES = 16_384


class Documents:
    """Implements :class:`keystead.ports.DocumentSource`."""

    async def fetch(self, location: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """The document at an URL or in a file; Unavailable(keys_unavailable) without it."""
        try:
            async with asyncio.timeout(timeout_s):
                if "://" in location:
                    return await _fetch_url(location, max_bytes)
                return await asyncio.to_thread(_read_file, Path(location), max_bytes)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            detail = f"{location}: {type(error).__name__}"
            raise Unavailable(Reason.KEYS_UNAVAILABLE, detail) from error


def check_location(location: str) -> None:
    """ConfigurationError unless it is an https URL, a loopback http URL, or a path."""
    if "://" not in location:
        return
    try:
        parts = urlsplit(location)
        httpx.URL(location, port=parts.port)  # each is stricter than the other in some places
    except (ValueError, httpx.InvalidURL) as error:
        detail = f"{location}: not a URL: {error}"
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, detail) from None
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
        return
    raise ConfigurationError(
        Reason.CONFIGURATION_INVALID, f"{location}: expected https (http on loopback only)"
    )


async def _fetch_url(url: str, max_bytes: int) -> bytes:
    check_location(url)
    body = bytearray()
    async with (
        httpx.AsyncClient(follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, f"{url}: HTTP {response.status_code}")
        async for chunk in response.aiter_bytes(CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes:
                raise Unavailable(Reason.KEYS_UNAVAILABLE, f"{url}: over {max_bytes} bytes")
    return bytes(body)


def _read_file(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Unavailable(Reason.KEYS_UNAVAILABLE, f"{path}: over {max_bytes} bytes")
    return data
