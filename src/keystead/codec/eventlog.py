"""The TCG event log of a PC's boot: what the firmware says it extended into the PCRs.

Both formats of the TCG PC Client Platform Firmware Profile, part "Event Logging": the SHA-1 log
(TCG_PCR_EVENT) and the crypto-agile one (a Spec ID event, then TCG_PCR_EVENT2). All integers are
little endian. A log proves nothing by itself: ``replay`` says which PCR values it would explain,
and only a quote over those values makes its digests, never its free text, believable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

# Firmware reserves 64 KiB to a few hundred; Linux shows no more than this.
MAX_LOG_BYTES = 1_048_576
# Real boots log some hundred events.
MAX_EVENTS = 20_000
# The revocation list (dbx) is the largest thing that firmware logs, some tens of KiB.
MAX_EVENT_BYTES = 131_072
# A TPM has 24 PCRs.
PCR_COUNT = 24
# Registered hash algorithms that a TPM can have banks for.
MAX_ALGORITHMS = 8
# SHA-512 is the longest digest.
MAX_DIGEST_BYTES = 64

EV_NO_ACTION = 0x0000_0003
_DIGEST_SIZES = {int(algorithm): algorithm.digest_size for algorithm in HashAlgorithm}
_SPEC_ID_SIGNATURE = b"Spec ID Event03\0"
_LOCALITY_SIGNATURE = b"StartupLocality\0"
# 0 and 3 are TPM2_Startup's localities, 4 is a hardware core root of trust (H-CRTM).
_STARTUP_LOCALITIES = (0, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One logged event; ``digests`` maps TPM_ALG_ID to the digest that was extended."""

    pcr: int
    type: int
    digests: Mapping[int, bytes]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """A whole log. ``digest_sizes`` maps each TPM_ALG_ID of the log to its digest's length.

    ``startup_locality`` is the locality that TPM2_Startup was called from: PCR 0 starts there.
    """

    events: tuple[Event, ...]
    digest_sizes: Mapping[int, int]
    startup_locality: int


def parse(data: bytes) -> EventLog:
    """The log in ``data``, which may end in padding of all zeros or all ones.

    Raises ``Malformed``: ``too_large`` past a bound of this module, else ``malformed``.
    """
    if len(data) > MAX_LOG_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"event log of more than {MAX_LOG_BYTES} bytes")
    reader = Reader(data, "little")
    first = _sha1_event(reader)
    if _is_spec_id(first):
        digest_sizes = _spec_id_algorithms(first.data)
        head = Event(pcr=first.pcr, type=first.type, digests={}, data=first.data)
    else:
        digest_sizes = {int(HashAlgorithm.SHA1): HashAlgorithm.SHA1.digest_size}
        head = first
    agile = head is not first
    events = (head, *_events(reader, data, digest_sizes if agile else None))
    return EventLog(
        events=events, digest_sizes=digest_sizes, startup_locality=_startup_locality(events)
    )


def replay(log: EventLog, algorithm: HashAlgorithm) -> dict[int, bytes]:
    """The PCR values that ``log`` explains in the bank of ``algorithm``: only PCRs it touches.

    EV_NO_ACTION is never extended. PCR 0 starts at the startup locality; every other PCR at
    zeros. That also holds for PCRs 17 to 22: they rest at all ones, but a dynamic launch sets
    them to zeros before anything extends them. Raises ``Malformed`` where the log has no such bank.
    """
    if algorithm not in log.digest_sizes:
        raise Malformed(Reason.MALFORMED, f"event log without a {algorithm.digest_name} bank")
    zeros = bytes(algorithm.digest_size)
    values = {0: zeros[1:] + bytes([log.startup_locality])} if log.startup_locality else {}
    for event in log.events:
        if event.type != EV_NO_ACTION:
            extended = values.get(event.pcr, zeros) + event.digests[algorithm]
            values[event.pcr] = hashlib.new(algorithm.digest_name, extended).digest()
    return values


def _is_spec_id(event: Event) -> bool:
    return event.type == EV_NO_ACTION and event.data.startswith(_SPEC_ID_SIGNATURE)


