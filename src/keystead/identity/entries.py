"""Registration entries: from what evidence showed to the one SPIFFE ID that a key gets.

An entry always pins an enrolled EK; PCR values and labels only narrow it, because any genuine
TPM on a bench can show somebody else's PCRs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Conflict, Malformed, Reason, Refused
from keystead.identity import spiffe
from keystead.model import EkId, EnrolledHost, EvidenceKind, RegistrationEntry, SpiffeId

# A binding shorter than a minute cannot be used, one longer than a day is not attestation.
MIN_BINDING_TTL_S = 60
MAX_BINDING_TTL_S = 86_400
# TPM 2.0 PC Client: PCR 0 to 23.
MAX_PCR_INDEX = 23
# Reference values for one PCR: some releases of one operating system.
MAX_PCR_ALTERNATIVES = 64
MAX_LABELS = 32
# A label's name and value together.
MAX_LABEL_CHARS = 256

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LOWER_HEX = re.compile(r"[0-9a-f]+")
# A bank of SHA-1 proves nothing that an attacker could not have collided.
_BANKS = (HashAlgorithm.SHA256, HashAlgorithm.SHA384, HashAlgorithm.SHA512)
_BANK_HEX_CHARS = {bank.digest_name: bank.digest_size * 2 for bank in _BANKS}

Pcrs = Mapping[str, Mapping[int, str]]
"""Appraised PCR values: bank → index → lower-case hex."""


def match_entry(
    entries: Sequence[RegistrationEntry],
    *,
    host: EnrolledHost,
    ek: EkId,
    kind: EvidenceKind,
    pcrs: Pcrs,
    requested: SpiffeId | None = None,
) -> RegistrationEntry:
    """The entry that the evidence of ``ek`` on ``host`` satisfies.

    ``ek`` and ``pcrs`` are what was proved, never what was said. ``requested`` chooses among the
    entries that match anyway. Raises ``Refused`` (ek_mismatch, no_registration_entry) or
    ``Conflict`` naming the entries when several IDs match and none was requested.
    """
    if ek != host.ek:
        raise Refused(Reason.EK_MISMATCH, "the proved EK is not the enrolled host's")
    matching = [
        entry
        for entry in entries
        if _is_of(entry, host, kind)
        and (requested is None or entry.spiffe_id == requested)
        and _pcrs_match(entry, pcrs)
    ]
    if not matching:
        raise Refused(Reason.NO_REGISTRATION_ENTRY, f"no entry of {host.spiffe_id} matches")
    if len({entry.spiffe_id for entry in matching}) > 1:
        names = ", ".join(sorted(entry.id for entry in matching))
        raise Conflict(Reason.CONFLICT, f"several entries match; request one ID: {names}")
    # Entries that differ only in what they demand: the shortest binding is true under all.
    return min(matching, key=lambda entry: (entry.binding_ttl_s, entry.id))


def with_id(entry: RegistrationEntry, id: str) -> RegistrationEntry:
    """The same entry, called ``id``."""
    return replace(entry, id=id)


def check_entry(entry: RegistrationEntry, *, trust_domain: str) -> None:
    """Whether an administrator's ``entry`` may be stored; that its EK is enrolled, the store asks.

    1. its id is plain; 2. its SPIFFE ID is a workload's in ``trust_domain``; 3. so is its parent,
    which is not the workload itself; 4. the binding's time to live is within bounds; 5. PCR values
    have the length of their bank; 6. labels are few and short.
    Raises ``Malformed`` (parameter_invalid, spiffe_id_invalid) with the step.
    """
    if not _ID.fullmatch(entry.id):
        raise _wrong(1, "id must be 1 to 128 of A-Z a-z 0-9 . _ -")
    _check_domain(entry.spiffe_id, trust_domain, step=2)
    _check_domain(entry.parent, trust_domain, step=3)
    if entry.spiffe_id == entry.parent:
        raise _wrong(3, "a host is not its own workload")
    if not MIN_BINDING_TTL_S <= entry.binding_ttl_s <= MAX_BINDING_TTL_S:
        raise _wrong(4, f"binding_ttl_s must be {MIN_BINDING_TTL_S} to {MAX_BINDING_TTL_S}")
    for bank, values in entry.pcrs.items():
        _check_bank(bank, values)
    check_labels(entry.labels)


def _is_of(entry: RegistrationEntry, host: EnrolledHost, kind: EvidenceKind) -> bool:
    return (
        entry.ek == host.ek
        and entry.parent == host.spiffe_id
        and entry.kind.value == kind.value
        and set(entry.labels) <= set(host.labels)
    )


def _pcrs_match(entry: RegistrationEntry, pcrs: Pcrs) -> bool:
    return all(
        pcrs.get(bank, {}).get(index) in allowed
        for bank, values in entry.pcrs.items()
        for index, allowed in values.items()
    )


def _check_domain(spiffe_id: SpiffeId, trust_domain: str, *, step: int) -> None:
    try:
        found = spiffe.trust_domain(spiffe.parse_workload_id(spiffe_id))
    except Malformed as error:
        raise Malformed(error.reason, error.detail, step=step) from error
    if found != trust_domain:
        raise Malformed(Reason.SPIFFE_ID_INVALID, f"not in trust domain {trust_domain}", step=step)


def _check_bank(bank: str, values: Mapping[int, tuple[str, ...]]) -> None:
    chars = _BANK_HEX_CHARS.get(bank)
    if chars is None:
        raise _wrong(5, f"PCR bank must be one of {', '.join(_BANK_HEX_CHARS)}")
    if not values:
        raise _wrong(5, f"pcrs.{bank} names no PCR")
    for index, allowed in values.items():
        if not 0 <= index <= MAX_PCR_INDEX:
            raise _wrong(5, f"PCR index must be 0 to {MAX_PCR_INDEX}")
        if not 1 <= len(allowed) <= MAX_PCR_ALTERNATIVES:
            raise _wrong(5, f"PCR {index} needs 1 to {MAX_PCR_ALTERNATIVES} values")
        if any(len(value) != chars or not _LOWER_HEX.fullmatch(value) for value in allowed):
            raise _wrong(5, f"PCR {index} of {bank} needs {chars} lower-case hex digits")


def check_labels(labels: tuple[tuple[str, str], ...]) -> None:
    """Step 6 of an entry, and the rule for a host's own labels."""
    if len(labels) > MAX_LABELS:
        raise _wrong(6, f"more than {MAX_LABELS} labels")
    if any(not name or len(name) + len(value) > MAX_LABEL_CHARS for name, value in labels):
        raise _wrong(6, f"a label has a name and at most {MAX_LABEL_CHARS} characters")
    if len({name for name, _ in labels}) != len(labels):
        raise _wrong(6, "a label twice")


def _wrong(step: int, detail: str) -> Malformed:
    return Malformed(Reason.PARAMETER_INVALID, f"entry: {detail}", step=step)
