from dataclasses import replace

import pytest

from keystead.errors import ConfigurationError, KeysteadError, Reason, TokenRejected
from keystead.identity.federation import SubjectIssuer, peek
from keystead.identity.subject_claims import MAX_ACT_DEPTH, MayAct, TokenType
from keystead.jose.jwk import JwkSet
from keystead.model import Actor
from tests.exchange_parts import (
    CLIENT,
    ID_CLAIMS,
    IDP,
    IDP_KEYS,
    ISSUER,
    NOW,
    SUBJECT_ISSUER,
    idp_token,
    verified,
)

ACCESS, ID, JWT = TokenType.ACCESS_TOKEN, TokenType.ID_TOKEN, TokenType.JWT


def refusal(
    token: str, token_type: TokenType = ACCESS, **changes: object
) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as caught:
        verified(token, token_type, **changes)
    return caught.value.reason, caught.value.step


def issuer(**changes: object) -> dict[str, SubjectIssuer]:
    return {IDP: replace(SUBJECT_ISSUER, **changes)}


def id_token(claims: dict[str, object] | None = None, **header: object) -> str:
    return idp_token(claims, base=ID_CLAIMS, header={"typ": ..., **header})


def act(depth: int) -> dict[str, object]:
    return {"sub": f"spiffe://td/{depth}", **({"act": act(depth - 1)} if depth > 1 else {})}


def test_reads_an_access_token_completely() -> None:
    token = idp_token(
        {"may_act": {"sub": "spiffe://td/a", "iss": ISSUER}, "act": {"sub": "b", "iss": "i"}}
    )
    claims = verified(token)
    user = claims.subject
    assert (user.sub, user.issuer, user.client) == ("alice", IDP, CLIENT)
    assert (user.aal, user.acr, user.amr) == (2, "phr", ("pop", "user"))
    assert user.auth_time == NOW - 60
    assert claims.scopes == {"read", "write"}
    assert claims.may_act == MayAct(sub="spiffe://td/a", iss=ISSUER)
    assert claims.act == Actor(sub="b", iss="i")
    assert (claims.expires_at, claims.jti, claims.jkt) == (NOW + 3_600, "at-1", None)
    assert (claims.own, claims.hand_over, claims.audiences, claims.grant_id) == (
        False,
        False,
        None,
        None,
    )


