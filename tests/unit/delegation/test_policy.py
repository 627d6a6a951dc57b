from dataclasses import replace

import pytest

from keystead.delegation.policy import (
    MAX_POLICY_BYTES,
    DelegationPolicy,
    DelegationRequest,
)
from keystead.delegation.schema import PolicyAction
from keystead.errors import ConfigurationError, Reason, Refused
from keystead.model import Protection, SpiffeId
from tests.exchange_parts import (
    AGENT,
    AGENT_B,
    API,
    CLIENT,
    IDP,
    NOW,
    OTHER_API,
    POLICY,
    policy,
    residency,
    subject,
)

ASKED = DelegationRequest(
    action=PolicyAction.EXCHANGE,
    agent=AGENT,
    audience=API,
    subject=subject(),
    scopes=("read",),
    residency=residency(),
    lifetime_s=300,
    now=NOW,
)
GRANT_CONDITIONS = (
    f'context.user.issuer == "{IDP}"',
    f'"{CLIENT}" == context.user.client',
    '["read"].containsAll(context.scopes)',
)


def reason_for(request: DelegationRequest, text: str = POLICY) -> Reason:
    with pytest.raises(Refused) as caught:
        DelegationPolicy.parse(text).decide(request)
    assert DelegationPolicy.parse(text).find_decision(request) is None
    return caught.value.reason


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        DelegationPolicy.parse(text)
    assert caught.value.reason is Reason.CONFIGURATION_INVALID
    return caught.value.detail


def permit(head: str = "principal, action, resource", when: str = "true", notes: str = "") -> str:
    return f'@id("p") {notes} permit({head}) when {{ {when} }};'


def exchange(when: str = "true", notes: str = "") -> str:
    return permit('principal, action == Action::"exchange", resource', when, notes)


def granting(
    *conditions: str,
    principal: str = f'principal == Agent::"{AGENT}"',
    action: str = 'action == Action::"grant"',
    resource: str = f'resource == Audience::"{API}"',
    notes: str = '@grant_ttl_s("600")',
) -> str:
    when = " && ".join(conditions or GRANT_CONDITIONS)
    return permit(f"{principal}, {action}, {resource}", when, notes)


def test_allows_and_says_by_which_policy_and_for_how_long() -> None:
    decision = policy().decide(ASKED)
    assert decision.policies == ("use",)
    assert (decision.max_lifetime_s, decision.grant_ttl_s) == (240, None)
    assert policy().find_decision(ASKED) == decision


def test_a_grant_has_the_policys_time() -> None:
    decision = policy().decide(replace(ASKED, action=PolicyAction.GRANT))
    assert (decision.policies, decision.grant_ttl_s) == (("stand-in",), 28_800)


@pytest.mark.parametrize("agent", [AGENT, AGENT_B])
@pytest.mark.parametrize("audience", [API, OTHER_API])
def test_a_grant_that_no_policy_names_is_denied_without_asking_cedar(
    agent: SpiffeId, audience: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(ASKED, action=PolicyAction.GRANT, agent=agent, audience=audience)
    delegation, named = policy(), (agent, audience) == (AGENT, API)
    decision = delegation.find_decision(asked)
    assert (decision is not None) == named
    if named:
        assert delegation.decide(asked) == decision
        return
    with pytest.raises(Refused):  # Cedar agrees
        delegation.decide(asked)
    monkeypatch.delattr("keystead.delegation.policy.cedarpy.is_authorized")
    assert delegation.find_decision(asked) is None


def test_the_smallest_lifetime_of_all_that_permit_counts() -> None:
    text = exchange(notes='@max_lifetime_s("200")')
    text += text.replace('"p"', '"q"').replace("200", "100")
    decision = DelegationPolicy.parse(text).decide(ASKED)
    assert (decision.policies, decision.max_lifetime_s) == (("p", "q"), 100)


@pytest.mark.parametrize("lifetime_s", [1, 300])
def test_a_lifetime_may_be_up_to_the_bound(lifetime_s: int) -> None:
    text = exchange(notes=f'@max_lifetime_s("{lifetime_s}")')
    assert DelegationPolicy.parse(text).decide(ASKED).max_lifetime_s == lifetime_s


def test_the_version_follows_the_text() -> None:
    assert policy().version == policy().version
    assert policy().version != DelegationPolicy.parse(POLICY + "// changed").version


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scopes": ("read", "purge")}, Reason.SCOPE_NOT_ALLOWED),
        ({"scopes": ("purge",)}, Reason.SCOPE_NOT_ALLOWED),
        ({"subject": subject(aal=1)}, Reason.AUTHENTICATION_INSUFFICIENT),
        ({"residency": residency(Protection.NONE)}, Reason.RESIDENCY_INSUFFICIENT),
        ({"subject": subject(issuer="https://x.example")}, Reason.DELEGATION_DENIED),
        ({"action": PolicyAction.GRANT, "agent": AGENT_B}, Reason.DELEGATION_DENIED),
        ({"action": PolicyAction.GRANT, "audience": OTHER_API}, Reason.DELEGATION_DENIED),
        (
            {"action": PolicyAction.GRANT, "subject": subject(client=None)},
            Reason.DELEGATION_DENIED,
        ),
    ],
)
def test_a_denial_says_what_would_have_helped(change: dict[str, object], reason: Reason) -> None:
    assert reason_for(replace(ASKED, **change)) is reason


def test_the_age_of_a_sign_in_is_never_assumed() -> None:
    text = exchange("context.user has auth_age_s && context.user.auth_age_s <= 300")
    assert DelegationPolicy.parse(text).decide(ASKED)
    unknown = replace(ASKED, subject=subject(auth_time=None))
    assert reason_for(unknown, text) is Reason.AUTHENTICATION_INSUFFICIENT
    old = replace(ASKED, now=NOW + 3_600)
    assert reason_for(old, text) is Reason.AUTHENTICATION_INSUFFICIENT


