"""OpenSSL called from C, with nothing around it: the most that verifying one by one can reach."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.interleaved import Runner
from bench.workload import Workload, octets

_SOURCE = Path(__file__).parent / "peers" / "openssl_floor.c"
_FUNCTIONS = (
    "floor_es256_ns",
    "floor_es256_from_octets_ns",
    "floor_es384_ns",
    "floor_rs256_ns",
    "floor_ed25519_ns",
)
_Call = Callable[[], int]


class Floor:
    """The library of ``peers/openssl_floor.c``; ``opened()`` builds it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name in _FUNCTIONS:
            getattr(library, name).restype = ctypes.c_int64

    def runner(self, *items: Workload, from_octets: bool = False) -> Runner:
        """Signatures a second; of several workloads, one of each a second. With ``from_octets``,
        of ES256, messages are hashed and keys and signatures read while the clock runs."""
        calls = [self._call(item, from_octets=from_octets) for item in items]
        count = len(items[0].messages)

        def measure() -> float:
            taken = [call() for call in calls]
            if min(taken) <= 0:
                raise RuntimeError("OpenSSL refused a signature: the figures would mean nothing")
            return count / sum(taken) * 1e9

        return measure

    def _call(self, item: Workload, *, from_octets: bool) -> _Call:
        keys = [octets(key) for key in item.key_of_each]
        points, signatures = b"".join(keys), b"".join(item.signatures)
        count = ctypes.c_size_t(len(item.messages))
        if from_octets or item.algorithm == "EdDSA":
            messages, size = b"".join(item.messages), ctypes.c_size_t(len(item.messages[0]))
            name = "floor_es256_from_octets_ns" if from_octets else "floor_ed25519_ns"
            function = getattr(self._library, name)
            return partial(function, points, messages, size, signatures, count)
        hashed = hashlib.sha384 if item.algorithm == "ES384" else hashlib.sha256
        digests = b"".join(hashed(message).digest() for message in item.messages)
        if item.algorithm == "RS256":
            size = ctypes.c_size_t(len(keys[0]))
            return partial(self._library.floor_rs256_ns, keys[0], size, digests, signatures, count)
        function = getattr(self._library, f"floor_{item.algorithm.lower()}_ns")
        return partial(function, points, digests, signatures, count)


@contextmanager
def opened() -> Iterator[Floor]:
    """The floor, compiled for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as folder:
        library = Path(folder) / "openssl_floor.so"
        command = ["cc", "-O3", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-lcrypto"]
        subprocess.run(command, check=True)
        yield Floor(ctypes.CDLL(str(library)))
