"""The appraisal of ``maa`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now, keys=keys))

``docs/evidence/maa.md`` explains each step under the same number, and errors carry it:

 1. Its ``iss`` is an instance that the policy names, and its ``jku`` is that instance's.
 2. It is a plain JWT, signed by RS256.
 3. Its ``kid`` names one of that instance's keys, or a saved key that the policy names.
 4. That key signed it.
 5. It says when it was issued and when it ends, and ``now`` is between.
 6. It is not older than the policy allows.
 7. It answers this challenge.
 8. It is about what the policy asks for: a VM or a bare report, of SEV-SNP.
 9. The instance's own policy, the compliance status and the policy's other claims are allowed ones.
10. The guest cannot be debugged or migrated, unless the policy allows that by name.
11. The report was asked for from a level (VMPL) that the policy allows.
12. The firmware under the guest is at least the policy's.
13. Launch measurement, host data and the digest of the ID key are allowed ones.
14. A VM booted with Secure Boot, unless the policy does without.

Steps 15 and 16 are ``keystead.binding.maa``. Microsoft checked the hardware's report, and what
holds here is its word: the anchor is the instance, with the class that the policy declares.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.appraisal import token_steps
from keystead.appraisal.issuer_keys import NO_KEYS, IssuerKeys
from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.appraisal.maa_policy import MaaInstance, MaaPolicy
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.codec.maa import AZURE_VM, MaaClaims, SecurityVersions, SnpClaims
from keystead.errors import EvidenceRejected, KeysteadError, Reason
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.maa import MaaEvidence
from keystead.evidence.signed_token import SignedToken
from keystead.jose.jwk import JwkSet, PublicJwk
from keystead.model import EvidenceKind, Freshness

ALGORITHMS: Final = frozenset({"RS256"})
"""The service signs with nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaAppraisal:
    """A token that passed every step."""

    policy: str
    max_age_s: int
    instance: MaaInstance
    token: SignedToken = field(repr=False)
    claims: MaaClaims = field(repr=False)
    snp: SnpClaims = field(repr=False)
    freshness: Freshness
    verified_at: int
    debug: bool
    image_pinned: bool


def appraise(
    evidence: MaaEvidence,
    *,
    policy: AppraisalPolicy,
    nonce: bytes | None,
    now: int,
    keys: IssuerKeys = NO_KEYS,
) -> MaaAppraisal:
    """Steps 1 to 14 of the list above, at ``now`` (Unix seconds).

    ``keys`` has those of instances whose keys stand at an URL. ``nonce`` is the challenge that the
    token has to answer. None is for saved evidence: only the envelope's own nonce is then compared,
    where it has one, and the freshness is ``bearer``.
    Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _policy(policy)
    token, claims = evidence.token, evidence.claims
    instance = check_instance(token, rules)
    token_steps.check_header(token, algorithms=ALGORITHMS, step=2)
    key = check_key(evidence, instance, keys)
    token_steps.check_signature(token, key, step=4)
    issued_at = token_steps.check_times(token, now=now, step=5)
    token_steps.check_age(issued_at, now=now, max_age_s=rules.max_token_age_s, step=6)
    check_nonce(evidence, nonce, evidence.nonce)
    snp = check_type(claims, rules)
    check_claims(token, claims, rules)
    debug = check_debug(claims, snp, rules)
    check_vmpl(snp, rules)
    check_versions(snp.versions, rules)
    check_measurements(snp, rules)
    check_secure_boot(claims, rules)
    return MaaAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        instance=instance,
        token=token,
        claims=claims,
        snp=snp,
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        debug=debug,
        image_pinned=rules.whole_image and not debug,
    )


def conclude(appraisal: MaaAppraisal) -> AttestationResult:
    """The result: a token stands by itself, so no step is left."""
    snp = appraisal.snp
    return affirmed(
        kind=EvidenceKind.MAA,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=appraisal.instance.anchor_class,
        anchor=appraisal.instance.issuer,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=appraisal.token.id,
        measurements={
            "launch": snp.launch_measurement.hex(),
            "host_data": snp.host_data.hex(),
            "id_key_digest": snp.id_key_digest.hex(),
        },
        claims=_told(appraisal),
        boot_pinned=appraisal.image_pinned,
        debug=appraisal.debug,
        secure_boot=appraisal.claims.secure_boot,
    )


def check_instance(token: SignedToken, rules: MaaPolicy) -> MaaInstance:
    """Step 1: ``jku`` is compared, and never asked."""
    instance = rules.instances.get(token.issuer)
    if instance is None:
        raise EvidenceRejected(Reason.ISSUER_MISMATCH, f"iss {token.issuer!r}", step=1)
    if token.jws.header.get("jku") != instance.jku:
        raise EvidenceRejected(Reason.ISSUER_MISMATCH, "jku is not the instance's", step=1)
    return instance


def check_key(evidence: MaaEvidence, instance: MaaInstance, keys: IssuerKeys) -> PublicJwk:
    """Step 3: keys that came with the token count where the policy names their thumbprints."""
    trusted = instance.keys.of(instance.issuer, keys)
    if evidence.jwks is None:
        return token_steps.find_key(evidence.token, trusted, step=3)
    saved = token_steps.find_key(evidence.token, _saved(evidence.jwks), step=3)
    if saved.thumbprint not in instance.saved_keys:
        raise EvidenceRejected(
            Reason.KEY_UNKNOWN, f"saved key {saved.thumbprint} is not in the policy", step=3
        )
    return saved


def _saved(jwks: Mapping[str, JSON]) -> JwkSet:
    try:
        return parse_maa_keys(jwks)
    except KeysteadError as error:
        raise EvidenceRejected(error.reason, f"jwks: {error.detail}", step=3) from error


def check_nonce(evidence: MaaEvidence, *nonces: bytes | None) -> None:
    """Step 7: the client's nonce is the challenge's, and the envelope's, where there is one."""
    for nonce in nonces:
        if nonce is not None and not hmac.compare_digest(
            (evidence.answer or b"")[:NONCE_BYTES], nonce
        ):
            raise EvidenceRejected(Reason.NONCE_MISMATCH, "a token for another nonce", step=7)


