"""How a demo ends early."""

from __future__ import annotations


class StepFailed(Exception):
    """Something did not go as it has to; the message says what. Never leaves this package."""


class Interrupted(BaseException):
    """A signal asks the demo to end. Like KeyboardInterrupt, no ``except Exception`` stops it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
