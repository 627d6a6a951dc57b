"""Audit events as bytes, and within bounds.

The canonical JSON of an event has every field, in the order of their names; that is what the
chain hashes and what the store keeps.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.codec.json import (
    JSON,
    canonical,
    find_int,
    get_int,
    get_object,
    get_str,
    get_str_list,
    parse_object,
    refuse_other_members,
)
from keystead.errors import Malformed, Reason
from keystead.model import AuditAction, AuditEvent

# The longest SPIFFE ID (SPIFFE-ID §2.3); subjects and object ids are shorter.
MAX_FIELD_CHARS = 2_048
# Enough to say what was wrong; more would let a caller fill the disk with one refusal.
MAX_DETAIL_CHARS = 256
# One for each kind of aggregated refusal, and a few.
MAX_DETAIL_MEMBERS = 40
# Deeper delegation than any policy allows; the chain of a refused token may be longer.
MAX_ACTORS = 16
# A bounded event's longest possible JSON: twelve bytes spell one character at most.
MAX_EVENT_BYTES = 1_048_576

_MAX_INTEGER = 2**63 - 1
_CUT = "…"
_MEMBERS = frozenset(AuditEvent.__dataclass_fields__)


def bounded(event: AuditEvent) -> AuditEvent:
    """``event`` with long texts cut and everything unprintable spelled as ``\\uXXXX``.

    What callers send ends up in the trail; a terminal that lists it must never obey it. Cut texts
    end in ``…``. Printable events of ordinary size come back as they are.
    """
    return AuditEvent(
        action=event.action,
        at=event.at,
        caller=_bounded_text(event.caller, MAX_FIELD_CHARS),
        sub=_bounded_text(event.sub, MAX_FIELD_CHARS),
        actors=tuple(_bounded_actor(actor) for actor in event.actors[:MAX_ACTORS]),
        jkt=_bounded_text(event.jkt, MAX_FIELD_CHARS),
        kind=_bounded_text(event.kind, MAX_FIELD_CHARS),
        reason=_bounded_text(event.reason, MAX_FIELD_CHARS),
        step=event.step,
        object=_bounded_text(event.object, MAX_FIELD_CHARS),
        detail=_bounded_detail(event.detail),
    )


def encode_event(event: AuditEvent) -> bytes:
    """The canonical JSON of ``event``."""
    return canonical(
        {
            "action": event.action.value,
            "actors": list(event.actors),
            "at": event.at,
            "caller": event.caller,
            "detail": dict(event.detail),
            "jkt": event.jkt,
            "kind": event.kind,
            "object": event.object,
            "reason": event.reason,
            "step": event.step,
            "sub": event.sub,
        }
    )


def decode_event(data: bytes) -> AuditEvent:
    """The event whose canonical JSON is exactly ``data``; Malformed for anything else."""
    members = parse_object(data, max_bytes=MAX_EVENT_BYTES, max_depth=2)
    refuse_other_members(members, _MEMBERS)
    event = AuditEvent(
        action=_action(get_str(members, "action")),
        at=get_int(members, "at"),
        caller=_text(members, "caller"),
        sub=_text(members, "sub"),
        actors=get_str_list(members, "actors", max_items=MAX_ACTORS, max_chars=MAX_FIELD_CHARS),
        jkt=_text(members, "jkt"),
        kind=_text(members, "kind"),
        reason=_text(members, "reason"),
        step=None if members.get("step") is None else find_int(members, "step"),
        object=_text(members, "object"),
        detail=_detail(get_object(members, "detail")),
    )
    if encode_event(event) != data:
        raise Malformed(Reason.MALFORMED, "an audit event that is not canonical JSON")
    return event


def _action(name: str) -> AuditAction:
    try:
        return AuditAction(name)
    except ValueError as error:
        raise Malformed(Reason.MALFORMED, "an unknown audit action") from error


def _text(members: Mapping[str, JSON], name: str) -> str:
    return get_str(members, name, max_chars=MAX_FIELD_CHARS, allow_empty=True)


def _detail(members: Mapping[str, JSON]) -> dict[str, str | int]:
    if len(members) > MAX_DETAIL_MEMBERS:
        raise Malformed(Reason.TOO_LARGE, f"more than {MAX_DETAIL_MEMBERS} members of detail")
    detail: dict[str, str | int] = {}
    for name, value in members.items():
        if isinstance(value, str):
            detail[name] = get_str(members, name, max_chars=MAX_DETAIL_CHARS, allow_empty=True)
        else:
            detail[name] = get_int(members, name, minimum=-_MAX_INTEGER)
    return detail


def _bounded_detail(detail: Mapping[str, str | int]) -> dict[str, str | int]:
    kept = list(detail.items())[:MAX_DETAIL_MEMBERS]
    return {_bounded_text(name, MAX_DETAIL_CHARS): _bounded_value(value) for name, value in kept}


def _bounded_value(value: str | int) -> str | int:
    if isinstance(value, str):
        return _bounded_text(value, MAX_DETAIL_CHARS)
    # A bool is an int to Python, but not to JSON.
    return int(value) if abs(value) <= _MAX_INTEGER else "an integer out of range"


def _bounded_actor(actor: str) -> str:
    # A chain has no gaps: a link without a name is shown as one.
    return _bounded_text(actor, MAX_FIELD_CHARS) or "?"


def _bounded_text(text: str, max_chars: int) -> str:
    if len(text) <= max_chars and text.isprintable():
        return text
    shown = "".join(_shown(character) for character in text[:max_chars])
    if len(text) <= max_chars and len(shown) <= max_chars:
        return shown
    return shown[: max_chars - 1] + _CUT


def _shown(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"