def check_type(claims: MaaClaims, rules: MaaPolicy) -> SnpClaims:
    """Step 8: the same measurement means something else in each type."""
    if claims.attestation_type != rules.attestation_type or claims.snp is None:
        raise EvidenceRejected(
            Reason.EVIDENCE_TYPE, f"{claims.attestation_type!r} of {claims.tee_type!r}", step=8
        )
    return claims.snp


def check_claims(token: SignedToken, claims: MaaClaims, rules: MaaPolicy) -> None:
    """Step 9: an instance attests by a policy that its owner writes, so that policy counts."""
    if rules.policy_hashes is not None and claims.policy_hash not in rules.policy_hashes:
        raise _not_allowed("x-ms-policy-hash")
    if rules.compliance is not None and claims.compliance not in rules.compliance:
        raise _not_allowed(f"x-ms-compliance-status {claims.compliance!r}")
    for path, allowed in rules.claims.items():
        value = _claim(token.claims, path)
        if value is None or (allowed is not None and value not in allowed):
            raise _not_allowed("/".join(path))


def _claim(claims: Mapping[str, JSON], path: tuple[str, ...]) -> str | None:
    """A text as it is, anything else as JSON spells it; None where there is nothing."""
    found: JSON = dict(claims)
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found if isinstance(found, str) else json.canonical(found).decode()


def check_debug(claims: MaaClaims, snp: SnpClaims, rules: MaaPolicy) -> bool:
    """Step 10: whether somebody can look inside."""
    debug = snp.debuggable or bool(claims.debug)
    if debug and not rules.allow_debug:
        raise EvidenceRejected(
            Reason.DEBUG_MODE, f"debuggable {snp.debuggable}, {claims.debug}", step=10
        )
    if snp.migration_allowed and not rules.allow_migration_agent:
        raise EvidenceRejected(Reason.MIGRATION_ALLOWED, step=10)
    return debug


def check_vmpl(snp: SnpClaims, rules: MaaPolicy) -> None:
    """Step 11."""
    if snp.vmpl > rules.max_vmpl:
        raise EvidenceRejected(Reason.VMPL_REFUSED, f"VMPL {snp.vmpl}", step=11)


def check_versions(versions: SecurityVersions, rules: MaaPolicy) -> None:
    """Step 12: each part by itself."""
    least = rules.minimum_versions
    if least is None:
        return
    parts = (
        ("boot_loader", versions.boot_loader, least.boot_loader),
        ("tee", versions.tee, least.tee),
        ("snp", versions.snp, least.snp),
        ("microcode", versions.microcode, least.microcode),
    )
    for name, found, wanted in parts:
        if found < wanted:
            raise EvidenceRejected(Reason.TCB_REFUSED, f"{name} {found}", step=12)


def check_measurements(snp: SnpClaims, rules: MaaPolicy) -> None:
    """Step 13."""
    values = (
        ("launch measurement", snp.launch_measurement, rules.measurements),
        ("host data", snp.host_data, rules.host_data),
        ("ID key digest", snp.id_key_digest, rules.id_key_digests),
    )
    for name, value, allowed in values:
        if allowed is not None and value not in allowed:
            raise EvidenceRejected(Reason.MEASUREMENT_MISMATCH, f"{name} is {value.hex()}", step=13)


def check_secure_boot(claims: MaaClaims, rules: MaaPolicy) -> None:
    """Step 14: of a VM alone; a bare report knows nothing of it."""
    if rules.attestation_type != AZURE_VM or not rules.require_secure_boot:
        return
    if claims.secure_boot is not True:
        raise EvidenceRejected(Reason.CLAIM_NOT_ALLOWED, "secureboot", step=14)


def _told(appraisal: MaaAppraisal) -> dict[str, JSON]:
    """What else the result says."""
    claims, versions = appraisal.claims, appraisal.snp.versions
    told: dict[str, JSON] = {
        "attestation_type": claims.attestation_type,
        "issued_at": appraisal.token.issued_at,
        "vmpl": appraisal.snp.vmpl,
        "versions": {
            "boot_loader": versions.boot_loader,
            "tee": versions.tee,
            "snp": versions.snp,
            "microcode": versions.microcode,
        },
    }
    if claims.vm_id is not None:
        told["vm_id"] = claims.vm_id
    if claims.compliance is not None:
        told["compliance"] = claims.compliance
    return told


def _policy(policy: AppraisalPolicy) -> MaaPolicy:
    if policy.maa is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no maa")
    return policy.maa


def _not_allowed(detail: str) -> EvidenceRejected:
    return EvidenceRejected(Reason.CLAIM_NOT_ALLOWED, detail, step=9)