def test_a_foreign_chain_vouches_for_no_attestation_and_says_whose_its_names_are() -> None:
    inner = {"sub": "batch", "iss": "https://elsewhere.example", "attestation": "tpm2"}
    claims = verified(idp_token({"act": {"sub": "portal", "attestation": "tpm2", "act": inner}}))
    assert claims.act == Actor(
        sub="portal", iss=IDP, act=Actor(sub="batch", iss="https://elsewhere.example")
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_step_8_rejects_a_foreign_chain_that_names_actors_of_ours(depth: int) -> None:
    chain: dict[str, object] = {"sub": "spiffe://example.org/agent/b", "iss": ISSUER}
    for _ in range(depth - 1):
        chain = {"sub": "portal", "act": chain}
    assert refusal(idp_token({"act": chain})) == (Reason.CLAIM_INVALID, 8)


def test_peeking_believes_nothing_but_finds_the_keys() -> None:
    origin = peek(idp_token(key="stranger"))
    assert (origin.issuer, origin.kid) == (IDP, "idp-1")


def test_a_peeked_token_is_verified_all_the_same() -> None:
    assert verified(peek(idp_token())) == verified(idp_token())
    with pytest.raises(TokenRejected) as caught:
        verified(peek(idp_token(key="stranger")))
    assert (caught.value.reason, caught.value.step) == (Reason.SIGNATURE_INVALID, 3)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", idp_token()[:-1], idp_token({"iss": 7})])
def test_step_1_rejects_what_does_not_decode(token: str) -> None:
    assert refusal(token) == (Reason.MALFORMED, 1)


def test_step_1_rejects_an_unknown_issuer() -> None:
    assert refusal(idp_token({"iss": IDP + "/"})) == (Reason.SUBJECT_ISSUER_UNKNOWN, 1)


def test_step_2_rejects_a_type_that_is_not_accepted_from_this_issuer() -> None:
    only_id = issuer(token_types=frozenset({ID}))
    assert refusal(idp_token(), issuers=only_id) == (Reason.TOKEN_TYPE_UNSUPPORTED, 2)
    refresh = refusal(idp_token(), TokenType.REFRESH_TOKEN)
    assert refresh == (Reason.TOKEN_TYPE_UNSUPPORTED, 2)


@pytest.mark.parametrize(
    ("token_type", "typ", "fits"),
    [
        (ACCESS, "at+jwt", True),
        (ACCESS, "application/at+jwt", True),
        (ACCESS, "JWT", False),
        (ACCESS, ..., False),
        (ID, "at+jwt", False),
        (ID, "JWT", True),
        (ID, ..., True),
        (JWT, "at+jwt", False),
        (JWT, "jwt", True),
        (JWT, ..., True),
    ],
)
def test_step_3_the_declared_type_must_be_the_headers(
    token_type: TokenType, typ: object, fits: bool
) -> None:
    base = ID_CLAIMS if token_type is ID else None
    token = idp_token(header={"typ": typ}, **({"base": base} if base else {}))
    if fits:
        assert verified(token, token_type).token_type is token_type
    else:
        assert refusal(token, token_type) == (Reason.TYPE_MISMATCH, 3)


@pytest.mark.parametrize(
    "typ",
    [
        "ear+jwt",
        "eat+jwt",
        "dpop+jwt",
        "statuslist+jwt",
        "JOSE",
        "keystead-key-proof+jwt",
        "keystead-checkpoint+jwt",
        "keystead-handover+jwt",
        "oauth-client-attestation+jwt",
        "logout+jwt",
        "secevent+jwt",
        "",
    ],
)
@pytest.mark.parametrize("token_type", [ACCESS, ID, JWT])
def test_step_3_other_kinds_are_refused_whatever_is_declared(
    typ: str, token_type: TokenType
) -> None:
    token = idp_token(header={"typ": typ}, base=ID_CLAIMS)
    plain = issuer(plain_access_token_typ=True)
    reason, step = refusal(token, token_type, issuers=plain)
    assert reason in (Reason.TYPE_MISMATCH, Reason.MALFORMED)
    assert step in (1, 3)


def test_plain_access_tokens_only_where_configured() -> None:
    token = idp_token(header={"typ": "JWT"})
    assert refusal(token) == (Reason.TYPE_MISMATCH, 3)
    assert verified(token, issuers=issuer(plain_access_token_typ=True)).scopes


@pytest.mark.parametrize(
    ("token", "changes", "reason"),
    [
        (idp_token(key="stranger"), {}, Reason.SIGNATURE_INVALID),
        (idp_token(header={"kid": "idp-2"}), {}, Reason.KEY_UNKNOWN),
        (idp_token(header={"alg": "none"}), {}, Reason.ALGORITHM_NOT_ALLOWED),
        (idp_token(header={"alg": "HS256"}), {}, Reason.ALGORITHM_NOT_ALLOWED),
        (
            idp_token(),
            {"issuers": issuer(algorithms=frozenset({"RS256"}))},
            Reason.ALGORITHM_NOT_ALLOWED,
        ),
        (idp_token({"aud": "https://elsewhere.example"}), {}, Reason.AUDIENCE_MISMATCH),
        (idp_token({"aud": [CLIENT, ISSUER + "/"]}), {}, Reason.AUDIENCE_MISMATCH),
        (idp_token({"aud": ...}), {}, Reason.CLAIM_MISSING),
        (idp_token({"sub": ...}), {}, Reason.CLAIM_MISSING),
        (idp_token({"exp": ...}), {}, Reason.CLAIM_MISSING),
        (idp_token({"exp": NOW - 5}), {}, Reason.EXPIRED),
        (idp_token({"iat": NOW + 6}), {}, Reason.NOT_YET_VALID),
        (idp_token({"nbf": NOW + 6}), {}, Reason.NOT_YET_VALID),
        (idp_token(), {"keys": JwkSet([])}, Reason.KEY_UNKNOWN),
    ],
)
def test_step_3_rejects_a_token_wrong_in_one_thing(
    token: str, changes: dict[str, object], reason: Reason
) -> None:
    assert refusal(token, **changes) == (reason, 3)


@pytest.mark.parametrize(
    "claims",
    [
        {"eat_profile": "tag:example"},
        {"submods": {"tpm": {}}},
        {"status_list": {"bits": 1}},
        {"htm": "POST"},
        {"htu": "https://x.example"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"sd_hash": "x"},
    ],
)
@pytest.mark.parametrize("token_type", [ACCESS, ID, JWT])
def test_step_4_other_kinds_are_known_by_their_claims(
    claims: dict[str, object], token_type: TokenType
) -> None:
    token = idp_token(claims) if token_type is ACCESS else id_token(claims)
    assert refusal(token, token_type) == (Reason.TYPE_MISMATCH, 4)


def test_step_4_rejects_a_header_that_holds_a_key() -> None:
    assert refusal(idp_token(header={"jwk": {"kty": "EC"}})) == (Reason.TYPE_MISMATCH, 4)


def test_step_4_tells_plain_access_tokens_and_id_tokens_apart() -> None:
    plain = issuer(plain_access_token_typ=True)
    assert refusal(id_token({"at_hash": "x"}), ACCESS, issuers=plain) == (Reason.TYPE_MISMATCH, 4)
    as_id = refusal(idp_token(header={"typ": "JWT"}), ID, issuers=plain)
    assert as_id == (Reason.TYPE_MISMATCH, 4)


@pytest.mark.parametrize("sub", ["spiffe://td/agent", "SPIFFE://td/agent"])
def test_step_5_rejects_a_workload_as_user(sub: str) -> None:
    for token_type, token in ((ACCESS, idp_token({"sub": sub})), (JWT, id_token({"sub": sub}))):
        assert refusal(token, token_type) == (Reason.SUBJECT_TOKEN_INVALID, 5)


@pytest.mark.parametrize("sub", ["", "x" * 256, 7, None])
def test_step_5_rejects_an_unreadable_sub(sub: object) -> None:
    assert refusal(idp_token({"sub": sub}))[1] == 5


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": "stranger"},
        {"client_id": ...},
        {"azp": "stranger"},
        {"client_id": "stranger", "azp": CLIENT},
    ],
)
def test_step_6_rejects_other_clients(claims: dict[str, object]) -> None:
    assert refusal(idp_token(claims)) == (Reason.SUBJECT_CLIENT_REFUSED, 6)


