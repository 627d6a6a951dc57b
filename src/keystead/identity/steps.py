"""Numbers for the checks whose readers do not know which step of which list they serve."""

from __future__ import annotations

from keystead.errors import KeysteadError


class at_step:
    """Give whatever is refused inside the step's number; an inner list's number gives way.

    A class, because a token passes a dozen of them and a generator costs three times as much.
    """

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        """Nothing happens unless something is refused."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeysteadError):
            error.step = self._number
