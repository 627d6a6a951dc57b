"""``keystead`` as always, but the kernel knows its threads by their Python names.

    python -m bench.service serve --dev --state DIR

So the CPU time of the thread that talks to the TPM can be told from the rest in ``/proc``; Python
before 3.14 does not tell the kernel by itself.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from types import FrameType

from keystead.cli import main

_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def _name_this_thread(frame: FrameType, event: str, argument: object) -> None:
    """Called once in each new thread, as its profile function, which it takes out again."""
    sys.setprofile(None)
    _libc.prctl(_PR_SET_NAME, threading.current_thread().name.encode()[:15], 0, 0, 0)


if __name__ == "__main__":
    threading.setprofile(_name_this_thread)
    sys.exit(main())
