from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.delegation.policy import DelegationPolicy
from keystead.errors import Reason, Refused
from keystead.identity.own_tokens import HAND_OVER_LIFETIME_S
from keystead.identity.subject_claims import MAX_ACT_DEPTH, MayAct
from keystead.issuance.exchange import ExchangeDecision, decide_exchange, decide_renewal
from keystead.issuance.request import RefreshRequest
from keystead.model import Actor, GrantId, Jkt, Protection
from tests.exchange_parts import (
    AGENT,
    AGENT_B,
    API,
    AUDIENCES,
    ISSUER,
    NOW,
    OTHER_API,
    bound_key,
    grant,
    policy,
    request,
    residency,
    subject,
    subject_claims,
)
from tests.exchange_parts import POLICY as POLICY_TEXT

POLICY = policy()
HISTORY = Actor(sub="spiffe://example.org/agent/old", iss=ISSUER)
OWN = {
    "own": True,
    "jkt": bound_key().jkt,
    "act": Actor(sub=AGENT, iss=ISSUER, attestation="tpm2"),
    "audiences": frozenset({API}),
}
HAND_OVER = {
    "own": True,
    "hand_over": True,
    "jkt": bound_key().jkt,
    "jti": "handover-1",
    "may_act": MayAct(sub=AGENT_B, iss=ISSUER),
    "act": Actor(sub=AGENT, iss=ISSUER, attestation="tpm2"),
    "audiences": frozenset({API}),
    "expires_at": NOW + 50,
}
KEY_B = bound_key(AGENT_B, jkt="key-of-b")


def decide(**changes: object) -> ExchangeDecision:
    arguments = {
        "subject": subject_claims(),
        "bound": bound_key(),
        "policy": POLICY,
        "audiences": AUDIENCES,
        "issuer": ISSUER,
        "now": NOW,
        **changes,
    }
    asked = arguments.pop("request", request())
    return decide_exchange(asked, **arguments)


def refusal(**changes: object) -> tuple[Reason, int | None]:
    with pytest.raises(Refused) as caught:
        decide(**changes)
    return caught.value.reason, caught.value.step


def renew(of: object = None, asked: RefreshRequest | None = None, **changes: object) -> object:
    arguments = {
        "bound": bound_key(),
        "policy": POLICY,
        "audiences": AUDIENCES,
        "issuer": ISSUER,
        "now": NOW,
        **changes,
    }
    return decide_renewal(of or grant(), asked or RefreshRequest(refresh_token="r"), **arguments)


def test_a_user_lets_an_agent_act() -> None:
    decision = decide(request=request(client_id=AGENT))
    assert (decision.agent, decision.audience, decision.scopes) == (AGENT, API, ("read",))
    assert decision.subject == subject()
    assert decision.actor == Actor(sub=AGENT, iss=ISSUER, attestation="tpm2")
    assert (decision.issued_at, decision.expires_at, decision.lifetime_s) == (NOW, NOW + 240, 240)
    assert decision.policies == ("use", "stand-in")
    assert decision.grant_ttl_s == 28_800
    assert (decision.parent_grant, decision.spent, decision.hand_over) == (None, (), False)


def test_step_1_the_client_is_the_keys_agent() -> None:
    assert refusal(request=request(client_id=AGENT_B)) == (Reason.CLIENT_MISMATCH, 1)


def test_step_2_the_key_is_still_bound() -> None:
    assert refusal(bound=bound_key(expires_at=NOW)) == (Reason.BINDING_EXPIRED, 2)


@pytest.mark.parametrize("iss", [None, ISSUER, "spiffe://example.org"])
def test_step_3_may_act_admits_the_named_agent(iss: str | None) -> None:
    may_act = MayAct(sub=AGENT, iss=iss)
    assert decide(subject=subject_claims(may_act=may_act)).agent == AGENT


@pytest.mark.parametrize(
    "may_act",
    [
        MayAct(sub=AGENT_B),
        MayAct(sub=AGENT + "/x"),
        MayAct(sub=AGENT, iss="https://idp.example"),
        MayAct(sub=AGENT, iss="spiffe://other.org"),
        MayAct(sub="alice"),
    ],
)
def test_step_3_may_act_refuses_every_other(may_act: MayAct) -> None:
    found = refusal(subject=subject_claims(may_act=may_act))
    assert found == (Reason.ACTOR_NOT_ALLOWED, 3)


