"""The attestation result, and its EAR form (draft-ietf-rats-ear, draft-ietf-rats-ar4si).

Only an appraiser's last step makes an AttestationResult (``affirmed``): whoever holds one knows
that every step passed. The trustworthiness vector claims what was really appraised, in the values
of AR4SI §2.3; a claim that is not there was not appraised.

| claim | value | when |
|---|---|---|
| instance-identity | 2 affirming | an EK with a trusted certificate was proved to be in this TPM |
| hardware | 2 affirming | the anchor's class is ``tpm`` or ``tee`` |
| hardware | 32 warning | ``virtual-tpm`` or ``emulated``: works as it should, but is no chip |
| hardware | 32 warning | ``identity-provider``: no hardware was shown, so nothing relies on any |
| executables | 3 affirming | the policy names the values of boot code or of the whole image |
| configuration | 32 warning | a debug mode that the policy allows: the host can look inside |

``ear.status`` is the tier of the worst claim, so emulated hardware is at best a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from importlib import metadata
from types import MappingProxyType
from typing import Final, Never, Protocol

from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.model import AnchorClass, EkId, EvidenceKind, Freshness, Jkt, Protection

EAR_TYP: Final = "ear+jwt"
EAT_PROFILE: Final = "tag:github.com,2023:veraison/ear"
"""The profile of the drafts up to draft-fv-rats-ear-05; pinned, as drafts move."""

RECOGNIZED_INSTANCE: Final = 2
GENUINE_HARDWARE: Final = 2
UNSAFE_HARDWARE: Final = 32
APPROVED_BOOT: Final = 3
UNSAFE_CONFIGURATION: Final = 32

_SEAL: Final = object()
_NOTHING: Final[Mapping[str, Never]] = MappingProxyType({})


class Tier(StrEnum):
    """AR4SI §2.3.1, best first."""

    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockInfo:
    """TPMS_CLOCK_INFO of the quote, and the firmware that made it: recorded, for comparison.

    ``clock_ms`` is the TPM's own time; ``reset_count`` rises at every boot. An AK outside the
    endorsement hierarchy sees both counts and the firmware version offset by a constant of its own
    (TPM 2.0 Part 1 §36.7).
    """

    clock_ms: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """Evidence that passed every step of its kind's list.

    ``policy`` is ``id@version``. ``attester`` ties keys to this evidence: the AK's Name, or the
    SHA-256 of the document that was signed. ``pcrs`` is bank → index → lower-case hex, exactly what
    was quoted; ``measurements`` are those of kinds without PCRs, name → lower-case hex; ``claims``
    is what else the evidence said. ``ek``, ``clock`` and ``secure_boot`` are of a TPM alone, and
    ``ek`` is None where an AK certificate took its place. ``boot_pinned``: the policy names values
    for all boot code, or the whole image. What was proved about a key is not here but in the
    certified key.
    """

    kind: EvidenceKind
    policy: str
    max_age_s: int
    anchor_class: AnchorClass
    anchor: str
    freshness: Freshness
    verified_at: int
    attester: bytes
    ek: EkId | None
    pcrs: Mapping[str, Mapping[int, str]] = field(repr=False)
    measurements: Mapping[str, str] = field(repr=False)
    claims: Mapping[str, JSON] = field(repr=False)
    clock: ClockInfo | None
    boot_pinned: bool
    debug: bool
    secure_boot: bool | None
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only an appraisal makes an AttestationResult")

    @property
    def hardware(self) -> bool:
        """Whether the anchor vouches for real hardware."""
        return self.anchor_class.hardware


class ProvedKey(Protocol):
    """What a result says about a key: ``binding``'s certified key is one."""

    @property
    def jkt(self) -> Jkt: ...

    @property
    def protection(self) -> Protection: ...


def affirmed(
    *,
    kind: EvidenceKind,
    policy: str,
    max_age_s: int,
    anchor_class: AnchorClass,
    anchor: str,
    freshness: Freshness,
    verified_at: int,
    attester: bytes,
    ek: EkId | None = None,
    pcrs: Mapping[str, Mapping[int, str]] = _NOTHING,
    measurements: Mapping[str, str] = _NOTHING,
    claims: Mapping[str, JSON] = _NOTHING,
    clock: ClockInfo | None = None,
    boot_pinned: bool = False,
    debug: bool = False,
    secure_boot: bool | None = None,
) -> AttestationResult:
    """The result of an appraisal whose last step has just passed: for appraisers only."""
    return AttestationResult(
        kind=kind,
        policy=policy,
        max_age_s=max_age_s,
        anchor_class=anchor_class,
        anchor=anchor,
        freshness=freshness,
        verified_at=verified_at,
        attester=attester,
        ek=ek,
        pcrs=pcrs,
        measurements=measurements,
        claims=claims,
        clock=clock,
        boot_pinned=boot_pinned,
        debug=debug,
        secure_boot=secure_boot,
        seal=_SEAL,
    )