def test_step_6_an_id_token_without_azp_is_its_only_audiences() -> None:
    ours = issuer(clients=frozenset({ISSUER}))
    assert verified(id_token({"azp": ...}), ID, issuers=ours).subject.client == ISSUER
    assert refusal(id_token({"azp": ...}), ID) == (Reason.SUBJECT_CLIENT_REFUSED, 6)
    two = id_token({"azp": ..., "aud": [ISSUER, CLIENT]})
    assert refusal(two, ID) == (Reason.SUBJECT_CLIENT_REFUSED, 6)
    assert refusal(two, JWT) == (Reason.SUBJECT_CLIENT_REFUSED, 6)


def test_step_7_rejects_an_old_or_undated_sign_in() -> None:
    recent = issuer(max_age_s=60)
    assert verified(idp_token(), issuers=recent).subject.auth_time == NOW - 60
    for auth_time in (NOW - 61, ...):
        found = refusal(idp_token({"auth_time": auth_time}), issuers=recent)
        assert found == (Reason.AUTHENTICATION_INSUFFICIENT, 7)


def test_step_7_rejects_a_sign_in_of_tomorrow() -> None:
    assert verified(idp_token({"auth_time": NOW + 5})).subject.auth_time == NOW + 5
    assert refusal(idp_token({"auth_time": NOW + 6})) == (Reason.CLAIM_INVALID, 7)


