import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.delegation.audiences import MAX_SCOPES
from keystead.errors import KeysteadError, Malformed, Reason, Refused
from keystead.identity.subject_claims import TokenType
from keystead.issuance.request import (
    MAX_PARAMETERS,
    MAX_TOKEN_CHARS,
    REFRESH_GRANT,
    TOKEN_EXCHANGE_GRANT,
    ExchangeRequest,
    RefreshRequest,
    parse_form,
)

API = "https://api.example/"
ISSUER = "https://keystead.example"
AGENT_B = "spiffe://example.org/agent/b"
EXCHANGE = {
    "grant_type": TOKEN_EXCHANGE_GRANT,
    "subject_token": "a.b.c",
    "subject_token_type": TokenType.ACCESS_TOKEN.value,
    "audience": API,
    "scope": "read write",
}
REFRESH = {"grant_type": REFRESH_GRANT, "refresh_token": "ksr_x"}


def form(base: dict[str, str], *more: tuple[str, str], **changes: object) -> list[tuple[str, str]]:
    members = {k: v for k, v in {**base, **changes}.items() if v is not ...}
    return [*members.items(), *more]  # type: ignore[list-item]


def refusal(pairs: list[tuple[str, str]]) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as caught:
        parse_form(pairs)
    assert isinstance(caught.value, Malformed | Refused)
    return caught.value.reason, caught.value.step


def test_reads_an_exchange() -> None:
    more = {
        "actor_token": "d.e.f",
        "actor_token_type": TokenType.JWT.value,
        "requested_token_type": TokenType.ACCESS_TOKEN.value,
        "client_id": "spiffe://example.org/agent/a",
    }
    assert parse_form(form(EXCHANGE, **more)) == ExchangeRequest(
        subject_token="a.b.c",
        subject_token_type=TokenType.ACCESS_TOKEN,
        actor_token="d.e.f",
        actor_token_type=TokenType.JWT,
        targets=(API,),
        scopes=("read", "write"),
        client_id="spiffe://example.org/agent/a",
    )


def test_reads_a_renewal() -> None:
    assert parse_form(form(REFRESH)) == RefreshRequest(refresh_token="ksr_x")
    assert parse_form(form(REFRESH, resource=API, scope="read")) == RefreshRequest(
        refresh_token="ksr_x", audience=API, scopes=("read",)
    )


def test_reads_a_hand_over() -> None:
    pairs = form(EXCHANGE, ("resource", API), audience=ISSUER, may_act=AGENT_B)
    request = parse_form(pairs)
    assert isinstance(request, ExchangeRequest)
    assert (request.targets, request.may_act) == ((ISSUER, API), AGENT_B)


def test_unknown_parameters_are_ignored_and_empty_ones_absent() -> None:
    pairs = form(EXCHANGE, ("x", "1"), ("x", "2"), ("actor_token", ""), scope="")
    assert parse_form(pairs) == parse_form(form(EXCHANGE, scope=...))


def test_one_target_named_both_ways_is_one() -> None:
    request = parse_form(form(EXCHANGE, ("resource", API), ("audience", API)))
    assert isinstance(request, ExchangeRequest)
    assert request.targets == (API,)


def test_reads_values_up_to_their_bounds() -> None:
    longest = {
        "subject_token": "x" * MAX_TOKEN_CHARS,
        "audience": "x" * 2_048,
        "scope": " ".join(f"{n:02}".ljust(60, "x") for n in range(MAX_SCOPES)),
    }
    request = parse_form(form(EXCHANGE, **longest))
    assert isinstance(request, ExchangeRequest)
    assert (request.subject_token, len(request.scopes or ())) == ("x" * MAX_TOKEN_CHARS, 64)


def test_a_resource_is_an_absolute_uri() -> None:
    request = parse_form(form(EXCHANGE, audience=..., resource="urn:api:x?q=1"))
    assert isinstance(request, ExchangeRequest)
    assert request.targets == ("urn:api:x?q=1",)