def test_step_4_a_bound_token_needs_its_key() -> None:
    assert decide(subject=subject_claims(jkt=bound_key().jkt)).agent == AGENT
    foreign = subject_claims(jkt=Jkt("another"))
    assert refusal(subject=foreign) == (Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY, 4)
    assert decide(subject=replace(foreign, may_act=MayAct(sub=AGENT))).agent == AGENT


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        (None, Reason.GRANT_UNKNOWN),
        (grant(id=GrantId("grant-2")), Reason.GRANT_UNKNOWN),
        (grant(subject=subject(sub="bob")), Reason.GRANT_UNKNOWN),
        (grant(subject=subject(issuer="https://x.example")), Reason.GRANT_UNKNOWN),
        (grant(revoked_at=NOW), Reason.GRANT_REVOKED),
        (grant(expires_at=NOW), Reason.GRANT_EXPIRED),
    ],
)
def test_step_5_the_grant_behind_a_token_must_live(parent: object, reason: Reason) -> None:
    claims = subject_claims(**OWN, grant_id=GrantId("grant-1"))
    assert refusal(subject=claims, parent=parent) == (reason, 5)


def test_step_5_the_grant_knows_the_user_better_than_the_token() -> None:
    claims = subject_claims(
        **OWN, grant_id=GrantId("grant-1"), subject=subject(client=None), txn="t"
    )
    decision = decide(subject=claims, parent=grant())
    assert decision.subject.client == "portal"
    assert (decision.parent_grant, decision.txn) == (GrantId("grant-1"), "t")


@pytest.mark.parametrize(
    ("targets", "limits"),
    [
        (("https://api.example",), None),
        ((ISSUER,), None),
        ((), None),
        ((API, OTHER_API), None),
        ((OTHER_API,), frozenset({API})),
        ((API,), frozenset()),
    ],
)
def test_step_6_the_target_is_configured_and_within_the_token(
    targets: tuple[str, ...], limits: frozenset[str] | None
) -> None:
    found = refusal(request=request(targets=targets), subject=subject_claims(audiences=limits))
    assert found == (Reason.AUDIENCE_NOT_ALLOWED, 6)


@pytest.mark.parametrize(
    ("asked", "has", "granted"),
    [
        (("read",), {"read", "write"}, ("read",)),
        (("write", "read"), {"read", "write"}, ("read", "write")),
        (("read", "write"), {"read", "openid"}, ("read",)),
        (("read", "write"), None, ("read", "write")),
        (None, {"read", "openid"}, ("read",)),
    ],
)
def test_step_7_scopes_intersect(
    asked: tuple[str, ...] | None, has: set[str] | None, granted: tuple[str, ...]
) -> None:
    claims = subject_claims(scopes=None if has is None else frozenset(has))
    assert decide(request=request(scopes=asked), subject=claims).scopes == granted


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        (("read", "unheard-of"), {"read", "unheard-of"}),
        (("write",), {"read"}),
        (("read",), set()),
        (None, None),
        (None, {"openid"}),
        (None, set()),
    ],
)
def test_step_7_refuses_what_leaves_no_scope(
    asked: tuple[str, ...] | None, has: set[str] | None
) -> None:
    claims = subject_claims(scopes=None if has is None else frozenset(has))
    found = refusal(request=request(scopes=asked), subject=claims)
    assert found == (Reason.SCOPE_NOT_ALLOWED, 7)


@pytest.mark.parametrize(
    ("changes", "lifetime_s"),
    [
        ({}, 240),
        ({"subject": subject_claims(expires_at=NOW + 9)}, 9),
        ({"bound": bound_key(expires_at=NOW + 8)}, 8),
        ({"actor_expires_at": NOW + 7}, 7),
        ({"request": request(targets=(OTHER_API,))}, 120),
        (
            {
                "subject": subject_claims(**OWN, grant_id=GrantId("grant-1")),
                "parent": grant(expires_at=NOW + 6),
            },
            6,
        ),
    ],
)
def test_step_8_no_token_outlives_an_input(changes: dict[str, object], lifetime_s: int) -> None:
    assert decide(**changes).lifetime_s == lifetime_s


def test_a_policy_that_names_no_lifetime_leaves_the_bound() -> None:
    open_ended = DelegationPolicy.parse(POLICY_TEXT.replace('@max_lifetime_s("240")', ""))
    assert decide(policy=open_ended).lifetime_s == 300
    assert renew(policy=open_ended).lifetime_s == 300


@pytest.mark.parametrize(
    "changes",
    [{"subject": subject_claims(expires_at=NOW)}, {"actor_expires_at": NOW - 1}],
)
def test_step_8_nothing_is_issued_from_what_has_ended(changes: dict[str, object]) -> None:
    assert refusal(**changes) == (Reason.EXPIRED, 8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject": subject_claims(subject=subject(aal=1))}, Reason.AUTHENTICATION_INSUFFICIENT),
        ({"bound": bound_key(residency=residency(Protection.NONE))}, Reason.RESIDENCY_INSUFFICIENT),
        (
            {
                "request": request(scopes=("read", "purge")),
                "subject": subject_claims(scopes=None),
            },
            Reason.SCOPE_NOT_ALLOWED,
        ),
        ({"subject": subject_claims(subject=subject(issuer="x"))}, Reason.DELEGATION_DENIED),
    ],
)
def test_step_9_policy_decides(changes: dict[str, object], reason: Reason) -> None:
    assert refusal(**changes) == (reason, 9)


