"""What a subject token says, read strictly from claims whose signature was verified.

Whatever cannot be read completely is refused: half of a ``may_act`` or ``cnf`` is not "no limit".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.model import Actor, GrantId, Jkt, Subject

# Agents that hand work on to agents: more than this is a loop, and a header nobody can carry.
MAX_ACT_DEPTH = 8
MAX_SUB_CHARS = 255
MAX_NAME_CHARS = 512
MAX_AMR_CHARS = 64
# RFC 6749 scope strings: some tens of scopes of moderate length.
MAX_SCOPE_CHARS = 4_096
# A sign-in has a few of RFC 8176's methods; relying parties refuse more.
MAX_AMR = 16
_JKT_CHARS = 43


class TokenType(StrEnum):
    """Token type identifiers (RFC 8693 §3)."""

    ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
    REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
    ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
    JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class MayAct:
    """Who alone may act with a token (RFC 8693 §4.4)."""

    sub: str
    iss: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectClaims:
    """A verified subject token.

    ``scopes`` and ``audiences`` limit what may be issued; None is no limit of this token's. ``own``
    says that this service issued it, ``hand_over`` that it is a single-use hand-over token.
    ``act`` is the token's chain: history of what is issued next. ``grant_id`` must be a live
    grant when something is issued.
    """

    subject: Subject
    token_type: TokenType
    issued_at: int
    expires_at: int
    jti: str | None
    scopes: frozenset[str] | None = None
    audiences: frozenset[str] | None = None
    may_act: MayAct | None = None
    act: Actor | None = None
    jkt: Jkt | None = None
    own: bool = False
    hand_over: bool = False
    grant_id: GrantId | None = None
    txn: str | None = None


def read_scopes(claims: Mapping[str, JSON]) -> frozenset[str] | None:
    """``scope``, or ``scp`` as some issuers call it; None where absent, which is not empty."""
    name = "scope" if "scope" in claims else "scp"
    scopes = json.find_str_or_list(claims, name, max_chars=MAX_SCOPE_CHARS)
    if scopes is None:
        return None
    return frozenset(" ".join(scopes).split(" ")) - {""}


def read_may_act(claims: Mapping[str, JSON]) -> MayAct | None:
    """``may_act``: a ``sub`` and perhaps an ``iss``; other members would go unchecked."""
    member = json.find_object(claims, "may_act")
    if member is None:
        return None
    json.refuse_other_members(member, frozenset({"sub", "iss"}))
    return MayAct(
        sub=json.get_str(member, "sub", max_chars=MAX_NAME_CHARS),
        iss=json.find_str(member, "iss", max_chars=MAX_NAME_CHARS),
    )


def read_act(claims: Mapping[str, JSON]) -> Actor | None:
    """The ``act`` chain, the current actor outermost; bounded by ``MAX_ACT_DEPTH``."""
    links: list[dict[str, JSON]] = []
    link = json.find_object(claims, "act")
    while link is not None:
        if len(links) == MAX_ACT_DEPTH:
            raise Malformed(Reason.TOO_LARGE, f"act nests deeper than {MAX_ACT_DEPTH}")
        links.append(link)
        link = json.find_object(link, "act")
    actor: Actor | None = None
    for link in reversed(links):
        actor = Actor(
            sub=json.get_str(link, "sub", max_chars=MAX_NAME_CHARS),
            iss=json.find_str(link, "iss", max_chars=MAX_NAME_CHARS),
            attestation=json.find_str(link, "attestation", max_chars=MAX_NAME_CHARS),
            act=actor,
        )
    return actor


def read_jkt(claims: Mapping[str, JSON]) -> Jkt | None:
    """``cnf.jkt``; a token bound in any other way cannot be presented here."""
    cnf = json.find_object(claims, "cnf")
    if cnf is None:
        return None
    jkt = json.find_str(cnf, "jkt", max_chars=_JKT_CHARS)
    if jkt is None or cnf.keys() - {"jkt", "residency"}:
        raise TokenRejected(
            Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY, "cnf confirms by more or other than jkt"
        )
    return Jkt(jkt)


def read_sub(claims: Mapping[str, JSON]) -> str:
    """``sub``, which is a person's: workloads are actors, never subjects."""
    sub = json.get_str(claims, "sub", max_chars=MAX_SUB_CHARS)
    if sub.lower().startswith("spiffe:"):
        raise TokenRejected(Reason.SUBJECT_TOKEN_INVALID, "the subject is a workload")
    return sub


def read_amr(claims: Mapping[str, JSON]) -> tuple[str, ...]:
    """``amr`` (RFC 8176), empty where it is absent."""
    return json.find_str_list(claims, "amr", max_items=MAX_AMR, max_chars=MAX_AMR_CHARS) or ()