def test_the_agents_trust_domain_and_path_can_be_asked() -> None:
    text = exchange('principal.trust_domain == "example.org" && principal.path like "/agent/*"')
    assert DelegationPolicy.parse(text).decide(ASKED)
    outside = replace(ASKED, agent="spiffe://example.org/host/1")
    assert reason_for(outside, text) is Reason.DELEGATION_DENIED


def test_a_policy_that_fails_while_evaluated_denies() -> None:
    # Cedar would skip the failing forbid and allow.
    text = exchange() + '@id("f") forbid(principal, action, resource) when {'
    text += " context.lifetime_s + 9223372036854775807 > 0 };"
    assert reason_for(ASKED, text) is Reason.DELEGATION_DENIED
    with pytest.raises(Refused, match=r"policy error.*`f`"):
        DelegationPolicy.parse(text).decide(ASKED)


@pytest.mark.parametrize("text", ["", "  // nothing", POLICY[POLICY.index('@id("measured")') :]])
def test_a_policy_that_permits_nothing_is_refused_at_start(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DelegationPolicy.parse(text)
    assert caught.value.reason is Reason.POLICY_EMPTY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("permit(principal, action", "does not parse"),
        (POLICY[:-8], "does not parse"),
        ("// " + "x" * MAX_POLICY_BYTES, "over"),
        (exchange().replace('@id("p")', ""), "policy0: needs an annotation"),
        (exchange().replace('"p"', '"a b"'), "policy0: needs an annotation"),
        (exchange() * 2, '@id("p") twice'),
        (exchange(notes='@max_lifetime("9")'), "p: has the unknown annotation @max_lifetime"),
        (exchange(notes='@max_lifetime_s("301")'), "p: @max_lifetime_s must be"),
        (exchange(notes='@max_lifetime_s("0")'), "p: @max_lifetime_s must be"),
        (exchange(notes='@max_lifetime_s("1e2")'), "p: @max_lifetime_s must be"),
        (exchange(notes="@max_lifetime_s"), "p: @max_lifetime_s must be"),
        (exchange(notes='@grant_ttl_s("60")'), "p: has @grant_ttl_s but"),
        (exchange(notes='@max_lifetime_s("9")').replace("permit", "forbid"), "p: forbids"),
        (exchange("context.user.aals >= 2"), "p: "),
        (exchange('context.user.aal == "2"'), "p: "),
        (exchange("context.user.auth_age_s < 9"), "p: "),
        (exchange("context.actors.contains(principal)"), "p: "),
        (exchange().replace('"exchange"', '"exchanges"'), "p: "),
        ('@id("t") permit(principal == ?principal, action, resource);', "templates"),
    ],
)
def test_a_broken_policy_is_named(text: str, expected: str) -> None:
    assert expected in problem(text)


@pytest.mark.parametrize(
    "text",
    [
        granting(),
        granting(*reversed(GRANT_CONDITIONS)),
        granting(
            f'["{IDP}", "https://two.example"].contains(context.user.issuer)',
            *GRANT_CONDITIONS[1:],
        ),
        granting(*GRANT_CONDITIONS, "context.user.aal >= 2"),
    ],
)
def test_a_grant_may_be_permitted_where_all_five_are_named(text: str) -> None:
    rule = DelegationPolicy.parse(text).rules["p"]
    assert rule.grant_ttl_s == 600


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (granting(principal="principal"), "the agent"),
        (granting(principal="principal is Agent"), "the agent"),
        (granting(principal=f'principal in Agent::"{AGENT}"'), "the agent"),
        (granting(resource="resource"), "the audience"),
        (granting(*GRANT_CONDITIONS[1:]), "the issuer"),
        (granting(f'context.user.issuer != "{IDP}"', *GRANT_CONDITIONS[1:]), "the issuer"),
        (
            granting(f'["{IDP}"].contains(context.user.acr)', *GRANT_CONDITIONS[1:]),
            "the issuer",
        ),
        (granting('context.user.issuer == ""', *GRANT_CONDITIONS[1:]), "the issuer"),
        (granting('context.user.issuer like "*"', *GRANT_CONDITIONS[1:]), "the issuer"),
        (
            granting(f'(context.user.issuer == "{IDP}" || true)', *GRANT_CONDITIONS[1:]),
            "the issuer",
        ),
        (
            granting("context.user.issuer == context.user.issuer", *GRANT_CONDITIONS[1:]),
            "the issuer",
        ),
        (granting(GRANT_CONDITIONS[0], GRANT_CONDITIONS[2]), "the client"),
        (granting(*GRANT_CONDITIONS[:2]), "the scopes"),
        (granting(*GRANT_CONDITIONS[:2], 'context.scopes.contains("read")'), "the scopes"),
        (granting(*GRANT_CONDITIONS[:2], "context.scopes.containsAll(context.scopes)"), "scopes"),
        (granting(notes=""), "how long"),
        (granting(action='action in [Action::"exchange", Action::"grant"]', notes=""), "how long"),
        (permit(), "the agent"),
    ],
)
def test_whatever_may_start_a_grant_must_name_all_five(text: str, missing: str) -> None:
    detail = problem(text)
    assert detail.startswith("delegation policy p: permits the action grant and must name")
    assert missing in detail


def test_names_in_an_unless_do_not_count() -> None:
    text = f'@id("p") @grant_ttl_s("600") permit(principal == Agent::"{AGENT}",'
    text += f' action == Action::"grant", resource == Audience::"{API}")'
    text += f' unless {{ context.user.issuer == "{IDP}" }};'
    assert "the issuer" in problem(text)