def test_step_10_the_chain_nests_and_is_bounded() -> None:
    assert decide(subject=subject_claims(act=HISTORY)).actor.act == HISTORY
    deep = HISTORY
    for _ in range(MAX_ACT_DEPTH - 2):
        deep = Actor(sub="spiffe://example.org/agent/old", act=deep)
    assert decide(subject=subject_claims(act=deep)).actor.act == deep
    deeper = Actor(sub="spiffe://example.org/agent/old", act=deep)
    assert refusal(subject=subject_claims(act=deeper)) == (Reason.LIMIT_EXCEEDED, 10)


def test_step_11_no_grant_where_policy_names_another() -> None:
    for changes in (
        {"subject": subject_claims(subject=subject(client="other"))},
        {"request": request(targets=(OTHER_API,))},
        {"bound": KEY_B},
    ):
        assert decide(**changes).grant_ttl_s is None


def test_an_agent_narrows_its_own_token_without_a_second_grant() -> None:
    claims = subject_claims(**OWN, grant_id=GrantId("grant-1"))
    decision = decide(subject=claims, parent=grant())
    assert decision.actor == Actor(sub=AGENT, iss=ISSUER, attestation="tpm2")
    assert (decision.grant_ttl_s, decision.parent_grant) == (None, GrantId("grant-1"))


def test_a_hand_over_is_short_and_names_its_agent_and_audience() -> None:
    asked = request(targets=(ISSUER, API), may_act=AGENT_B)
    decision = decide(request=asked)
    assert decision.hand_over
    assert (decision.may_act, decision.audience) == (AGENT_B, API)
    assert (decision.lifetime_s, decision.grant_ttl_s) == (HAND_OVER_LIFETIME_S, None)


@pytest.mark.parametrize("own_name", [ISSUER, ISSUER + "/token"])
def test_a_hand_over_of_an_own_token_is_for_that_tokens_audience(own_name: str) -> None:
    asked = request(targets=(own_name,), may_act=AGENT_B)
    assert decide(request=asked, subject=subject_claims(**OWN)).audience == API


@pytest.mark.parametrize(
    ("targets", "limits"),
    [((API,), None), ((ISSUER,), None), ((ISSUER, OTHER_API), frozenset({API}))],
)
def test_a_hand_over_is_addressed_to_the_issuer_and_for_one_audience(
    targets: tuple[str, ...], limits: frozenset[str] | None
) -> None:
    asked = request(targets=targets, may_act=AGENT_B)
    found = refusal(request=asked, subject=subject_claims(audiences=limits))
    assert found == (Reason.AUDIENCE_NOT_ALLOWED, 6)


def test_a_hand_over_is_exchanged_by_the_agent_it_names_and_spent() -> None:
    decision = decide(subject=subject_claims(**HAND_OVER), bound=KEY_B)
    assert decision.actor.sub == AGENT_B
    assert decision.actor.act == HAND_OVER["act"]
    assert decision.lifetime_s == 50
    (spent,) = decision.spent
    assert (spent.space, spent.until) == ("handover", NOW + 55)
    again = decide(subject=subject_claims(**HAND_OVER), bound=KEY_B)
    assert again.spent == decision.spent
    other = decide(subject=subject_claims(**{**HAND_OVER, "jti": "handover-2"}), bound=KEY_B)
    assert other.spent != decision.spent


def test_a_hand_over_may_start_a_grant_below_its_own() -> None:
    text = policy_for_b()
    claims = subject_claims(**HAND_OVER, grant_id=GrantId("grant-1"))
    decision = decide(subject=claims, bound=KEY_B, parent=grant(), policy=text)
    assert (decision.grant_ttl_s, decision.parent_grant) == (900, GrantId("grant-1"))


def policy_for_b() -> DelegationPolicy:
    changed = POLICY_TEXT.replace(AGENT, AGENT_B).replace("28800", "900")
    return DelegationPolicy.parse(changed)


def test_a_hand_over_is_not_for_the_agent_that_made_it() -> None:
    found = refusal(subject=subject_claims(**HAND_OVER))
    assert found == (Reason.ACTOR_NOT_ALLOWED, 3)


def test_renews_what_the_grant_says() -> None:
    decision = renew()
    assert (decision.scopes, decision.audience) == (("read", "write"), API)
    assert (decision.lifetime_s, decision.policies) == (240, ("use",))
    assert decision.actor == grant().actor
    assert decision.grant_ttl_s is None


