"""Roles: held, implied, or refused."""

import pytest

from keystead.errors import Reason, Refused
from keystead.service.roles import ANYONE, Caller, Role, require


def caller(*roles: Role) -> Caller:
    return Caller(name="c", roles=frozenset(roles))


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gives_itself(role: Role) -> None:
    require(caller(role), role)


def test_one_of_the_wanted_roles_is_enough() -> None:
    require(caller(Role.HOST), Role.OPERATOR, Role.HOST)


def test_an_administrator_is_an_operator_and_not_the_other_way() -> None:
    require(caller(Role.ADMINISTRATOR), Role.OPERATOR)
    with pytest.raises(Refused):
        require(caller(Role.OPERATOR), Role.ADMINISTRATOR)


@pytest.mark.parametrize("held", list(Role))
@pytest.mark.parametrize("wanted", list(Role))
def test_no_other_role_implies_another(held: Role, wanted: Role) -> None:
    implied = held is wanted or (held, wanted) == (Role.ADMINISTRATOR, Role.OPERATOR)
    assert caller(held).has(wanted) is implied


def test_a_stranger_has_no_role_and_is_told_which_is_missing() -> None:
    with pytest.raises(Refused) as refused:
        require(ANYONE, Role.OPERATOR, Role.ADMIN_SOCKET)
    assert refused.value.reason is Reason.ROLE_REQUIRED
    assert refused.value.detail == "a stranger is not operator or admin_socket"
