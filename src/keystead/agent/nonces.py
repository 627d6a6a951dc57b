"""The DPoP nonces that servers gave, the newest of each origin (RFC 9449 §8, §9)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Final

import httpx

MAX_ORIGINS: Final = 64
"""One agent talks to a few APIs; a client that crawls must not grow without end."""

# RFC 9449 §8.1: 1*NQCHAR. Servers give some tens of characters; longer ones are no nonce that a
# proof has room for.
_NONCE: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}")
_ERROR: Final = re.compile(r'(?:^|[\s,])error\s*=\s*"?([A-Za-z0-9_.-]+)', re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]


class NonceMemory:
    """Which nonce each server wants next. Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nonces: OrderedDict[Origin, str] = OrderedDict()

    def of(self, url: httpx.URL) -> str | None:
        """The nonce for the next proof that goes to the server of ``url``, if it gave one."""
        with self._lock:
            return self._nonces.get(_origin(url))

    def learn(self, response: httpx.Response) -> bool:
        """Keep the nonce that came with a response, refusal or not; whether there was one."""
        nonce = response.headers.get("DPoP-Nonce", "")
        if not _NONCE.fullmatch(nonce):
            return False
        origin = _origin(response.request.url)
        with self._lock:
            self._nonces[origin] = nonce
            self._nonces.move_to_end(origin)
            while len(self._nonces) > MAX_ORIGINS:
                self._nonces.popitem(last=False)
        return True


def challenge_error(response: httpx.Response) -> str | None:
    """The ``error`` of a 401's DPoP challenge (RFC 9449 §7.1), None for anything else."""
    if response.status_code != httpx.codes.UNAUTHORIZED:
        return None
    for value in response.headers.get_list("WWW-Authenticate"):
        _, scheme, parameters = _after_scheme(value)
        if scheme and (found := _ERROR.search(parameters)):
            return found[1]
    return None


def _after_scheme(value: str) -> tuple[str, str, str]:
    """What stands before, is and follows ``DPoP``; other schemes may share the header."""
    found = re.search(r"(?:^|[\s,])(DPoP)\s", value, re.IGNORECASE)
    if found is None:
        return value, "", ""
    return value[: found.start()], found[1], value[found.end() :]


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)