def test_a_renewal_keeps_the_history_of_actors() -> None:
    chain = Actor(sub=AGENT, iss=ISSUER, attestation="tpm2", act=HISTORY)
    assert renew(grant(actor=chain)).actor == chain


@pytest.mark.parametrize(
    ("of", "asked", "changes", "expected"),
    [
        ({}, {"client_id": AGENT_B}, {}, (Reason.CLIENT_MISMATCH, 1)),
        ({}, {}, {"bound": bound_key(expires_at=NOW)}, (Reason.BINDING_EXPIRED, 2)),
        ({}, {}, {"bound": bound_key(jkt="other")}, (Reason.KEY_BINDING_MISMATCH, 3)),
        ({"revoked_at": NOW - 1}, {}, {}, (Reason.GRANT_REVOKED, 3)),
        ({"expires_at": NOW}, {}, {}, (Reason.GRANT_EXPIRED, 3)),
        ({}, {"audience": OTHER_API}, {}, (Reason.AUDIENCE_NOT_ALLOWED, 3)),
        ({}, {"scopes": ("purge",)}, {}, (Reason.SCOPE_NOT_ALLOWED, 3)),
        ({"audience": "https://gone.example/"}, {}, {}, (Reason.AUDIENCE_NOT_ALLOWED, 4)),
        ({"scopes": ("gone",)}, {}, {}, (Reason.SCOPE_NOT_ALLOWED, 4)),
        ({"scopes": ("gone", "read")}, {"scopes": ("gone",)}, {}, (Reason.SCOPE_NOT_ALLOWED, 4)),
        ({"subject": subject(aal=1)}, {}, {}, (Reason.AUTHENTICATION_INSUFFICIENT, 5)),
        ({"subject": subject(issuer="x")}, {}, {}, (Reason.DELEGATION_DENIED, 5)),
        (
            {},
            {},
            {"bound": bound_key(residency=residency(Protection.NONE))},
            (Reason.RESIDENCY_INSUFFICIENT, 5),
        ),
    ],
)
def test_refuses_a_renewal_wrong_in_one_thing(
    of: dict[str, object],
    asked: dict[str, object],
    changes: dict[str, object],
    expected: tuple[Reason, int],
) -> None:
    with pytest.raises(Refused) as caught:
        renew(grant(**of), RefreshRequest(refresh_token="r", **asked), **changes)
    assert (caught.value.reason, caught.value.step) == expected


ENDS = st.integers(NOW - 10, NOW + 1_000)
SCOPES = st.sets(st.sampled_from(["read", "write", "purge", "openid"]))


@given(
    asked=st.none() | SCOPES,
    has=st.none() | SCOPES,
    audience=st.sampled_from([API, OTHER_API]),
    ends=st.tuples(ENDS, ENDS, st.none() | ENDS, ENDS),
    depth=st.integers(0, MAX_ACT_DEPTH + 1),
    hand_over=st.booleans(),
    own=st.booleans(),
)
def test_what_is_issued_is_never_wider_longer_or_less_nested(
    asked: set[str] | None,
    has: set[str] | None,
    audience: str,
    ends: tuple[int, int, int | None, int],
    depth: int,
    hand_over: bool,
    own: bool,
) -> None:
    chain = None
    for number in range(depth):
        chain = Actor(sub=f"spiffe://example.org/agent/{number}", act=chain)
    claims = subject_claims(
        scopes=None if has is None else frozenset(has),
        expires_at=ends[0],
        act=chain,
        grant_id=GrantId("grant-1") if own else None,
    )
    try:
        decision = decide(
            request=request(
                scopes=None if asked is None else tuple(sorted(asked)),
                targets=(ISSUER, audience) if hand_over else (audience,),
                may_act=AGENT_B if hand_over else None,
            ),
            subject=claims,
            bound=bound_key(expires_at=ends[1]),
            actor_expires_at=ends[2],
            parent=grant(expires_at=ends[3]) if own else None,
        )
    except Refused as error:
        assert error.step is not None
        return
    scopes = set(decision.scopes)
    assert scopes
    assert scopes <= AUDIENCES.lookup(audience).scopes
    assert asked is None or scopes <= asked
    assert has is None or scopes <= has
    inputs = [ends[0], ends[1], *([ends[3]] if own else [])]
    assert NOW < decision.expires_at <= min(inputs)
    assert ends[2] is None or decision.expires_at <= ends[2]
    assert decision.lifetime_s <= (HAND_OVER_LIFETIME_S if hand_over else 300)
    assert decision.actor.sub == AGENT
    assert decision.actor.act == chain
