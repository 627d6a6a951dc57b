import pytest

from keystead.errors import Reason, TokenRejected
from keystead.relying.credentials import Scheme, parse_authorization


@pytest.mark.parametrize("value", ["DPoP abc.def.ghi", "dpop abc.def.ghi", "DPOP   abc.def.ghi"])
def test_reads_one_credential(value: str) -> None:
    found = parse_authorization([value], bearer_allowed=False)
    assert found is not None
    assert (found.scheme, found.token) == (Scheme.DPOP, "abc.def.ghi")
    assert "abc" not in repr(found)


def test_no_header_is_no_credential() -> None:
    assert parse_authorization([], bearer_allowed=False) is None


@pytest.mark.parametrize(
    "values",
    [
        ["DPoP a", "DPoP a"],
        ["DPoP a, DPoP b"],
        ["DPoP a,DPoP b"],
        ["DPoP a b"],
        ["DPoP"],
        ["DPoP "],
        [" DPoP a"],
        ["DPoP\ta"],
        ["DPoP a\r\n"],
        ["Basic dXNlcg=="],
        ["DPoP é"],
        ["D PoP a"],
        [""],
    ],
)
def test_rejects_what_is_not_one_credential(values: list[str]) -> None:
    with pytest.raises(TokenRejected) as caught:
        parse_authorization(values, bearer_allowed=True)
    assert caught.value.reason is Reason.CREDENTIAL_INVALID


def test_rejects_bearer_unless_it_is_allowed() -> None:
    with pytest.raises(TokenRejected) as caught:
        parse_authorization(["Bearer a"], bearer_allowed=False)
    assert caught.value.reason is Reason.PROOF_MISSING
    found = parse_authorization(["bearer a"], bearer_allowed=True)
    assert found is not None and found.scheme is Scheme.BEARER
