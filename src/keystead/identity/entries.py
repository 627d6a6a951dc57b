"""Registration entries: from what evidence showed to the one SPIFFE ID that a key gets.

An entry for a TPM always pins an enrolled EK; PCR values and labels only narrow it, because any
genuine TPM on a bench can show somebody else's PCRs. An entry for another kind of evidence has no
host above it. It pins by selectors: names of facts as ``keystead appraise`` prints them, each with
the values of which the fact must have one.

    sev-snp   measurements.measurement = 5f3c…
    oidc      anchor = https://token.actions.githubusercontent.com
              claims.repository_id = 123456789        template /ci/{repository.owner}/{ref.name}

What an entry must pin at least is in ``IDENTIFYING``: without it the entry would be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import BindingRejected, Conflict, Malformed, Reason, Refused
from keystead.identity import claim_paths, spiffe
from keystead.model import (
    EkId,
    EnrolledHost,
    EvidenceKind,
    OidcProfile,
    RegistrationEntry,
    SpiffeId,
)

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
MAX_SELECTORS = 32
MAX_SELECTOR_VALUES = 64
# The longest claim that an appraisal takes.
MAX_SELECTOR_CHARS = 1_024

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LOWER_HEX = re.compile(r"[0-9a-f]+")
_SELECTOR = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CLAIM = "claims."
# A bank of SHA-1 proves nothing that an attacker could not have collided.
_BANKS = (HashAlgorithm.SHA256, HashAlgorithm.SHA384, HashAlgorithm.SHA512)
_BANK_HEX_CHARS = {bank.digest_name: bank.digest_size * 2 for bank in _BANKS}

_CLAIMS_OF_WORKLOADS = (
    "sub",
    "repository_id",
    "repository_owner_id",
    "namespace",
    "serviceaccount_uid",
    "aws_account",
    "oid",
    "xms_mirid",
    "project_number",
)
IDENTIFYING: Final[Mapping[EvidenceKind, tuple[str, ...]]] = {
    # The image, the role or instance it was started with, or who signed it.
    EvidenceKind.AWS_NITRO: (
        "pcrs.sha384.0",
        "pcrs.sha384.3",
        "pcrs.sha384.4",
        "pcrs.sha384.8",
        "module_id",
    ),
    EvidenceKind.SEV_SNP: (
        "measurements.measurement",
        "measurements.host_data",
        "measurements.id_key_digest",
        "measurements.author_key_digest",
        "chip_id",
    ),
    EvidenceKind.TDX: (
        "measurements.mrtd",
        "measurements.mrconfigid",
        "measurements.mrowner",
        "measurements.mrownerconfig",
    ),
    # Every customer's machine starts the same paravisor and may boot the same disk.
    EvidenceKind.AZURE_CVM: ("vm_configuration.vmUniqueId",),
    # Likewise; of containers, HOST_DATA names the policy that they run under.
    EvidenceKind.MAA: ("vm_id", "measurements.host_data"),
    EvidenceKind.APP_ATTEST: ("app_id", "key_id"),
    EvidenceKind.OIDC: tuple(f"{_CLAIM}{name}" for name in _CLAIMS_OF_WORKLOADS),
}
"""Kind → the facts of which an entry has to name values for one at least; TPMs are pinned by EK."""

ANCHOR: Final = "anchor"
"""The issuer of a workload's token: two issuers may write the same claims."""
PROFILE: Final = "profile"

