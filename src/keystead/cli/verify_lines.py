"""What ``keystead verify`` reads: lines of any length and number, in bounded memory.

Every line is an item and gets a verdict, empty ones included, so that verdict n is line n's. A line
ends with LF or CR LF, and the last one may end with the file. One that is longer than its bound is
skipped without being held, and is ``None`` to whoever reads on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from keystead.codec import json
from keystead.errors import Malformed, Reason
from keystead.relying import MAX_TOKEN_BYTES, RequestToVerify
from keystead.relying.steps import Step

MAX_REQUEST_BYTES: Final = json.MAX_OBJECT_BYTES
"""A request is a token and a proof of 8 KiB each, a URL and a method: four times what they need."""
MAX_BATCH_LINES: Final = 1_024
"""Enough for the engine's lanes, threads and tables; verdicts of a slow stream come this late."""
MAX_BATCH_BYTES: Final = 4 << 20
"""What a batch of the longest lines may hold."""

_LINE_END_BYTES: Final = 2
_BUFFER_BYTES: Final = 1 << 16
_REQUEST_MEMBERS: Final = frozenset({"token", "proof", "method", "url"})
# A request's own object, and the array of its proofs.
_REQUEST_DEPTH: Final = 2


def open_input(name: str) -> AbstractContextManager[BinaryIO]:
    """The file, or for ``-`` standard input, which stays open. Raises Malformed."""
    if name == "-":
        if sys.stdin is None:
            raise Malformed(Reason.PARAMETER_INVALID, "-: standard input is closed")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb", buffering=_BUFFER_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None


class Lines:
    """The lines of ``file`` without their ends; None for one of more than ``max_bytes``."""

    def __init__(self, file: BinaryIO, *, name: str, max_bytes: int) -> None:
        self._file = file
        self._name = name
        self._max_bytes = max_bytes
        self.bytes_read = 0
        """So far, line ends and skipped lines included."""

    def __iter__(self) -> Iterator[bytes | None]:
        limit = self._max_bytes + _LINE_END_BYTES
        while line := self._read(limit):
            if len(line) == limit and not line.endswith(b"\n"):
                self._skip()
                yield None
                continue
            content = line.removesuffix(b"\n").removesuffix(b"\r")
            yield content if len(content) <= self._max_bytes else None

    def _skip(self) -> None:
        while (rest := self._read(_BUFFER_BYTES)) and not rest.endswith(b"\n"):
            pass

    def _read(self, limit: int) -> bytes:
        try:
            data = self._file.readline(limit)
        except OSError as error:
            raise _unreadable(self._name, error) from None
        self.bytes_read += len(data)
        return data


def batches(lines: Iterable[bytes | None]) -> Iterator[list[bytes | None]]:
    """The same lines in order, ``MAX_BATCH_LINES`` and ``MAX_BATCH_BYTES`` at a time."""
    batch: list[bytes | None] = []
    size_bytes = 0
    for line in lines:
        batch.append(line)
        size_bytes += len(line or b"")
        if len(batch) == MAX_BATCH_LINES or size_bytes >= MAX_BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def parse_token(line: bytes | None) -> str:
    """The line as it stands: what is wrong with it is the verifier's to say. Raises Malformed."""
    if line is None:
        raise Malformed(
            Reason.TOO_LARGE, f"a line of more than {MAX_TOKEN_BYTES} bytes", step=Step.DECODE
        )
    return line.decode("latin-1")  # keeps every byte, and what is not ASCII stays outside it


def parse_request(line: bytes | None) -> RequestToVerify:
    """One JSON object of ``token``, ``method``, ``url`` and, if any was sent, ``proof``.

    ``proof`` is the ``DPoP`` header's value, or an array of all its values. Raises Malformed for
    anything else, other members included.
    """
    if line is None:
        raise Malformed(Reason.TOO_LARGE, f"a line of more than {MAX_REQUEST_BYTES} bytes")
    members = json.parse_object(line, max_bytes=MAX_REQUEST_BYTES, max_depth=_REQUEST_DEPTH)
    if not members.keys() <= _REQUEST_MEMBERS:
        raise Malformed(Reason.MALFORMED, f"a request has {sorted(_REQUEST_MEMBERS)} alone")
    return RequestToVerify(
        token=json.get_str(members, "token", max_chars=MAX_REQUEST_BYTES),
        proof=json.find_str_or_list(members, "proof", max_chars=MAX_REQUEST_BYTES),
        method=json.get_str(members, "method"),
        url=json.get_str(members, "url"),
    )


def _unreadable(name: str, error: Exception) -> Malformed:
    detail = getattr(error, "strerror", None) or str(error)
    return Malformed(Reason.PARAMETER_INVALID, f"{name}: {detail}")
