from typing import Any

import pytest

from keystead.codec.dcap_collateral import MAX_CHAIN_CHARS, MAX_LIST_BYTES, parse_collateral
from keystead.errors import Malformed, Reason
from tests.intel_builder import collateral, qe_identity, tcb_info

GOOD = collateral()


def test_reads_the_nine_members() -> None:
    found = parse_collateral(GOOD)
    assert (found.tcb_info, found.qe_identity) == (tcb_info(), qe_identity())
    assert found.root_ca_crl.hex() == GOOD["root_ca_crl"]
    assert found.pck_crl.hex() == GOOD["pck_crl"]
    assert found.tcb_info_signature.hex() == GOOD["tcb_info_signature"]
    assert found.qe_identity_signature.hex() == GOOD["qe_identity_signature"]
    assert found.tcb_info_issuer_chain.decode() == GOOD["tcb_info_issuer_chain"]
    assert found.qe_identity_issuer_chain.decode() == GOOD["qe_identity_issuer_chain"]


def test_the_quotes_chain_may_be_repeated_and_is_not_taken_along() -> None:
    assert parse_collateral(GOOD | {"pck_certificate_chain": "x"}) == parse_collateral(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_refuses_a_member_that_is_missing_or_no_text(name: str) -> None:
    for value in ("", 5, None, ["x"], "\u00e9"):
        with pytest.raises(Malformed) as refused:
            parse_collateral(GOOD | {name: value})
        assert name in refused.value.detail
    with pytest.raises(Malformed):
        parse_collateral({each: value for each, value in GOOD.items() if each != name})


@pytest.mark.parametrize(
    "change",
    [
        {"root_ca_crl": "zz"},
        {"root_ca_crl": "000"},
        {"pck_crl": "00 00 "},
        {"tcb_info_signature": "00" * 63},
        {"qe_identity_signature": "00" * 65},
        {"version": 3},
    ],
)
def test_refuses_members_of_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_collateral(GOOD | change)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tcb_info_issuer_chain", MAX_CHAIN_CHARS),
        ("pck_crl_issuer_chain", MAX_CHAIN_CHARS),
        ("qe_identity", 131_072),
        ("pck_crl", 2 * MAX_LIST_BYTES),
    ],
)
def test_every_member_has_its_bound(name: str, size: int) -> None:
    assert parse_collateral(GOOD | {name: "0" * size})
    with pytest.raises(Malformed) as refused:
        parse_collateral(GOOD | {name: "0" * (size + 2)})
    assert refused.value.reason is Reason.TOO_LARGE
