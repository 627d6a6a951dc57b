"""Messages that do not decode are refused by the door, not by gRPC.

gRPC would answer UNKNOWN and write a stack trace to the log for each: a stranger could fill it. So
what does not decode becomes a marker, and :func:`decoded` refuses the marker inside the door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from keystead.errors import Malformed

T = TypeVar("T")


class _Undecodable:
    """The marker's class."""


UNDECODABLE: Final = _Undecodable()


def decoded(message: T) -> T:
    """The message; Malformed if it was none."""
    if isinstance(message, _Undecodable):
        raise Malformed()
    return message


def forgiving(parse: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """``parse``, which gives the marker for what it cannot parse."""

    def read(data: bytes) -> object:
        try:
            return parse(data)
        except DecodeError:
            return UNDECODABLE

    return read