@pytest.mark.parametrize(
    ("acr", "aal"), [("phr", 2), ("phrh", 3), ("silver", 1), (..., 1), ("PHRH", 1)]
)
def test_an_acr_that_is_not_mapped_is_the_lowest_aal(acr: object, aal: int) -> None:
    assert verified(idp_token({"acr": acr})).subject.aal == aal


@pytest.mark.parametrize(
    "claims",
    [
        {"may_act": "spiffe://td/a"},
        {"may_act": {}},
        {"may_act": {"sub": ""}},
        {"may_act": {"sub": "a", "email": "b"}},
        {"may_act": None},
        {"may_act": []},
        {"act": {"iss": "x"}},
        {"act": {"sub": "a", "act": "b"}},
        {"act": act(MAX_ACT_DEPTH + 1)},
        {"scope": 7},
        {"scope": ["x" * 5_000]},
        {"cnf": "x"},
        {"amr": "pop"},
        {"acr": 7},
    ],
)
def test_step_8_what_cannot_be_read_completely_is_refused(claims: dict[str, object]) -> None:
    reason, step = refusal(idp_token(claims))
    assert reason in (Reason.MALFORMED, Reason.TOO_LARGE)
    assert step == 8


def test_step_8_reads_a_chain_up_to_its_bound() -> None:
    claims = verified(idp_token({"act": act(MAX_ACT_DEPTH)}))
    link, depth = claims.act, 0
    while link is not None:
        link, depth = link.act, depth + 1
    assert depth == MAX_ACT_DEPTH


@pytest.mark.parametrize(
    "cnf", [{}, {"x5t#S256": "x"}, {"jwk": {}}, {"jkt": "j" * 43, "x5t#S256": "x"}]
)
def test_step_8_a_binding_that_cannot_be_checked_is_refused(cnf: dict[str, object]) -> None:
    expected = (Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY, 8)
    assert refusal(idp_token({"cnf": cnf})) == expected


def test_reads_the_binding_of_a_bound_token() -> None:
    assert verified(idp_token({"cnf": {"jkt": "j" * 43}})).jkt == "j" * 43


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "read"}, {"read"}),
        ({"scope": ""}, None),
        ({"scope": ...}, None),
        ({"scope": ..., "scp": ["read", "write"]}, {"read", "write"}),
        ({"scope": ..., "scp": "read write"}, {"read", "write"}),
        ({"scope": "read", "scp": ["purge"]}, {"read"}),
    ],
)
def test_scopes_of_a_token_limit_what_follows(
    claims: dict[str, object], scopes: set[str] | None
) -> None:
    if claims == {"scope": ""}:
        assert refusal(idp_token(claims)) == (Reason.MALFORMED, 8)
        return
    assert verified(idp_token(claims)).scopes == scopes
    assert verified(idp_token(claims), issuers=issuer(scopes_limit=False)).scopes is None


@pytest.mark.parametrize(
    "changes",
    [
        {"audiences": frozenset()},
        {"clients": frozenset()},
        {"algorithms": frozenset()},
        {"token_types": frozenset()},
        {"token_types": frozenset({TokenType.REFRESH_TOKEN})},
        {"default_aal": 0},
        {"aal_by_acr": {"x": 4}},
    ],
)
def test_an_issuer_that_would_accept_everybody_is_refused_at_start(
    changes: dict[str, object],
) -> None:
    with pytest.raises(ConfigurationError):
        replace(SUBJECT_ISSUER, **changes)


def test_a_truncated_token_is_malformed() -> None:
    whole = idp_token()
    for end in (0, 10, whole.index("."), whole.rindex("."), len(whole) - 1):
        assert refusal(whole[:end])[0] is Reason.MALFORMED


def test_an_issuers_key_does_not_speak_for_another() -> None:
    two = {**issuer(), "https://two.example": replace(SUBJECT_ISSUER, issuer="https://two.example")}
    token = idp_token({"iss": "https://two.example"}, key="two")
    assert refusal(token, issuers=two, keys=IDP_KEYS) == (Reason.SIGNATURE_INVALID, 3)