def _events(reader: Reader, data: bytes, sizes: Mapping[int, int] | None) -> Iterator[Event]:
    count = 1
    padding_at = _padding_offset(data)
    while reader.offset < padding_at:
        count += 1
        if count > MAX_EVENTS:
            raise Malformed(Reason.TOO_LARGE, f"event log of more than {MAX_EVENTS} events")
        yield _sha1_event(reader) if sizes is None else _agile_event(reader, sizes)


def _padding_offset(data: bytes) -> int:
    """Where the run of 0x00 or 0xFF begins that ends ``data``; an event may reach into it."""
    filler = data[-1:]
    return len(data.rstrip(filler)) if filler in (b"\x00", b"\xff") else len(data)


def _sha1_event(reader: Reader) -> Event:
    pcr, event_type = _pcr_and_type(reader)
    digest = reader.take(HashAlgorithm.SHA1.digest_size)
    digests = {int(HashAlgorithm.SHA1): digest}
    return Event(pcr=pcr, type=event_type, digests=digests, data=_event_data(reader))


def _agile_event(reader: Reader, sizes: Mapping[int, int]) -> Event:
    pcr, event_type = _pcr_and_type(reader)
    count = reader.u32()
    if count > len(sizes):
        raise Malformed(Reason.MALFORMED, "event with more digests than the log has algorithms")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        algorithm = reader.u16()
        if algorithm not in sizes or algorithm in digests:
            raise Malformed(Reason.MALFORMED, f"unexpected digest algorithm {algorithm:#06x}")
        digests[algorithm] = reader.take(sizes[algorithm])
    # An event without a digest in some bank would look measured there without being so.
    if event_type != EV_NO_ACTION and len(digests) != len(sizes):
        raise Malformed(Reason.MALFORMED, "event without a digest for every bank")
    return Event(pcr=pcr, type=event_type, digests=digests, data=_event_data(reader))


def _pcr_and_type(reader: Reader) -> tuple[int, int]:
    pcr, event_type = reader.u32(), reader.u32()
    # Informational events may name no PCR at all (0xFFFFFFFF).
    if pcr >= PCR_COUNT and event_type != EV_NO_ACTION:
        raise Malformed(Reason.MALFORMED, f"event for PCR {pcr}")
    return pcr, event_type


def _event_data(reader: Reader) -> bytes:
    length = reader.u32()
    if length > MAX_EVENT_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"event data of {length} bytes")
    return reader.take(length)


def _spec_id_algorithms(data: bytes) -> dict[int, int]:
    """TPM_ALG_ID → digest size out of TCG_EfiSpecIdEvent."""
    reader = Reader(data, "little")
    reader.take(len(_SPEC_ID_SIGNATURE) + 8)  # platform class, version, errata, UINTN size
    count = reader.u32()
    if not 1 <= count <= MAX_ALGORITHMS:
        raise Malformed(Reason.MALFORMED, f"event log of {count} algorithms")
    sizes: dict[int, int] = {}
    for _ in range(count):
        algorithm, size = reader.u16(), reader.u16()
        if algorithm in sizes or size != _expected_size(algorithm, size):
            raise Malformed(Reason.MALFORMED, f"algorithm {algorithm:#06x} of {size} bytes")
        sizes[algorithm] = size
    reader.take(reader.u8())  # vendor information
    reader.end()
    return sizes


def _expected_size(algorithm: int, size: int) -> int:
    known = _DIGEST_SIZES.get(algorithm)
    return known if known is not None else min(max(size, 1), MAX_DIGEST_BYTES)


def _startup_locality(events: tuple[Event, ...]) -> int:
    """The locality of the one StartupLocality event, which comes before PCR 0 is extended."""
    locality: int | None = None
    extended = False
    for event in events:
        if event.type != EV_NO_ACTION:
            extended = extended or event.pcr == 0
        elif event.pcr == 0 and event.data.startswith(_LOCALITY_SIGNATURE):
            if extended or locality is not None:
                raise Malformed(Reason.MALFORMED, "StartupLocality twice or too late")
            locality = _locality(event.data)
    return locality or 0


def _locality(data: bytes) -> int:
    reader = Reader(data, "little")
    reader.take(len(_LOCALITY_SIGNATURE))
    locality = reader.u8()
    reader.end()
    if locality not in _STARTUP_LOCALITIES:
        raise Malformed(Reason.MALFORMED, f"startup locality {locality}")
    return locality
