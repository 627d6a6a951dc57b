from collections.abc import Sequence

class Rules:
    """What one verifier asks of tokens; immutable, and shared by threads."""

    def __init__(
        self,
        *,
        algorithms: Sequence[str],
        issuer: bytes,
        audience: bytes,
        leeway_s: int,
        max_lifetime_s: int,
        proof_max_age_s: int,
        dpop_required: bool,
        scopes: Sequence[bytes],
        minimum_aal: int | None,
        acr_values: Sequence[bytes],
        max_authentication_age_s: int | None,
        residency: Residency | None,
        status_required: bool,
    ) -> None: ...

class Residency:
    """What must have been proved of where the agent's key lives."""

    def __init__(
        self,
        *,
        protections: Sequence[str],
        freshness: Sequence[str],
        hardware: bool,
        max_age_s: int | None,
        policies: Sequence[bytes] | None,
    ) -> None: ...
