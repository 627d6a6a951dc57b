"""How policies spell PCRs: which have to be quoted, and what values they may have.

required_pcrs.sha256 = [0, 7]
[pcr_values.sha256]
0 = ["<64 hex digits>"]
7 = "any"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from keystead.appraisal.policy_tables import HexValues, empty, wrong
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.codec.tpm2.constants import PCR_COUNT
from keystead.errors import Malformed

RequiredPcrs = dict[str, list[Annotated[int, Meta(ge=0, lt=PCR_COUNT)]]]
PcrValueTables = dict[str, dict[str, HexValues]]

PcrReferences = Mapping[HashAlgorithm, Mapping[int, frozenset[bytes] | None]]
"""The allowed values of each required PCR, or None where the policy says "any"."""

BOOT_CODE_PCRS: Final = frozenset({0, 2, 4})
"""Firmware, option ROMs and boot loader (PC Client Platform Firmware Profile §3.3.4)."""

_BANKS: Final = {bank.digest_name: bank for bank in HashAlgorithm if bank is not HashAlgorithm.SHA1}
_INDEXES: Final = {str(index): index for index in range(PCR_COUNT)}


def boot_code_pinned(references: PcrReferences) -> bool:
    """Whether values are named for all boot code, in some bank."""
    return any(
        all(values.get(index) is not None for index in BOOT_CODE_PCRS)
        for values in references.values()
    )


def pcr_selection(banks: Mapping[str, list[int]], path: str) -> PcrSelection:
    """The selection that ``banks`` spells; ConfigurationError names the entry, below ``path``."""
    try:
        return PcrSelection.of({bank_named(name, path): indexes for name, indexes in banks.items()})
    except Malformed as error:
        raise wrong(f"{path}: {error.detail}") from error


def required_selection(banks: Mapping[str, list[int]], path: str) -> PcrSelection:
    """The same of what has to be quoted, which is something."""
    found = pcr_selection(banks, path)
    if not found.banks:
        raise empty(f"{path}: no PCR is required")
    return found


def bank_named(name: str, path: str) -> HashAlgorithm:
    """The bank of this name: any but SHA-1's."""
    bank = _BANKS.get(name)
    if bank is None:
        raise wrong(f"{path}.{name}: the banks that may be used are {', '.join(_BANKS)}")
    return bank


def index_named(text: str, path: str) -> int:
    """A PCR's number."""
    if text not in _INDEXES:
        raise wrong(f"{path}.{text}: expected the number of a PCR, 0 to {PCR_COUNT - 1}")
    return _INDEXES[text]


def pcr_references(
    tables: Mapping[str, Mapping[str, HexValues]], *, required: PcrSelection, path: str
) -> dict[HashAlgorithm, dict[int, frozenset[bytes] | None]]:
    """Values, or "any", for every required PCR and no other."""
    found: dict[HashAlgorithm, dict[int, frozenset[bytes] | None]] = {}
    for name, values in tables.items():
        bank = bank_named(name, path)
        found[bank] = {
            index_named(text, f"{path}.{name}"): _references(value, bank, f"{path}.{name}.{text}")
            for text, value in values.items()
        }
    wanted = set(required.pairs())
    given = {(bank, index) for bank, values in found.items() for index in values}
    for bank, index in sorted(wanted - given):
        raise empty(f'{path}.{bank.digest_name}.{index}: expected values, or "any" written out')
    for bank, index in sorted(given - wanted):
        raise wrong(f"{path}.{bank.digest_name}.{index}: this PCR is not in required_pcrs")
    return found


def bank_digests(texts: list[str], bank: HashAlgorithm, path: str) -> frozenset[bytes]:
    """Digests of ``bank`` in hex."""
    for text in texts:
        if not re.fullmatch(rf"[0-9a-f]{{{2 * bank.digest_size}}}", text):
            raise wrong(f"{path}: expected {2 * bank.digest_size} hex digits, got {text!r}")
    return frozenset(bytes.fromhex(text) for text in texts)


def _references(value: HexValues, bank: HashAlgorithm, path: str) -> frozenset[bytes] | None:
    if value == "any":
        return None
    if not value:
        raise empty(f'{path}: expected values, or "any" written out')
    return bank_digests(list(value), bank, path)
