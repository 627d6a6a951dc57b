"""Who is calling, from what was shown."""

import pytest

from keystead.errors import KeysteadError, Reason, Refused
from keystead.server.callers import record_refused_caller, resolve_caller
from keystead.service.roles import ANYONE, Caller, Role
from tests.doors import (
    ADMINISTRATOR,
    HOST_ID,
    ISSUER_ID,
    OPERATOR,
    RELYING_PARTY_ID,
    Trail,
    make_callers,
)


async def resolve(
    *,
    spiffe_id: str | None = None,
    authorization: str | None = None,
    confidential: bool = True,
    base: Caller | None = None,
) -> Caller:
    return await resolve_caller(
        make_callers(),
        spiffe_id=spiffe_id,
        authorization=authorization,
        confidential=confidential,
        base=base,
    )


async def refusal(**shown: str | bool) -> Refused:
    with pytest.raises(Refused) as caught:
        await resolve(**shown)  # type: ignore[arg-type]
    return caught.value


async def test_a_stranger_has_no_role() -> None:
    assert (await resolve()).roles == frozenset()


@pytest.mark.parametrize(
    ("id", "role"),
    [
        (HOST_ID, Role.HOST),
        (ISSUER_ID, Role.ISSUER),
        (RELYING_PARTY_ID, Role.RELYING_PARTY),
    ],
)
async def test_a_certificate_gives_the_role_of_its_spiffe_id(id: str, role: Role) -> None:
    caller = await resolve(spiffe_id=id)
    assert caller.roles == {role}
    assert caller.name == id


async def test_an_unknown_spiffe_id_has_a_name_and_no_role() -> None:
    caller = await resolve(spiffe_id="spiffe://example.org/nobody")
    assert caller.roles == frozenset()


async def test_a_certificate_with_a_broken_spiffe_id_is_refused() -> None:
    error = await refusal(spiffe_id="spiffe://example.org/a/../b")
    assert error.reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize(
    ("credential", "role"), [(OPERATOR, Role.OPERATOR), (ADMINISTRATOR, Role.ADMINISTRATOR)]
)
async def test_a_credential_gives_its_role(credential: str, role: Role) -> None:
    caller = await resolve(authorization=f"Bearer {credential}")
    assert caller.roles == {role}


async def test_certificate_and_credential_add_up() -> None:
    caller = await resolve(spiffe_id=HOST_ID, authorization=f"Bearer {OPERATOR}")
    assert caller.roles == {Role.HOST, Role.OPERATOR}
    assert caller.name == "olga"
    assert caller.spiffe_id == HOST_ID


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        f"Bearer {OPERATOR}x",
        f"Bearer {OPERATOR[:-1]}",
        f"Bearer  {OPERATOR}",
        f"Basic {OPERATOR}",
        OPERATOR,
        "Bearer kso_" + "b" * 43,
        "DPoP a.b.c",
        "Bearer \x00",
    ],
)
async def test_a_wrong_credential_is_refused_and_never_a_stranger(authorization: str) -> None:
    assert (await refusal(authorization=authorization)).reason is Reason.CREDENTIAL_INVALID


async def test_a_good_credential_is_refused_where_others_could_listen() -> None:
    error = await refusal(authorization=f"Bearer {OPERATOR}", confidential=False)
    assert error.reason is Reason.TLS_REQUIRED


async def test_the_socket_keeps_its_role_beside_a_credential() -> None:
    socket = make_callers().admin_socket()
    assert (await resolve(base=socket)).roles == {Role.ADMIN_SOCKET}
    both = await resolve(base=socket, authorization=f"Bearer {OPERATOR}")
    assert both.roles == {Role.ADMIN_SOCKET, Role.OPERATOR}


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (Refused(Reason.ROLE_REQUIRED), True),
        (Refused(Reason.CREDENTIAL_INVALID), True),
        (Refused(Reason.TLS_REQUIRED), True),
        (Refused(Reason.GRANT_REVOKED), False),
    ],
)
async def test_the_audit_trail_counts_refused_strangers_once(
    error: KeysteadError, noted: bool
) -> None:
    trail = Trail()
    await record_refused_caller(trail, ANYONE, error, at="KeyService/Sign")
    assert trail.refusals == ([error] if noted else [])
    assert trail.callers == []


async def test_a_named_caller_is_named_with_what_was_tried() -> None:
    trail = Trail()
    olga = Caller(name="olga", roles=frozenset({Role.OPERATOR}))
    error = Refused(Reason.ROLE_REQUIRED)
    await record_refused_caller(trail, olga, error, at="KeyService/Rotate")
    await record_refused_caller(
        trail, olga, Refused(Reason.GRANT_REVOKED), at="TokenService/Exchange"
    )
    assert trail.callers == [("olga", Reason.ROLE_REQUIRED, "KeyService/Rotate")]
    assert trail.refusals == []
