"""tpm2-tools as a peer: files in its formats, and running it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.codec.tpm2 import PcrSelection, PcrValues

# tpm2-tools 5.x writes C structures as they lie in memory of a little-endian machine.
_BANKS = 16
_DIGESTS = 8
_DIGEST_BYTES = 64


def pcr_file(selection: PcrSelection, values: PcrValues) -> bytes:
    """The ``serialized`` PCR file that ``tpm2_checkquote --pcr`` reads.

    A TPML_PCR_SELECTION, then the number of lists, then TPML_DIGESTs of eight values each.
    """
    digests = [values[bank][index] for bank, index in selection.pairs()]
    groups = [digests[at : at + _DIGESTS] for at in range(0, len(digests), _DIGESTS)]
    lists = b"".join(map(_digest_list, groups))
    return _selection(selection) + len(groups).to_bytes(4, "little") + lists


def run_tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``tpm2_<name>``; the test is skipped where tpm2-tools is not installed."""
    program = shutil.which(f"tpm2_{name}")
    if program is None:
        pytest.skip("tpm2-tools is not installed")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def _selection(selection: PcrSelection) -> bytes:
    entries = b"".join(_bank_entries(selection))
    return len(selection.banks).to_bytes(4, "little") + entries.ljust(8 * _BANKS, b"\0")


def _bank_entries(selection: PcrSelection) -> Iterator[bytes]:
    for bank, indexes in selection.banks:
        mask = sum(1 << index for index in indexes).to_bytes(4, "little")
        yield bank.to_bytes(2, "little") + b"\x03" + mask + b"\0"


def _digest_list(digests: list[bytes]) -> bytes:
    buffers = b"".join(
        len(digest).to_bytes(2, "little") + digest.ljust(_DIGEST_BYTES, b"\0") for digest in digests
    )
    return len(digests).to_bytes(4, "little") + buffers.ljust((2 + _DIGEST_BYTES) * _DIGESTS, b"\0")
