"""What an event log must and must not show, once it is known to explain the quoted PCRs.

Only digests are extended into a PCR. An event's type and free text are whatever the host wrote
into the log afterwards, so every rule here is a rule about digests and their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import eventlog
from keystead.codec.eventlog import EventLog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, PcrValues
from keystead.errors import ConfigurationError, EvidenceRejected, Malformed, Reason

Digests = Mapping[HashAlgorithm, frozenset[bytes]]

SECURE_BOOT_PCR: Final = 7

# PC Client Platform Firmware Profile §3.3.4: PCRs 17 to 22 rest at all ones until a dynamic launch.
_ALL_ONES_PCRS: Final = range(17, 23)

# EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c, as UEFI writes a GUID.
_EFI_GLOBAL_VARIABLE: Final = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
_SECURE_BOOT_NAME: Final = "SecureBoot"
# EV_SEPARATOR over zeros or ones (the latter after an error) ends what firmware measures.
_SEPARATORS: Final = (bytes(4), b"\xff" * 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogRules:
    """``pcrs``: which of the quoted PCRs the log has to explain.

    ``secure_boot_required``: the firmware measured SecureBoot as on. ``allowed``: PCR → bank → the
    only digests that may have been extended there. ``forbidden``: digests that may stand nowhere.
    """

    required: bool
    pcrs: frozenset[int]
    secure_boot_required: bool = False
    allowed: Mapping[int, Digests] = field(default_factory=dict)
    forbidden: Digests = field(default_factory=dict)


def check_enforced(rules: EventLogRules, required: PcrSelection, *, path: str) -> None:
    """ConfigurationError for digests that would never be compared.

    Events are compared only in banks that are quoted, PCR by PCR: a list for a bank that nobody
    quotes, or that leaves a PCR out, would look like a rule and refuse nothing.
    """
    explained = {(bank, index) for bank, index in required.pairs() if index in rules.pcrs}
    for index, digests in rules.allowed.items():
        for bank in digests:
            if (bank, index) not in explained:
                raise _not_enforced(f"{path}.allowed_digests.{bank.digest_name}.{index}")
    for bank in rules.forbidden:
        if bank not in {quoted for quoted, _ in explained}:
            raise _not_enforced(f"{path}.forbidden_digests.{bank.digest_name}")
    compared = {index for bank, index in explained if bank in rules.forbidden}
    if rules.forbidden and rules.pcrs - compared:
        raise _not_enforced(f"{path}.forbidden_digests, for PCR {min(rules.pcrs - compared)}")


def check_replay(
    log: EventLog | None, rules: EventLogRules, quoted: PcrValues, *, step: int
) -> None:
    """The log explains the quoted value of each PCR of ``rules.pcrs``, in every quoted bank.

    EvidenceRejected: event_log_missing where one is required, event_log_mismatch.
    """
    if log is None:
        if rules.required:
            raise EvidenceRejected(Reason.EVENT_LOG_MISSING, step=step)
        return
    for bank, values in quoted.items():
        explained = _replay(log, bank, step)
        for index in sorted(rules.pcrs & values.keys()):
            if explained.get(index, _resting(bank, index)) != values[index]:
                raise EvidenceRejected(
                    Reason.EVENT_LOG_MISMATCH, f"PCR {bank.digest_name}:{index}", step=step
                )


def check_rules(
    log: EventLog | None, rules: EventLogRules, quoted: PcrValues, *, step: int
) -> None:
    """The events, known to be those of the PCRs, keep the rules; EvidenceRejected
    (event_log_refused)."""
    if log is None:
        return
    for bank, values in quoted.items():
        if rules.secure_boot_required and secure_boot(log, bank) is not True:
            raise EvidenceRejected(
                Reason.EVENT_LOG_REFUSED, "SecureBoot was not measured as on", step=step
            )
        for index in sorted(rules.pcrs & values.keys()):
            _check_digests(log, rules, bank, index, step)


def secure_boot(log: EventLog, bank: HashAlgorithm) -> bool | None:
    """Whether firmware measured SecureBoot as on (True) or off, or did not measure it (None).

    It counts only before PCR 7's first separator: whatever runs later can extend the PCR with any
    digest it likes. Separators are known by their digest, since their type could be relabelled.
    """
    separators = {_hash(bank, content) for content in _SEPARATORS}
    on, off = (_hash(bank, _variable_data(bytes([value]))) for value in (1, 0))
    seen: set[bytes] = set()
    for digest in _extended(log, bank, SECURE_BOOT_PCR):
        if digest in separators:
            break
        seen.add(digest)
    if off in seen:
        return False
    return True if on in seen else None


def _not_enforced(place: str) -> ConfigurationError:
    return ConfigurationError(
        Reason.CONFIGURATION_INVALID, f"{place}: not a bank in which this PCR is required"
    )


def _check_digests(
    log: EventLog, rules: EventLogRules, bank: HashAlgorithm, index: int, step: int
) -> None:
    allowed = rules.allowed.get(index, {}).get(bank)
    forbidden = rules.forbidden.get(bank, frozenset())
    for digest in _extended(log, bank, index):
        if digest in forbidden or (allowed is not None and digest not in allowed):
            raise EvidenceRejected(
                Reason.EVENT_LOG_REFUSED,
                f"PCR {bank.digest_name}:{index} was extended with {digest.hex()}",
                step=step,
            )


def _extended(log: EventLog, bank: HashAlgorithm, index: int) -> Iterator[bytes]:
    for event in log.events:
        if event.pcr == index and event.type != eventlog.EV_NO_ACTION:
            yield event.digests[bank]


def _replay(log: EventLog, bank: HashAlgorithm, step: int) -> dict[int, bytes]:
    try:
        return eventlog.replay(log, bank)
    except Malformed as error:
        raise EvidenceRejected(Reason.EVENT_LOG_MISMATCH, error.detail, step=step) from error


def _resting(bank: HashAlgorithm, index: int) -> bytes:
    filler = b"\xff" if index in _ALL_ONES_PCRS else b"\0"
    return filler * bank.digest_size


def _variable_data(value: bytes) -> bytes:
    """UEFI_VARIABLE_DATA of SecureBoot, which PCR 7 is extended with (Firmware Profile §10.4.7)."""
    name = _SECURE_BOOT_NAME.encode("utf-16-le")
    sizes = len(_SECURE_BOOT_NAME).to_bytes(8, "little") + len(value).to_bytes(8, "little")
    return _EFI_GLOBAL_VARIABLE + sizes + name + value


def _hash(bank: HashAlgorithm, content: bytes) -> bytes:
    return hashlib.new(bank.digest_name, content).digest()
