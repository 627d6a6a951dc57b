"""The use cases, in the order in which a workload meets them.

    use_cases.attestations.begin("tpm2")        prove where a key lives
    use_cases.tokens.exchange(parameters, …)    get a token for it
    use_cases.verifications.verify_requests(…)  check many
    use_cases.keys, .identities, .trail         run the service

A door (``server/``) turns bytes into these calls and their answers into bytes; it decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from keystead.service.attestation import Attestations
from keystead.service.callers import Callers
from keystead.service.grants import Grants
from keystead.service.health import Health
from keystead.service.identity import Identities
from keystead.service.keys import Keys
from keystead.service.tokens import Tokens
from keystead.service.trail import Trail
from keystead.service.verification import Verifications


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """All of them, wired by ``app.py``."""

    attestations: Attestations
    tokens: Tokens
    grants: Grants
    keys: Keys
    identities: Identities
    trail: Trail
    verifications: Verifications
    callers: Callers
    health: Health


__all__ = ["UseCases"]
