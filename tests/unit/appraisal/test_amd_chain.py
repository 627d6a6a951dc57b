from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from keystead.appraisal.amd_chain import AmdPath, build_amd_path
from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.path import Untrusted
from keystead.appraisal.pinned_anchors import AMD_ARK_GENOA, AMD_ARK_MILAN, AMD_ARK_TURIN
from keystead.appraisal.revocation_lists import Revoked, parse_revocation_list
from keystead.codec.snp import Product, TcbVersion
from tests.device_chains import DAY_S, NOW, YEAR_S, curve_key, key_usage
from tests.snp_builder import (
    TCB,
    Guest,
    anchors,
    ask,
    ca,
    endorsement,
    raw_extensions,
    revocation_list,
)

ASK = {"issuer": "ARK-Test"}


def path(
    leaf: bytes | None = None,
    *,
    authority: bytes | None = None,
    more: Sequence[bytes] = (),
    lists: Sequence[bytes] = (),
    at: int = NOW,
) -> AmdPath:
    return build_amd_path(
        endorsement() if leaf is None else leaf,
        intermediates=(ask() if authority is None else authority, *more),
        anchors=anchors(),
        revocations=[parse_revocation_list(each) for each in lists],
        at=at,
    )


def test_a_chip_chains_to_the_root() -> None:
    found = path()
    assert found.anchor == anchors().anchors[0]
    assert found.key.public_numbers() == curve_key("chip").public_key().public_numbers()
    assert (found.endorsement.product, found.endorsement.tcb) == (Product.MILAN, TcbVersion(**TCB))
    assert (found.not_before, found.not_after) == (NOW - YEAR_S, NOW + YEAR_S)


def test_a_cloud_chains_to_the_root() -> None:
    leaf = Guest(vlek=True).leaf(issuer="SEV-VLEK-Test")
    found = path(leaf, authority=ca("SEV-VLEK-Test", **ASK))
    assert found.endorsement.csp_id == "CN=cloud.example"


def test_the_root_may_come_too_and_helpers_in_any_order() -> None:
    assert path(more=(ca("ARK-Test"),)) == path()
    assert path(authority=ca("ARK-Test"), more=(ask(),)) == path()


def test_a_ca_of_the_operators_need_not_come() -> None:
    known = anchors()
    found = build_amd_path(
        endorsement(),
        intermediates=(),
        anchors=AnchorSet(anchors=known.anchors, intermediates=(ask(),)),
        revocations=(),
        at=NOW,
    )
    assert found.anchor == known.anchors[0]


@pytest.mark.parametrize(
    "authority",
    [
        ca("SEV-Test", issuer="ARK-Other"),
        ca("SEV-Test"),
        ca("SEV-Other", issuer="ARK-Test"),
        ca("SEV-Test", issuer="ARK-Test", is_ca=False),
        ca("SEV-Test", issuer="ARK-Test", certify=False),
        ca("SEV-Test", issuer="ARK-Test", padding=PKCS1v15()),
        ca("SEV-Test", issuer="ARK-Test", padding=PSS(MGF1(SHA256()), 48)),
        ca("SEV-Test", issuer="ARK-Test", padding=PSS(MGF1(SHA256()), 20)),
        ca("ARK-Test"),
        b"",
        b"\x30\x03\x02\x01\x01",
    ],
)
def test_refuses_another_ca(authority: bytes) -> None:
    with pytest.raises(Untrusted):
        path(authority=authority)


@pytest.mark.parametrize(
    "leaf",
    [
        endorsement(signer="SEV-Other"),
        endorsement(issuer="ARK-Test"),
        endorsement(padding=PKCS1v15()),
        endorsement(key=curve_key("small", ec.SECP256R1)),
        endorsement(extensions={}),
        endorsement(more=[(x509.BasicConstraints(ca=True, path_length=None), True)]),
        endorsement(more=[(key_usage(certify=True), True)]),
        endorsement(more=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True)]),
        endorsement()[:-1],
        endorsement() + b"\x00",
    ],
)
def test_refuses_another_leaf(leaf: bytes) -> None:
    with pytest.raises(Untrusted):
        path(leaf)


def test_a_leaf_of_the_root_itself_is_refused() -> None:
    """Only an ASK makes a VCEK: the root's own signature is for CAs."""
    with pytest.raises(Untrusted):
        path(endorsement(issuer="ARK-Test"), authority=ca("ARK-Test"))


@pytest.mark.parametrize("kind", ["leaf", "authority"])
def test_every_certificate_has_to_be_valid_then(kind: str) -> None:
    days: dict[str, Any] = {"not_before": NOW - DAY_S, "not_after": NOW + DAY_S}
    made = {"leaf": endorsement(**days), "authority": ca("SEV-Test", **ASK, **days)}
    made = {kind: made[kind]}
    for at in (NOW - DAY_S, NOW + DAY_S):
        assert path(**made, at=at).holds_at(at)
    for at in (NOW - DAY_S - 1, NOW + DAY_S + 1):
        with pytest.raises(Untrusted, match="outside"):
            path(**made, at=at)


def test_a_list_that_names_nobody_here_only_bounds_the_time() -> None:
    found = path(lists=[revocation_list(serials=[5])])
    assert (found.not_before, found.not_after) == (NOW - 3_600, NOW + 3_600)
    assert path(lists=[revocation_list(issuer="ARK-Other", serials=[65_537])]) == path()


def test_a_revoked_ca_or_chip_is_refused() -> None:
    with pytest.raises(Revoked):
        path(lists=[revocation_list(serials=[5, 65_537])])
    with pytest.raises(Revoked):
        path(lists=[revocation_list(issuer="SEV-Test", serials=[1])])


@pytest.mark.parametrize(
    "listed",
    [
        revocation_list(signer="ARK-Other"),
        revocation_list(next_update=NOW - 1),
        revocation_list(this_update=NOW + 1),
    ],
)
def test_a_list_that_is_stale_or_not_its_issuers_ends_the_path(listed: bytes) -> None:
    with pytest.raises(Untrusted) as refused:
        path(lists=[listed])
    assert not isinstance(refused.value, Revoked)


def test_serial_numbers_below_one_are_read() -> None:
    """AMD numbers every VCEK 0; ``cryptography`` makes none such, so the builder's is changed."""
    leaf = endorsement(extensions=raw_extensions())
    zeroed = leaf.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
    assert zeroed != leaf
    with pytest.raises(Untrusted, match="no CA"):
        path(zeroed)


def test_amds_roots_are_three() -> None:
    names = {each.name for each in (AMD_ARK_MILAN, AMD_ARK_GENOA, AMD_ARK_TURIN)}
    assert names == {"AMD ARK-Milan", "AMD ARK-Genoa", "AMD ARK-Turin"}
