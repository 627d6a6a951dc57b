from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.appraisal.anchors import from_der
from keystead.appraisal.chain import MAX_PATH_CERTIFICATES, verify_chain
from keystead.errors import EvidenceRejected, Reason
from keystead.model import AnchorClass
from tests.evidence_builder import (
    DAY_S,
    NOW,
    anchor_set,
    ca_extensions,
    certificate,
    ek_certificate,
    ek_extensions,
    intermediate,
    private_key,
    root,
)

LEAF_KEY = private_key("p256", "leaf")
LEAF = ek_certificate("p256", LEAF_KEY)


def untrusted(leaf: bytes = LEAF, **arguments: Any) -> str:
    wanted: dict[str, Any] = {
        "intermediates": [intermediate()],
        "anchors": anchor_set(),
        "now": NOW,
        "step": 2,
    }
    with pytest.raises(EvidenceRejected) as refused:
        verify_chain(leaf, **(wanted | arguments))
    assert (refused.value.reason, refused.value.step) == (Reason.EK_CHAIN_UNTRUSTED, 2)
    return refused.value.detail


def ca(name: str, *, by: str, extensions: Any = None, **changes: Any) -> bytes:
    return certificate(
        name,
        changes.pop("key", private_key("p256", name)),
        issuer=by,
        issuer_key=private_key("p256", by),
        extensions=ca_extensions() if extensions is None else extensions,
        **changes,
    )


def leaf_by(name: str, **changes: Any) -> bytes:
    return ek_certificate(
        "p256", LEAF_KEY, issuer=name, issuer_key=private_key("p256", name), **changes
    )


def test_finds_the_anchor_and_its_class() -> None:
    anchor = verify_chain(
        LEAF, intermediates=[intermediate()], anchors=anchor_set(AnchorClass.TPM), now=NOW
    )
    assert (anchor.der, anchor.anchor_class) == (root(), AnchorClass.TPM)
    assert anchor.name == "CN=root"


def test_takes_intermediates_from_the_policys_folder() -> None:
    anchors = from_der([root(), intermediate()], anchor_class=AnchorClass.TPM)
    assert len(anchors.anchors) == 1
    assert verify_chain(LEAF, intermediates=(), anchors=anchors, now=NOW).der == root()


def test_ignores_certificates_that_have_nothing_to_do_with_it() -> None:
    helpers = [root("stranger"), intermediate("x", root_name="stranger"), intermediate()]
    assert verify_chain(LEAF, intermediates=helpers, anchors=anchor_set(), now=NOW).der == root()


def test_an_intermediate_is_never_an_anchor() -> None:
    alone = from_der([intermediate()], anchor_class=AnchorClass.TPM)
    assert alone.anchors == ()
    assert "issuer" in untrusted(anchors=alone)


def test_rejects_a_leaf_that_is_itself_the_anchor() -> None:
    key = private_key("p256", "self")
    own = certificate("self", key, issuer="self", issuer_key=key, extensions=ek_extensions("p256"))
    anchors = from_der([own], anchor_class=AnchorClass.TPM)
    assert "path of 1" in untrusted(own, anchors=anchors)


def test_rejects_a_root_of_the_same_name_and_another_key() -> None:
    key = private_key("p256", "impostor")
    twin = certificate("root", key, issuer="root", issuer_key=key, extensions=ca_extensions())
    untrusted(anchors=from_der([twin], anchor_class=AnchorClass.TPM))


def test_rejects_a_path_through_something_that_is_no_ca() -> None:
    no_ca = ca("maker2", by="root", extensions=ek_extensions("p256"))
    untrusted(leaf_by("maker2"), intermediates=[no_ca])


def test_rejects_a_ca_without_basic_constraints() -> None:
    bare = ca("maker3", by="root", extensions=[])
    untrusted(leaf_by("maker3"), intermediates=[bare])


def test_rejects_a_path_longer_than_a_ca_allows() -> None:
    below = ca("below", by="maker")  # the maker's pathLenConstraint is 0
    untrusted(leaf_by("below"), intermediates=[intermediate(), below])


def test_rejects_a_path_longer_than_the_bound() -> None:
    names = ["root", *(f"ca{number}" for number in range(MAX_PATH_CERTIFICATES - 1))]
    links = [ca(name, by=by) for by, name in pairwise(names)]
    inside = links[:-1]
    assert verify_chain(
        leaf_by(names[-2]), intermediates=inside, anchors=anchor_set(), now=NOW
    ).name
    assert "path of" in untrusted(leaf_by(names[-1]), intermediates=links)


def test_rejects_an_unknown_critical_extension() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    untrusted(ek_certificate("p256", LEAF_KEY, extensions=[*ek_extensions("p256"), (odd, True)]))
    fine = ek_certificate("p256", LEAF_KEY, extensions=[*ek_extensions("p256"), (odd, False)])
    assert verify_chain(fine, intermediates=[intermediate()], anchors=anchor_set(), now=NOW).name


@pytest.mark.parametrize(
    "times",
    [
        {"not_after": NOW - 1},
        {"not_before": NOW + 1},
    ],
)
def test_rejects_a_leaf_or_ca_outside_its_time(times: dict[str, int]) -> None:
    untrusted(ek_certificate("p256", LEAF_KEY, **times))
    untrusted(leaf_by("old"), intermediates=[ca("old", by="root", **times)])


def test_time_is_an_argument_in_unix_seconds() -> None:
    leaf = ek_certificate("p256", LEAF_KEY, not_before=NOW - 10, not_after=NOW + 10)
    for now in (NOW - 10, NOW + 10):
        assert verify_chain(leaf, intermediates=[intermediate()], anchors=anchor_set(), now=now)
    untrusted(leaf, now=NOW - 11)
    untrusted(leaf, now=NOW + 11)
    assert datetime.fromtimestamp(NOW + DAY_S, UTC).year == 2027


def test_rejects_a_weak_hash_below_the_root() -> None:
    weak = ek_certificate("p256", LEAF_KEY, digest=hashes.SHA224())
    assert "signature algorithm 1.2.840.10045.4.3.1" in untrusted(weak)


def test_rejects_a_small_key_on_the_path() -> None:
    small = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    made = ek_certificate("rsa1024", small)
    assert "1024 bits" in untrusted(made)


@pytest.mark.parametrize("leaf", [b"", b"0", b"\x30\x00", LEAF[:-1], LEAF + b"\0"])
def test_rejects_what_is_no_certificate(leaf: bytes) -> None:
    untrusted(leaf)


def test_a_bent_signature_is_no_signature() -> None:
    untrusted(LEAF[:-1] + bytes([LEAF[-1] ^ 1]))
    maker = intermediate()
    untrusted(intermediates=[maker[:-1] + bytes([maker[-1] ^ 1])])
