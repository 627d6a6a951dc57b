"""PCR selections, the digest a quote carries and the policy that PolicyPCR makes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import (
    MAX_PCR_BANKS,
    MAX_PCR_SELECT_BYTES,
    PCR_COUNT,
    PCR_SELECT_BYTES,
)
from keystead.codec.tpm2.primitives import read_hash, u8, u16, u32
from keystead.errors import Malformed, Reason

PcrValues = Mapping[HashAlgorithm, Mapping[int, bytes]]
"""The value of each PCR: bank → index → digest."""

_CC_POLICY_PCR: Final = 0x0000017F


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrSelection:
    """A TPML_PCR_SELECTION: the banks in their order, each with rising indexes, none empty.

    The order of banks is part of what a TPM hashes, so it is kept; :meth:`of` makes the order
    that Keystead asks for (rising algorithm number). Compare :meth:`as_mapping` to ignore order.
    """

    banks: tuple[tuple[HashAlgorithm, tuple[int, ...]], ...]

    @classmethod
    def of(cls, banks: Mapping[HashAlgorithm, Iterable[int]]) -> PcrSelection:
        """The canonical selection of ``banks``; repeated or impossible indexes are Malformed."""
        ordered = []
        for bank in sorted(banks):
            chosen = tuple(sorted(banks[bank]))
            _check_indexes(chosen)
            if chosen:
                ordered.append((HashAlgorithm(bank), chosen))
        return cls(banks=tuple(ordered))

    def as_mapping(self) -> dict[HashAlgorithm, tuple[int, ...]]:
        """Bank → indexes, without the order of the banks."""
        return dict(self.banks)

    def pairs(self) -> Iterator[tuple[HashAlgorithm, int]]:
        """Each (bank, index) in the order in which a TPM hashes them."""
        for bank, indexes in self.banks:
            for index in indexes:
                yield bank, index

    def encode(self) -> bytes:
        """The TPML_PCR_SELECTION with three octets a bank."""
        return u32(len(self.banks)) + b"".join(
            u16(bank) + u8(PCR_SELECT_BYTES) + _mask(indexes) for bank, indexes in self.banks
        )


def parse_pcr_selection(data: bytes) -> PcrSelection:
    """A whole TPML_PCR_SELECTION."""
    reader = Reader(data)
    selection = read_pcr_selection(reader)
    reader.end()
    return selection


def read_pcr_selection(reader: Reader) -> PcrSelection:
    """A TPML_PCR_SELECTION; a bank twice is Malformed, an empty bank is left out."""
    count = reader.u32()
    if count > MAX_PCR_BANKS:
        raise Malformed(Reason.TOO_LARGE, f"{count} PCR banks")
    entries = [_read_bank(reader) for _ in range(count)]
    if len({bank for bank, _ in entries}) != len(entries):
        raise Malformed(Reason.MALFORMED, "a PCR bank twice in one selection")
    return PcrSelection(banks=tuple(entry for entry in entries if entry[1]))


def pcr_composite_digest(
    selection: PcrSelection, values: PcrValues, *, algorithm: HashAlgorithm
) -> bytes:
    """The hash of the selected values one after another (Part 1 §17.4): a quote's pcrDigest.

    Raises:
        Malformed: a selected value is missing or has another length than its bank's digest.
    """
    digest = hashlib.new(algorithm.digest_name)
    for bank, index in selection.pairs():
        digest.update(_value(values, bank, index))
    return digest.digest()


def policy_pcr_digest(
    selection: PcrSelection,
    values: PcrValues,
    *,
    algorithm: HashAlgorithm = HashAlgorithm.SHA256,
) -> bytes:
    """The authPolicy of a key that only PolicyPCR over ``values`` releases (Part 3 §23.7)."""
    composite = pcr_composite_digest(selection, values, algorithm=algorithm)
    start = bytes(algorithm.digest_size)
    extension = u32(_CC_POLICY_PCR) + selection.encode() + composite
    return hashlib.new(algorithm.digest_name, start + extension).digest()


def _check_indexes(indexes: tuple[int, ...]) -> None:
    if len(set(indexes)) != len(indexes):
        raise Malformed(Reason.MALFORMED, "a PCR twice in one bank")
    if indexes and not 0 <= indexes[0] <= indexes[-1] < PCR_COUNT:
        raise Malformed(Reason.MALFORMED, f"a PCR outside 0 to {PCR_COUNT - 1}")


def _read_bank(reader: Reader) -> tuple[HashAlgorithm, tuple[int, ...]]:
    bank = read_hash(reader)
    size = reader.u8()
    if not 0 < size <= MAX_PCR_SELECT_BYTES:
        raise Malformed(Reason.MALFORMED, f"a PCR selection of {size} octets")
    mask = int.from_bytes(reader.take(size), "little")
    if mask >> PCR_COUNT:
        raise Malformed(Reason.MALFORMED, f"a PCR above {PCR_COUNT - 1}")
    return bank, tuple(index for index in range(mask.bit_length()) if mask >> index & 1)


def _mask(indexes: tuple[int, ...]) -> bytes:
    return sum(1 << index for index in indexes).to_bytes(PCR_SELECT_BYTES, "little")


def _value(values: PcrValues, bank: HashAlgorithm, index: int) -> bytes:
    value = values.get(bank, {}).get(index)
    if value is None:
        raise Malformed(Reason.MALFORMED, f"no value for PCR {bank.digest_name}:{index}")
    if len(value) != bank.digest_size:
        raise Malformed(Reason.MALFORMED, f"PCR {bank.digest_name}:{index} of {len(value)} bytes")
    return value
