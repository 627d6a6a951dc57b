from collections.abc import Callable
from typing import Any, Final

MAX_BATCH: Final[int]
MAX_THREADS: Final[int]
ALGORITHMS: Final[dict[str, int]]
FORCED_NOT: Final[int]
FORCED: Final[int]
FORCED_UNKNOWN: Final[int]

def key_table(
    algorithm: int,
    point: tuple[str, str] | None,
    keys: tuple[object, ...],
    read: Callable[[Any], tuple[bytes, bytes]],
) -> tuple[tuple[tuple[bytes, bytes], ...], tuple[int, ...]]:
    """The parameters of the distinct keys, and for each of ``keys`` their index.

    A dict that :func:`bare_point` reads as a key of type and curve ``point`` is read by it, and
    whatever else by ``read``, whose errors are the caller's.
    """

def bare_point(
    algorithm: int, kty: str, crv: str, jwk: dict[str, Any]
) -> tuple[bytes, bytes] | None:
    """The coordinates of a JWK that has type, curve and coordinates, and nothing else.

    None if it has other members, or strings of an unusual kind: nothing is said of it. Two empty
    ones if it is no key for ``algorithm``, which is of that type and curve. Whether the point is on
    its curve is left to :func:`verify_batch`.
    """

def verify_batch(
    algorithm: int,
    keys: tuple[tuple[bytes, bytes], ...],
    key_of: tuple[int, ...],
    messages: tuple[bytes, ...],
    signatures: tuple[bytes, ...],
    threads: int,
) -> bytes:
    """One byte for each item: 1 valid, 0 not.

    ``algorithm`` is a number of ``ALGORITHMS``. A key is its two parameters: x and y, x and
    nothing, or n and e. ``key_of[i]`` is the index of item i's key. The GIL is released while the
    signatures are verified; in the main thread, handlers of signals run every 5 to 15 ms, and what
    they raise ends the batch.

    Raises TypeError where something is not exactly ``bytes``, ValueError for unequal lengths, an
    index above the last key, or more than ``MAX_BATCH`` items or ``MAX_THREADS`` threads,
    OverflowError for negative numbers.
    """

def path_of(algorithm: int) -> str:
    """The code path that ``algorithm`` takes here. ValueError for an unknown number."""

def path_reason_of(algorithm: int) -> str:
    """Why it takes that one, in words for an operator. ValueError for an unknown number."""

def path_forced_of(algorithm: int) -> int:
    """Whether KEYSTEAD_ENGINE chose it: ``FORCED_NOT``, ``FORCED``, or ``FORCED_UNKNOWN`` where the
    variable names no path that there is. ValueError for an unknown number."""

def multi_buffer_suits() -> bool:
    """Whether this CPU has what Intel's multi-buffer library is written for: AVX-512 IFMA."""

def load_multi_buffer(path: bytes) -> None:
    """Have RS256, PS256 and ES384 verified with the libcrypto_mb.so at ``path``, an absolute one.

    The first call in a process decides; ``path_of`` and ``path_reason_of`` say what came of it.
    Only for a file that may be run as this program's own code. TypeError for anything but
    ``bytes``, ValueError for a zero byte in it.
    """
