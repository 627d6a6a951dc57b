"""The ``Authorization`` header of a protected resource (RFC 9110 §11.6.2, RFC 9449 §7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from keystead.errors import Reason, TokenRejected
from keystead.relying.steps import Step


class Scheme(StrEnum):
    """How a token was presented."""

    DPOP = "DPoP"
    BEARER = "Bearer"


# RFC 9110 §11.2: one token68 after one or more spaces. No list: a comma ends no credential here.
_CREDENTIALS = re.compile(
    r"(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~-]+) +(?P<token>[A-Za-z0-9._~+/-]+=*)"
)
_SCHEMES = {scheme.lower(): scheme for scheme in Scheme}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A token as it was presented; nothing in it is believed yet."""

    scheme: Scheme
    token: str = field(repr=False)


def parse_authorization(values: Sequence[str], *, bearer_allowed: bool) -> Credentials | None:
    """The credentials in all ``Authorization`` headers of a request; None where there are none.

    Raises ``TokenRejected``: ``credential_invalid`` for two headers, another scheme or no token68,
    ``proof_missing`` for ``Bearer`` unless it is allowed. Where it is, the caller must pass no
    proof on: a bound token is then refused, whatever came in a ``DPoP`` header (RFC 9449 §7.2).
    """
    if not values:
        return None
    match = _CREDENTIALS.fullmatch(values[0])
    if len(values) != 1 or match is None:
        raise TokenRejected(Reason.CREDENTIAL_INVALID, "not one credential", step=Step.DECODE)
    scheme = _SCHEMES.get(match["scheme"].lower())
    if scheme is None:
        raise TokenRejected(Reason.CREDENTIAL_INVALID, "another scheme", step=Step.DECODE)
    if scheme is Scheme.BEARER and not bearer_allowed:
        raise TokenRejected(Reason.PROOF_MISSING, "presented as Bearer", step=Step.PROOF)
    return Credentials(scheme=scheme, token=match["token"])
