"""The operating system's time and chance: the only places that read either."""

from keystead.system.clock import SystemClock
from keystead.system.entropy import SystemEntropy

__all__ = ["SystemClock", "SystemEntropy"]
