"""Evidence of kind ``tdx``: a quote, Intel's collateral for it, and perhaps the event log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, eventlog, json
from keystead.codec.dcap_collateral import Collateral, parse_collateral
from keystead.codec.eventlog import MAX_LOG_BYTES, EventLog
from keystead.codec.json import JSON
from keystead.codec.td_quote import MAX_QUOTE_BYTES, TdQuote, parse_td_quote
from keystead.evidence.envelope import Submission
from keystead.jose.jwk import PublicJwk

_MEMBERS: Final = frozenset({"quote", "collateral", "event_log"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's, ``event_log`` may be absent."""

    nonce: bytes | None
    key: PublicJwk | None
    quote: TdQuote
    collateral: Collateral = field(repr=False)
    event_log: EventLog | None = field(repr=False)


def parse(submission: Submission) -> TdxEvidence:
    """The quote, collateral and log of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    log = json.find_bytes(members, "event_log", max_bytes=MAX_LOG_BYTES)
    return TdxEvidence(
        nonce=submission.nonce,
        key=submission.key,
        quote=read_td_quote(members, "quote"),
        collateral=parse_collateral(json.get_object(members, "collateral")),
        event_log=None if log is None else eventlog.parse(log),
    )


def encode(
    *, quote: bytes, collateral: Mapping[str, JSON], event_log: bytes | None = None
) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope; ``event_log`` is the CCEL area of ACPI."""
    members: dict[str, JSON] = {
        "quote": base64url.encode(quote),
        "collateral": dict(collateral),
    }
    if event_log is not None:
        members["event_log"] = base64url.encode(event_log)
    return members


def read_td_quote(members: Mapping[str, JSON], name: str) -> TdQuote:
    """The quote of that member; ``Malformed``."""
    return parse_td_quote(json.get_bytes(members, name, max_bytes=MAX_QUOTE_BYTES))