def ear_claims(
    result: AttestationResult,
    *,
    issuer: str,
    key: ProvedKey | None,
    nonce: bytes | None,
    now: int,
    expires_at: int,
) -> dict[str, JSON]:
    """The claims of the EAR JWT (``typ`` is ``EAR_TYP``) that says ``result``, and proves ``key``.

    ``cnf.jkt`` and ``keystead.residency`` are there with a key only; the residency's ``result`` is
    this JWT's own hash and so not in it.
    """
    claims: dict[str, JSON] = {
        "iss": issuer,
        "eat_profile": EAT_PROFILE,
        "iat": now,
        "exp": expires_at,
        "ear.verifier-id": {"developer": "Keystead", "build": _build()},
        "submods": {result.kind.value: _submodule(result, key)},
    }
    if nonce is not None:
        claims["eat_nonce"] = base64url.encode(nonce)
    if key is not None:
        claims["cnf"] = {"jkt": key.jkt}
    return claims


def facts(result: AttestationResult) -> dict[str, str]:
    """What evidence showed, as names and texts: the leaves of ``keystead.evidence`` in the EAR.

    ``measurements.measurement``, ``claims.repository_id``, ``pcrs.sha384.0``; numbers in decimal,
    truth values as JSON spells them. Arrays and what is null are no facts.
    """
    return dict(_leaves(_evidence(result), ""))


def _leaves(value: JSON, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else key)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, str | int):
        yield name, str(value)


def trustworthiness(result: AttestationResult) -> dict[str, int]:
    """The AR4SI claims that were appraised."""
    vector = {"hardware": GENUINE_HARDWARE if result.hardware else UNSAFE_HARDWARE}
    if result.ek is not None:
        vector["instance-identity"] = RECOGNIZED_INSTANCE
    if result.boot_pinned:
        vector["executables"] = APPROVED_BOOT
    if result.debug:
        vector["configuration"] = UNSAFE_CONFIGURATION
    return vector


def status(vector: Mapping[str, int]) -> Tier:
    """The tier of the worst claim (AR4SI §2.3.2: 2 to 31, 32 to 95, 96 and above)."""
    worst = max(vector.values())
    if worst < UNSAFE_HARDWARE:
        return Tier.AFFIRMING
    return Tier.WARNING if worst < 96 else Tier.CONTRAINDICATED


def _submodule(result: AttestationResult, key: ProvedKey | None) -> dict[str, JSON]:
    vector = trustworthiness(result)
    submodule: dict[str, JSON] = {
        "ear.status": status(vector).value,
        "ear.trustworthiness-vector": dict(vector),
        "ear.appraisal-policy-id": result.policy,
        "keystead.evidence": _evidence(result),
    }
    if key is not None:
        submodule["keystead.residency"] = {
            "kind": result.kind.value,
            "protection": key.protection.value,
            "hardware": result.hardware,
            "verified_at": result.verified_at,
            "freshness": result.freshness.value,
            "policy": result.policy,
        }
    return submodule


def _evidence(result: AttestationResult) -> dict[str, JSON]:
    claims: dict[str, JSON] = {
        "anchor": result.anchor,
        "anchor_class": result.anchor_class.value,
        **result.claims,
    }
    if result.pcrs:
        claims["pcrs"] = {
            bank: {str(index): value for index, value in values.items()}
            for bank, values in result.pcrs.items()
        }
    if result.measurements:
        claims["measurements"] = dict(result.measurements)
    if result.clock is not None:
        claims["reset_count"] = result.clock.reset_count
        claims["restart_count"] = result.clock.restart_count
        claims["clock_safe"] = result.clock.safe
    if result.ek is not None:
        claims["ek"] = result.ek
    if result.secure_boot is not None:
        claims["secure_boot"] = result.secure_boot
    return claims


def _build() -> str:
    return f"keystead {metadata.version('keystead')}"
