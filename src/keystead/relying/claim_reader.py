"""Reading claims by the codec's readers, so that what is wrong has a reason and a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.relying.steps import Step

_T = TypeVar("_T")


def get_claim(
    read: Callable[..., _T],
    members: Mapping[str, JSON],
    name: str,
    *,
    step: Step,
    within: str = "",
    **bounds: int,
) -> _T:
    """A member that must be there, else ``claim_missing``."""
    if name not in members:
        raise TokenRejected(Reason.CLAIM_MISSING, within + name, step=step)
    return find_claim(read, members, name, step=step, **bounds)


def find_claim(
    read: Callable[..., _T], members: Mapping[str, JSON], name: str, *, step: Step, **bounds: int
) -> _T:
    """A member by one of the codec's readers, whose ``Malformed`` becomes ``claim_invalid``."""
    try:
        return read(members, name, **bounds)
    except Malformed as error:
        raise TokenRejected(Reason.CLAIM_INVALID, error.detail, step=step) from error
