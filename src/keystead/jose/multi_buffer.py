"""Intel's multi-buffer library for the native engine, where ``ipp-crypto`` is installed."""

from __future__ import annotations

import os
from pathlib import Path

from keystead._native import batch as _native

_PACKAGE = "ipp-crypto"
# With the number of its interface: another one is another library.
_LIBRARY = "libcrypto_mb.so.13"


def load() -> None:
    """Hand the engine the library, if this CPU can run it and the package brought it.

    Where it does not, OpenSSL verifies, and ``capabilities()`` says why.
    """
    if not _native.multi_buffer_suits():
        return
    library = installed()
    if library is not None:
        _native.load_multi_buffer(os.fsencode(library))


def installed() -> Path | None:
    """The absolute path of the library that the installed package lists among its files.

    Never a bare name, which the loader would look for where the environment says.
    """
    # Only here: the import takes longer than most of ours together.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == _LIBRARY:
            return Path(str(file.locate())).resolve()
    return None
