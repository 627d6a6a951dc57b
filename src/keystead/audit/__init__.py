"""The audit trail: events in a hash chain, and signed checkpoints that pin it.

The service hands :class:`HashChain` to the store, notes refusals of strangers in a
:class:`RefusalAggregator`, and signs checkpoints with its audit key::

    claims = CheckpointClaims(issuer=issuer, sequence=last.sequence, hash=last.hash,
                              counter=counter, at=now)
    signed = checkpoint_signing_input(claims, kid=kid, algorithm="ES256")
    checkpoint = parse_checkpoint(jws.assemble(signed, signature))

An auditor streams the log through :func:`verify_log` with a checkpoint kept elsewhere.
"""

from keystead.audit.aggregate import RefusalAggregator
from keystead.audit.chain import HashChain, verify_chain
from keystead.audit.checkpoints import (
    CheckpointClaims,
    checkpoint_signing_input,
    parse_checkpoint,
    verify_checkpoint,
)
from keystead.audit.events import bounded, decode_event, encode_event
from keystead.audit.log import LogReport, check_counter, verify_log

__all__ = [
    "CheckpointClaims",
    "HashChain",
    "LogReport",
    "RefusalAggregator",
    "bounded",
    "check_counter",
    "checkpoint_signing_input",
    "decode_event",
    "encode_event",
    "parse_checkpoint",
    "verify_chain",
    "verify_checkpoint",
    "verify_log",
]