def test_tokens_do_not_show_in_a_repr() -> None:
    assert "a.b.c" not in repr(parse_form(form(EXCHANGE, actor_token=...)))
    assert "ksr_x" not in repr(parse_form(form(REFRESH)))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (form(EXCHANGE, ("scope", "read")), (Reason.PARAMETER_REPEATED, 1)),
        (form(EXCHANGE, ("grant_type", REFRESH_GRANT)), (Reason.PARAMETER_REPEATED, 1)),
        (form(EXCHANGE, ("subject_token", "a.b.c")), (Reason.PARAMETER_REPEATED, 1)),
        (form(EXCHANGE, ("client_id", "a"), ("client_id", "a")), (Reason.PARAMETER_REPEATED, 1)),
        (
            form(EXCHANGE, *[(str(n), "") for n in range(MAX_PARAMETERS)]),
            (Reason.TOO_LARGE, 1),
        ),
        (form(EXCHANGE, subject_token="x" * (MAX_TOKEN_CHARS + 1)), (Reason.TOO_LARGE, 1)),
        (form(EXCHANGE, audience="x" * 2_049), (Reason.TOO_LARGE, 1)),
        (form(EXCHANGE, scope="x" * 4_097), (Reason.TOO_LARGE, 1)),
        ([], (Reason.PARAMETER_MISSING, 2)),
        (form(EXCHANGE, grant_type=...), (Reason.PARAMETER_MISSING, 2)),
        (form(EXCHANGE, grant_type="password"), (Reason.GRANT_TYPE_UNSUPPORTED, 2)),
        (form(EXCHANGE, subject_token=...), (Reason.PARAMETER_MISSING, 3)),
        (form(EXCHANGE, subject_token_type=...), (Reason.PARAMETER_MISSING, 3)),
        (form(EXCHANGE, audience=...), (Reason.PARAMETER_MISSING, 3)),
        (form(REFRESH, refresh_token=...), (Reason.PARAMETER_MISSING, 3)),
        (form(REFRESH, subject_token="a.b.c"), (Reason.PARAMETER_INVALID, 3)),
        (form(REFRESH, actor_token="a.b.c"), (Reason.PARAMETER_INVALID, 3)),
        (form(REFRESH, may_act=AGENT_B), (Reason.PARAMETER_INVALID, 3)),
        (form(EXCHANGE, subject_token_type="jwt"), (Reason.TOKEN_TYPE_UNSUPPORTED, 4)),
        (
            form(EXCHANGE, subject_token_type="urn:ietf:params:oauth:token-type:saml2"),
            (Reason.TOKEN_TYPE_UNSUPPORTED, 4),
        ),
        (form(EXCHANGE, actor_token="d.e.f"), (Reason.PARAMETER_MISSING, 4)),
        (
            form(EXCHANGE, actor_token_type=TokenType.JWT.value),
            (Reason.PARAMETER_INVALID, 4),
        ),
        (
            form(EXCHANGE, actor_token="d.e.f", actor_token_type="x"),
            (Reason.TOKEN_TYPE_UNSUPPORTED, 4),
        ),
        (
            form(EXCHANGE, requested_token_type=TokenType.ID_TOKEN.value),
            (Reason.TOKEN_TYPE_UNSUPPORTED, 4),
        ),
        (
            form(EXCHANGE, requested_token_type=TokenType.JWT.value),
            (Reason.TOKEN_TYPE_UNSUPPORTED, 4),
        ),
        (
            form(EXCHANGE, may_act=AGENT_B, requested_token_type=TokenType.ACCESS_TOKEN.value),
            (Reason.TOKEN_TYPE_UNSUPPORTED, 4),
        ),
        (form(EXCHANGE, ("audience", "https://b.example/")), (Reason.AUDIENCE_NOT_ALLOWED, 5)),
        (form(EXCHANGE, ("resource", "https://b.example/")), (Reason.AUDIENCE_NOT_ALLOWED, 5)),
        (
            form(EXCHANGE, ("audience", ISSUER), ("audience", "c"), may_act=AGENT_B),
            (Reason.AUDIENCE_NOT_ALLOWED, 5),
        ),
        (form(EXCHANGE, audience=..., resource="/relative"), (Reason.AUDIENCE_NOT_ALLOWED, 5)),
        (
            form(EXCHANGE, audience=..., resource="https://a.example/#f"),
            (Reason.AUDIENCE_NOT_ALLOWED, 5),
        ),
        (
            form(EXCHANGE, audience=..., resource="https://a.example/ x"),
            (Reason.AUDIENCE_NOT_ALLOWED, 5),
        ),
        (form(EXCHANGE, audience=..., resource="https://[bad/"), (Reason.AUDIENCE_NOT_ALLOWED, 5)),
        (form(REFRESH, ("audience", "a"), ("audience", "b")), (Reason.AUDIENCE_NOT_ALLOWED, 5)),
        (form(EXCHANGE, scope="read  write"), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope=" read"), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope="read\twrite"), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope='re"ad'), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope="lésen"), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope="read read"), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (form(EXCHANGE, scope="x" * 129), (Reason.SCOPE_NOT_ALLOWED, 6)),
        (
            form(EXCHANGE, scope=" ".join(str(n) for n in range(MAX_SCOPES + 1))),
            (Reason.SCOPE_NOT_ALLOWED, 6),
        ),
        (form(EXCHANGE, may_act="agent-b"), (Reason.SPIFFE_ID_INVALID, 7)),
        (form(EXCHANGE, may_act="spiffe://example.org"), (Reason.SPIFFE_ID_INVALID, 7)),
    ],
)
def test_refuses_a_form_wrong_in_one_thing(
    pairs: list[tuple[str, str]], expected: tuple[Reason, int]
) -> None:
    assert refusal(pairs) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*EXCHANGE, *REFRESH, "resource", "may_act", "actor_token", "x"]),
            st.one_of(st.text(max_size=20), st.sampled_from([*EXCHANGE.values(), "ksr_x"])),
        ),
        max_size=12,
    )
)
def test_any_form_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        request = parse_form(pairs)
    except (Malformed, Refused):
        return
    assert isinstance(request, ExchangeRequest | RefreshRequest)
