from collections.abc import Sequence
from typing import Final

from keystead._native.replay import ReplayTable
from keystead._native.rules import Rules

MAX_TOKENS: Final[int]
REFUSED_AS: Final[dict[int, str]]
"""The class of an error by its number: ``malformed``, ``token``, ``proof``, ``replayed``,
``unavailable``."""
REASONS: Final[dict[int, str]]
"""The value of a ``Reason`` by its number."""

class TokenBatch:
    """Tokens on their way through the steps of ``keystead.relying.Verifier``.

    Made, they are decoded (steps 1 to 3). Text is UTF-8 where it is ``bytes``. One thread uses it
    at a time; a second one gets RuntimeError. ValueError comes of steps in another order.
    """

    def __init__(self, tokens: Sequence[str], rules: Rules, *, now: int, threads: int) -> None: ...
    def __len__(self) -> int: ...
    def names(self) -> list[tuple[str, bytes | None]]:
        """The algorithm and ``kid`` of every key that some token names."""

    def verify(self, keys: Sequence[tuple[bytes, bytes] | None], *, threads: int) -> None:
        """Steps 5 to 18, with one key for each name, or None where it has none: its tokens are then
        refused by ``key_unknown``."""

    def lists(self) -> list[bytes]:
        """The URI of every status list that some token names; once, after ``verify``, and only
        where the rules have ``status_required``."""

    def check_status(self, lists: Sequence[tuple[bytes, int] | None]) -> None:
        """Step 19, with the statuses and their bits of each list, or None where there is none: its
        tokens are then refused by ``status_unavailable``."""

    def prove(self, requests: Sequence[object], *, threads: int) -> None:
        """Step 20 but for the nonce, with a ``RequestToVerify`` for each token."""

    def remember(self, seen: ReplayTable) -> None:
        """Step 21, in the order of the tokens, after ``prove``."""

    def ok(self) -> bytearray:
        """One byte a token: 1 where nothing was found wrong in the steps that were made."""

    def refusal(self, index: int) -> tuple[int, int, int]:
        """Numbers of ``REFUSED_AS`` and ``REASONS`` and the step; zeros where nothing is wrong."""

    def name_of(self, index: int) -> int:
        """The index of its key's name; their number where it names none."""

    def list_of(self, index: int) -> int:
        """The index of its status list; their number where it names none."""

    def payload(self, index: int) -> bytes:
        """The claims of a token that got past step 3, as JSON."""

    def proven(self, index: int) -> tuple[bytes, bytes, int] | None:
        """``jkt``, ``jti`` and ``iat`` of the proof that was needed; None where none was."""
