"""How a refusal is told: status, ``WWW-Authenticate`` and body (RFC 9449 §7.1, RFC 6750 §3.1).

The caller learns the error and the reason, never the detail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keystead.errors import KeysteadError, Malformed, ProofRejected, Reason, Replayed, Unavailable
from keystead.jose.algorithms import DEFAULT_ALGORITHMS
from keystead.relying.requirements import Requirements
from keystead.relying.steps import Step

# RFC 9449 §7.1 has algs in the challenge: those that proofs may be signed with.
PROOF_ALGORITHMS = " ".join(sorted(DEFAULT_ALGORITHMS))

# RFC 6750 §3.1 and RFC 9470 §3: the token is good, but not for this.
_INSUFFICIENT = {
    Reason.SCOPE_INSUFFICIENT: (403, "insufficient_scope"),
    Reason.AUTHENTICATION_INSUFFICIENT: (401, "insufficient_user_authentication"),
}
# RFC 9449 §7.1: a key that is not the token's makes the token invalid at this request.
_TOKEN_REASONS = frozenset({Reason.KEY_BINDING_MISMATCH})
_NONCE_REASONS = frozenset({Reason.NONCE_REQUIRED, Reason.NONCE_INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What to answer. ``error`` is None where no credentials came, which is no error."""

    status: int
    error: str | None
    reason: Reason | None
    www_authenticate: str | None
    retry_after_s: int | None = None

    @property
    def body(self) -> dict[str, str]:
        """The JSON body."""
        if self.error is None:
            return {"error": "credentials_required"}
        return {"error": self.error, "reason": str(self.reason)}


def challenge_missing() -> Challenge:
    """For a request without credentials: how to authenticate, and no error (RFC 6750 §3.1)."""
    return Challenge(
        status=401, error=None, reason=None, www_authenticate=_dpop([("algs", PROOF_ALGORITHMS)])
    )


def challenge_for(
    error: KeysteadError, requirements: Requirements, *, scopes: Iterable[str] = ()
) -> Challenge:
    """For a refused request; ``requirements`` and ``scopes`` say what would have been enough."""
    if isinstance(error, Unavailable):
        return Challenge(
            status=503,
            error="temporarily_unavailable",
            reason=error.reason,
            www_authenticate=None,
            retry_after_s=error.retry_after_s,
        )
    status, name = _INSUFFICIENT.get(error.reason, (401, _error_name(error)))
    members = [("error", name), ("error_description", error.reason.value)]
    members += _what_would_do(error.reason, requirements, scopes)
    members.append(("algs", PROOF_ALGORITHMS))
    return Challenge(
        status=status, error=name, reason=error.reason, www_authenticate=_dpop(members)
    )


def _error_name(error: KeysteadError) -> str:
    if error.reason in _NONCE_REASONS:
        return "use_dpop_nonce"
    if error.reason in _TOKEN_REASONS:
        return "invalid_token"
    of_proof = isinstance(error, ProofRejected | Replayed) or (
        isinstance(error, Malformed) and error.step == Step.PROOF
    )
    return "invalid_dpop_proof" if of_proof else "invalid_token"


def _what_would_do(
    reason: Reason, requirements: Requirements, scopes: Iterable[str]
) -> list[tuple[str, str]]:
    if reason is Reason.SCOPE_INSUFFICIENT:
        return [("scope", " ".join(sorted(requirements.scopes.union(scopes))))]
    members = []
    if reason is Reason.AUTHENTICATION_INSUFFICIENT:
        if requirements.acr_values:
            members.append(("acr_values", " ".join(sorted(requirements.acr_values))))
        if requirements.max_authentication_age_s is not None:
            members.append(("max_age", str(requirements.max_authentication_age_s)))
    return members


def _dpop(members: Iterable[tuple[str, str]]) -> str:
    return "DPoP " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in members)


def _quoted(value: str) -> str:
    """The inside of a quoted-string (RFC 9110 §5.6.4); configuration may hold anything."""
    visible = "".join(char if " " <= char <= "~" else "?" for char in value)
    return visible.replace("\\", "\\\\").replace('"', '\\"')
