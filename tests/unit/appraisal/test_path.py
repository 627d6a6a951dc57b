from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.appraisal.path import TrustedPath, Untrusted, build_path
from keystead.model import AnchorClass
from tests.device_chains import (
    CA,
    DAY_S,
    LEAF,
    NOW,
    authorities,
    certificate,
    chain,
    curve_key,
    key_usage,
)

KEY = curve_key("leaf")
GOOD = chain(KEY)
MIDDLE = GOOD.bundle[1]


def built(
    leaf: bytes = GOOD.leaf,
    *,
    intermediates: Sequence[bytes] = (MIDDLE,),
    anchors: AnchorSet | None = None,
    at: int = NOW,
) -> TrustedPath:
    return build_path(leaf, intermediates=intermediates, anchors=anchors or GOOD.anchors(), at=at)


def untrusted(**arguments: Any) -> str:
    with pytest.raises(Untrusted) as caught:
        built(arguments.pop("leaf", GOOD.leaf), **arguments)
    return str(caught.value)


def leaf(**changes: Any) -> bytes:
    return chain(KEY, **changes).leaf


def test_ends_at_the_anchor_and_has_the_leafs_key() -> None:
    found = built()
    assert (found.anchor.name, found.anchor.anchor_class) == ("CN=maker", AnchorClass.TEE)
    assert found.key.public_numbers() == KEY.public_key().public_numbers()


def test_the_root_may_come_along_and_lengthens_nothing() -> None:
    assert built(intermediates=GOOD.bundle).anchor == built().anchor


def test_holds_while_all_of_its_certificates_do() -> None:
    found = built(leaf(not_before=NOW - 100, not_after=NOW + 100))
    assert (found.not_before, found.not_after) == (NOW - 100, NOW + 100)
    found = built(leaf(not_before=NOW - 9 * DAY_S, not_after=NOW + 9 * DAY_S))
    assert (found.not_before, found.not_after) == (NOW - DAY_S, NOW + DAY_S)
    for at in (found.not_before, found.not_after):
        assert found.holds_at(at) and built(at=at).anchor == found.anchor
    for at in (found.not_before - 1, found.not_after + 1):
        assert not found.holds_at(at)
        assert untrusted(at=at)


def test_a_path_to_another_maker_is_none() -> None:
    assert untrusted(anchors=chain(KEY, maker="other").anchors())
    assert untrusted(intermediates=())
    assert untrusted(intermediates=authorities("other"))


def test_an_anchor_of_the_same_name_and_another_key_is_none() -> None:
    forged = certificate("maker", extensions=CA, key=KEY, issuer_key=KEY)
    assert untrusted(anchors=from_der([forged], anchor_class=AnchorClass.TEE))


def test_an_operators_own_intermediate_completes_a_path() -> None:
    anchors = AnchorSet(anchors=GOOD.anchors().anchors, intermediates=(MIDDLE,))
    assert built(intermediates=(), anchors=anchors).anchor.name == "CN=maker"


def test_too_many_intermediates_are_not_even_read() -> None:
    assert "5 intermediate" in untrusted(intermediates=[b"x"] * 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"extensions": LEAF[:1]},
        {"extensions": (LEAF[0], (key_usage(certify=True), True))},
        {"extensions": CA},
        {"extensions": (CA[0], LEAF[1])},
        {"not_after": NOW - 1},
        {"not_before": NOW + 1},
        {"issuer_key": KEY},
    ],
    ids=["no usage", "other usage", "CA", "CA that signs", "ended", "not begun", "forged"],
)
def test_a_leaf_that_is_not_one_is_refused(changes: dict[str, Any]) -> None:
    assert untrusted(leaf=leaf(**changes))


@pytest.mark.parametrize(
    "extensions",
    [
        CA[1:],
        CA[:1],
        (CA[0], (key_usage(sign=True), True)),
        LEAF,
        (),
    ],
    ids=["no constraints", "no usage", "other usage", "a leaf", "nothing"],
)
def test_a_ca_that_is_not_one_is_refused(extensions: Any) -> None:
    middle = certificate("maker's CA", issuer="maker", extensions=extensions)
    assert untrusted(intermediates=[middle])


def test_a_path_length_is_kept() -> None:
    short = (x509.BasicConstraints(ca=True, path_length=0), True)
    first = certificate("first", issuer="maker", extensions=(short, CA[1]))
    second = certificate("second", issuer="first", extensions=CA)
    last = certificate("last", issuer="second", key=KEY)
    assert untrusted(leaf=last, intermediates=[first, second])


def test_a_weak_hash_or_key_is_refused() -> None:
    small = curve_key("small", ec.SECP192R1)
    assert "weak" in untrusted(leaf=chain(small).leaf)
    middle = certificate("maker's CA", issuer="maker", key=small, extensions=CA)
    last = certificate("last", issuer="maker's CA", issuer_key=small, key=KEY)
    assert untrusted(leaf=last, intermediates=[middle])
    assert untrusted(leaf=leaf(hash_algorithm=hashes.SHA224()))


def test_a_leaf_with_a_key_that_is_on_no_curve_is_refused() -> None:
    key: Any = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    assert "another type" in untrusted(leaf=chain(key).leaf)


def test_bytes_that_are_no_certificate_are_refused() -> None:
    version = GOOD.leaf.index(bytes.fromhex("a003020102"))
    unknown = GOOD.leaf[: version + 4] + b"\x09" + GOOD.leaf[version + 5 :]
    for bad in (b"", b"\x30\x00", GOOD.leaf[:-1], GOOD.leaf + b"\x00", unknown):
        assert untrusted(leaf=bad)
        assert untrusted(intermediates=[bad])


def test_no_changed_byte_of_a_leaf_is_trusted_or_an_accident() -> None:
    for at in range(len(GOOD.leaf)):
        bent = GOOD.leaf[:at] + bytes([GOOD.leaf[at] ^ 0x21]) + GOOD.leaf[at + 1 :]
        assert untrusted(leaf=bent)


def test_the_leaf_is_der() -> None:
    assert x509.load_der_x509_certificate(GOOD.leaf).public_bytes(Encoding.DER) == GOOD.leaf