Pcrs = Mapping[str, Mapping[int, str]]
"""Appraised PCR values: bank → index → lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What evidence proved, never what was said: ``facts`` by the names of selectors."""

    kind: EvidenceKind
    ek: EkId | None = None
    pcrs: Pcrs = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An entry that the evidence satisfies, and the SPIFFE ID that it gives."""

    entry: RegistrationEntry
    spiffe_id: SpiffeId


def match_entry(
    entries: Sequence[RegistrationEntry],
    *,
    shown: Shown,
    host: EnrolledHost | None = None,
    requested: SpiffeId | None = None,
) -> Match:
    """The entry that ``shown`` satisfies; ``host`` is where a TPM is enrolled.

    ``requested`` chooses among the entries that match anyway. Raises ``Refused`` (ek_mismatch,
    no_registration_entry), ``Conflict`` naming the entries when several IDs match and none was
    requested. A template that the claims do not fill is no match; where nothing else is one, what
    ``claim_paths.spiffe_path`` found wrong with a claim is raised.
    """
    if shown.ek != (None if host is None else host.ek):
        raise Refused(Reason.EK_MISMATCH, "the proved EK is not the enrolled host's")
    matching: list[Match] = []
    unfilled: list[BindingRejected | Malformed] = []
    for entry in entries:
        if not _fits(entry, shown, host):
            continue
        try:
            matching.append(Match(entry=entry, spiffe_id=given_id(entry, shown)))
        except (BindingRejected, Malformed) as error:  # Malformed: an ID that is too long
            unfilled.append(error)
    if unfilled and not matching:
        raise unfilled[0]
    if requested is not None:
        matching = [each for each in matching if each.spiffe_id == requested]
    if not matching:
        where = "" if host is None else f" of {host.spiffe_id}"
        raise Refused(Reason.NO_REGISTRATION_ENTRY, f"no entry{where} matches")
    if len({each.spiffe_id for each in matching}) > 1:
        names = ", ".join(sorted(each.entry.id for each in matching))
        raise Conflict(Reason.CONFLICT, f"several entries match; request one ID: {names}")
    # Entries that differ only in what they demand: the shortest binding is true under all.
    return min(matching, key=lambda each: (each.entry.binding_ttl_s, each.entry.id))


def check_given(match: Match, entries: Sequence[RegistrationEntry], *, shown: Shown) -> None:
    """``Conflict`` where a template made an ID that an entry for somebody else names.

    Whoever chooses a claim, such as a repository's name, would choose to be that workload.
    """
    if not match.entry.template:
        return
    for entry in entries:
        named = not entry.template and entry.spiffe_id == match.spiffe_id
        if named and not _fits(entry, shown, None):
            raise Conflict(
                Reason.CONFLICT, f"{match.entry.id} makes the ID that entry {entry.id} names"
            )


def given_id(entry: RegistrationEntry, shown: Shown) -> SpiffeId:
    """The ID that ``entry`` gives: its own, or the one that its template makes of the claims."""
    if not entry.template:
        return entry.spiffe_id
    claims = {
        name.removeprefix(_CLAIM): value
        for name, value in shown.facts.items()
        if name.startswith(_CLAIM)
    }
    try:
        profile = OidcProfile(shown.facts.get(PROFILE, ""))
    except ValueError:
        raise BindingRejected(Reason.CLAIM_MISSING, PROFILE) from None
    path = claim_paths.spiffe_path(entry.template, claims, profile)
    return spiffe.parse_workload_id(f"{entry.spiffe_id}{path}")


def with_id(entry: RegistrationEntry, id: str) -> RegistrationEntry:
    """The same entry, called ``id``."""
    return replace(entry, id=id)


def check_entry(entry: RegistrationEntry, *, trust_domain: str) -> None:
    """Whether an administrator's ``entry`` may be stored; that its EK is enrolled, the store asks.

    1. its id is plain; 2. its SPIFFE ID is a workload's in ``trust_domain``, or its template makes
    such; 3. a TPM's has a parent in there, which is not the workload itself, and others have none;
    4. the binding's time to live is within bounds; 5. PCR values have the length of their bank;
    6. labels are few and short, and only a TPM's host has them; 7. selectors are few and short;
    8. something that identifies is pinned.
    Raises ``Malformed`` (parameter_invalid, spiffe_id_invalid) with the step.
    """
    if not _ID.fullmatch(entry.id):
        raise _wrong(1, "id must be 1 to 128 of A-Z a-z 0-9 . _ -")
    _check_id(entry, trust_domain)
    _check_parent(entry, trust_domain)
    if not MIN_BINDING_TTL_S <= entry.binding_ttl_s <= MAX_BINDING_TTL_S:
        raise _wrong(4, f"binding_ttl_s must be {MIN_BINDING_TTL_S} to {MAX_BINDING_TTL_S}")
    for bank, values in entry.pcrs.items():
        _check_bank(bank, values)
    check_labels(entry.labels)
    if entry.labels and entry.kind is not EvidenceKind.TPM2:
        raise _wrong(6, "labels are a host's, and this kind has no host")
    _check_selectors(entry.selectors)
    _check_identifies(entry)


def _fits(entry: RegistrationEntry, shown: Shown, host: EnrolledHost | None) -> bool:
    return (
        _is_of(entry, host, shown.kind)
        and _pcrs_match(entry, shown.pcrs)
        and _selectors_match(entry, shown.facts)
    )


def _is_of(entry: RegistrationEntry, host: EnrolledHost | None, kind: EvidenceKind) -> bool:
    if entry.kind.value != kind.value:
        return False
    if host is None:
        return entry.ek is None and entry.parent is None
    return (
        entry.ek == host.ek
        and entry.parent == host.spiffe_id
        and set(entry.labels) <= set(host.labels)
    )


def _pcrs_match(entry: RegistrationEntry, pcrs: Pcrs) -> bool:
    return all(
        pcrs.get(bank, {}).get(index) in allowed
        for bank, values in entry.pcrs.items()
        for index, allowed in values.items()
    )


def _selectors_match(entry: RegistrationEntry, facts: Mapping[str, str]) -> bool:
    return all(facts.get(name) in allowed for name, allowed in entry.selectors.items())


def _check_id(entry: RegistrationEntry, trust_domain: str) -> None:
    if not entry.template:
        _check_domain(entry.spiffe_id, trust_domain, step=2)
        return
    if entry.kind is not EvidenceKind.OIDC:
        raise _wrong(2, "placeholders are for claims of workloads' tokens: kind oidc")
    if entry.spiffe_id != spiffe.of_trust_domain(trust_domain):
        raise Malformed(Reason.SPIFFE_ID_INVALID, f"not in trust domain {trust_domain}", step=2)
    profiles = entry.selectors.get(PROFILE, ())
    if len(profiles) != 1 or profiles[0] not in set(OidcProfile):
        raise _wrong(2, f"placeholders need a selector {PROFILE} with one platform")
    try:
        claim_paths.check_template(entry.template, OidcProfile(profiles[0]))
    except Malformed as error:
        raise Malformed(error.reason, error.detail, step=2) from error


def _check_parent(entry: RegistrationEntry, trust_domain: str) -> None:
    if entry.kind is not EvidenceKind.TPM2:
        if entry.parent is not None or entry.ek is not None:
            raise _wrong(3, f"evidence of kind {entry.kind.value} has no enrolled host")
        return
    if entry.parent is None or entry.ek is None:
        raise _wrong(3, "a TPM's workload needs the host that it is on")
    _check_domain(entry.parent, trust_domain, step=3)
    if entry.spiffe_id == entry.parent:
        raise _wrong(3, "a host is not its own workload")


def _check_selectors(selectors: Mapping[str, tuple[str, ...]]) -> None:
    if len(selectors) > MAX_SELECTORS:
        raise _wrong(7, f"more than {MAX_SELECTORS} selectors")
    for name, values in selectors.items():
        if not _SELECTOR.fullmatch(name):
            raise _wrong(7, f"selector {name[:64]!r}: a name is 1 to 128 of A-Z a-z 0-9 . _ -")
        if not 1 <= len(values) <= MAX_SELECTOR_VALUES:
            raise _wrong(7, f"selector {name} needs 1 to {MAX_SELECTOR_VALUES} values")
        if not all(0 < len(value) <= MAX_SELECTOR_CHARS for value in values):
            raise _wrong(7, f"selector {name}: a value has 1 to {MAX_SELECTOR_CHARS} characters")


def _check_identifies(entry: RegistrationEntry) -> None:
    """Step 8: what policy lets in is many; an entry is for some of them."""
    if entry.kind is EvidenceKind.TPM2:
        return
    pinned = set(entry.selectors)
    pinned |= {f"pcrs.{bank}.{index}" for bank, values in entry.pcrs.items() for index in values}
    enough = IDENTIFYING[entry.kind]
    if pinned.isdisjoint(enough):
        raise _wrong(8, f"name values for one of {', '.join(enough)}")
    if entry.kind is EvidenceKind.OIDC and ANCHOR not in pinned:
        raise _wrong(8, f"name the issuer by a selector {ANCHOR}")


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
