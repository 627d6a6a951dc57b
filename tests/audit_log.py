"""A log with signed checkpoints, as the service writes one; the audit key is in software."""

from collections.abc import Sequence

from keystead.audit import (
    CheckpointClaims,
    HashChain,
    checkpoint_signing_input,
    parse_checkpoint,
)
from keystead.jose import jws
from keystead.jose.jwk import JwkSet
from keystead.model import AuditEvent, ChainedEvent, Checkpoint, Kid
from tests.jose_keys import private_key, public_jwk, signature
from tests.store_samples import NOW, event

ISSUER = "https://issuer.example"
KID = Kid("audit-1")
KEYS = JwkSet([public_jwk(name="audit", kid=KID)])


def links(length: int, *, after: ChainedEvent | None = None) -> list[ChainedEvent]:
    """That many events, chained."""
    return chained([event(object=str(number)) for number in range(length)], after=after)


def chained(
    events: Sequence[AuditEvent], *, after: ChainedEvent | None = None
) -> list[ChainedEvent]:
    made: list[ChainedEvent] = []
    for each in events:
        after = HashChain().link(after, each)
        made.append(after)
    return made


def signed_checkpoint(
    link: ChainedEvent, *, counter: int, issuer: str = ISSUER, signer: str = "audit"
) -> Checkpoint:
    """A checkpoint over ``link``, signed by the key called ``signer`` under the audit key's kid."""
    claims = CheckpointClaims(
        issuer=issuer, sequence=link.sequence, hash=link.hash, counter=counter, at=NOW
    )
    message = checkpoint_signing_input(claims, kid=KID, algorithm="ES256")
    return parse_checkpoint(
        jws.assemble(message, signature("ES256", private_key("ES256", signer), message))
    )
