"""The numbers of the checks, in the order in which a relying party makes them."""

from __future__ import annotations

from enum import IntEnum


class Step(IntEnum):
    """What ``step`` of an error means; ``docs/relying-party.md`` has the same list."""

    DECODE = 1
    TYPE = 2
    ALGORITHM = 3
    KEY = 4
    SIGNATURE = 5
    ISSUER = 6
    AUDIENCE = 7
    TIMES = 8
    LIFETIME = 9
    IDENTITIES = 10
    ACTOR = 11
    SCOPE = 12
    AUTHENTICATION = 13
    CONFIRMATION = 14
    RESIDENCY = 15
    SCOPES_REQUIRED = 16
    AUTHENTICATION_REQUIRED = 17
    RESIDENCY_REQUIRED = 18
    STATUS = 19
    PROOF = 20
    REPLAY = 21
