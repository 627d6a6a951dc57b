import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import Malformed, Reason
from keystead.identity.spiffe import (
    MAX_SPIFFE_ID_BYTES,
    MAX_TRUST_DOMAIN_BYTES,
    parse_spiffe_id,
    parse_workload_id,
    path_of,
    trust_domain,
)


@pytest.mark.parametrize(
    ("text", "domain", "path"),
    [
        ("spiffe://example.org/agent/a", "example.org", "/agent/a"),
        ("spiffe://td", "td", ""),
        ("spiffe://a_b-c.9/A.Z_-...", "a_b-c.9", "/A.Z_-..."),
        ("spiffe://" + "d" * MAX_TRUST_DOMAIN_BYTES + "/x", "d" * MAX_TRUST_DOMAIN_BYTES, "/x"),
        ("spiffe://td/".ljust(MAX_SPIFFE_ID_BYTES, "p"), "td", "/" + "p" * 2036),
    ],
)
def test_accepts_canonical_ids(text: str, domain: str, path: str) -> None:
    spiffe_id = parse_spiffe_id(text)
    assert (spiffe_id, trust_domain(spiffe_id), path_of(spiffe_id)) == (text, domain, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe:/td/x",
        "SPIFFE://td/x",
        "https://td/x",
        " spiffe://td/x",
        "spiffe://",
        "spiffe:///x",
        "spiffe://TD/x",
        "spiffe://td:443/x",
        "spiffe://user@td/x",
        "spiffe://t d/x",
        "spiffe://t%61/x",
        "spiffe://tд/x",
        "spiffe://td/",
        "spiffe://td/x/",
        "spiffe://td//x",
        "spiffe://td/.",
        "spiffe://td/x/../y",
        "spiffe://td/x?q",
        "spiffe://td/x#f",
        "spiffe://td/x%2fy",
        "spiffe://td/x y",
        "spiffe://td/x\n",
        "spiffe://td\n/x",
        "spiffe://td/é",
        "spiffe://" + "d" * (MAX_TRUST_DOMAIN_BYTES + 1) + "/x",
        "spiffe://td/".ljust(MAX_SPIFFE_ID_BYTES + 1, "p"),
    ],
)
def test_rejects_every_other_spelling(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_spiffe_id(text)
    assert caught.value.reason is Reason.SPIFFE_ID_INVALID


def test_a_trust_domain_is_no_workload() -> None:
    assert parse_workload_id("spiffe://td/x") == "spiffe://td/x"
    with pytest.raises(Malformed) as caught:
        parse_workload_id("spiffe://td")
    assert caught.value.reason is Reason.SPIFFE_ID_INVALID


@given(st.text(alphabet="spiffe:/.-_aZ9%?#@ \n", max_size=40))
def test_what_parses_consists_of_its_parts(tail: str) -> None:
    try:
        spiffe_id = parse_spiffe_id("spiffe://" + tail)
    except Malformed as error:
        assert error.reason is Reason.SPIFFE_ID_INVALID
        return
    assert spiffe_id == f"spiffe://{trust_domain(spiffe_id)}{path_of(spiffe_id)}"
    assert not {"", ".", ".."} & set(path_of(spiffe_id).split("/")[1:])
