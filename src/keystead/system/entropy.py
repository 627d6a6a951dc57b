"""The system's source of chance."""

from __future__ import annotations

import os


class SystemEntropy:
    """Implements :class:`keystead.ports.Entropy` with the kernel's generator."""

    __slots__ = ()

    def token(self, size_bytes: int) -> bytes:
        """``size_bytes`` unpredictable bytes; at least one, so that no token is ever empty."""
        if size_bytes < 1:
            raise ValueError("a token has at least one byte")
        return os.urandom(size_bytes)
