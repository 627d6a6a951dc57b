import base64
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from keystead.appraisal.intel_chain import NotInForce, PckPath, SignerPath, pck_path, signer_path
from keystead.appraisal.path import Untrusted
from keystead.appraisal.revocation_lists import Revoked
from tests.device_chains import DAY_S, NOW, YEAR_S, curve_key
from tests.intel_builder import (
    FMSPC,
    PCK_CA,
    ROOT,
    SIGNER,
    anchors,
    certificate,
    key,
    key_usage,
    pck,
    pck_ca,
    pck_chain,
    pck_extension,
    pem,
    revocation_list,
    root,
    tcb_signer,
)

ROOT_CRL, PCK_CRL = revocation_list(ROOT), revocation_list(PCK_CA)


def path(chain: bytes | None = None, **changes: Any) -> PckPath:
    arguments: dict[str, Any] = {
        "root_crl": ROOT_CRL,
        "pck_crl": PCK_CRL,
        "anchors": anchors(),
        "at": NOW,
    }
    return pck_path(pck_chain() if chain is None else chain, **(arguments | changes))


def signer(chain: bytes | None = None, **changes: Any) -> SignerPath:
    arguments: dict[str, Any] = {
        "root_crl": ROOT_CRL,
        "anchor": anchors().anchors[0],
        "at": NOW,
    }
    sent = pem(tcb_signer(), root()) if chain is None else chain
    return signer_path(sent, **(arguments | changes))


def point(name: str) -> bytes:
    public = key(name).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def test_finds_a_platforms_key_and_what_it_is() -> None:
    found = path()
    assert found.point == point("PCK")
    assert (found.tcb.fmspc.hex(), found.anchor) == (FMSPC, anchors().anchors[0])


def test_finds_the_signers_key() -> None:
    assert signer().point == point(SIGNER)


def test_a_zero_after_the_pem_is_no_certificate() -> None:
    assert path(pck_chain() + b"\x00").anchor


@pytest.mark.parametrize(
    "chain",
    [
        lambda: b"",
        lambda: b"-----BEGIN CERTIFICATE-----",
        lambda: pem(pck(), pck_ca()),
        lambda: pem(pck(), root()),
        lambda: pem(pck(), pck_ca(), root(), root()),
        lambda: pem(pck_ca(), pck(), root()),
        lambda: pem(pck(), tcb_signer(), root()),
        lambda: pem(pck(issuer="Another CA"), pck_ca(), root()),
        lambda: pem(pck(signer="Another CA"), pck_ca(), root()),
        lambda: pem(pck(), certificate(PCK_CA, ROOT, authority=True, signer="Mallory"), root()),
        lambda: pem(pck(), pck_ca(), certificate(ROOT, ROOT, authority=True, serial=9)),
        lambda: pem(certificate("PCK", PCK_CA), pck_ca(), root()),
        lambda: pem(pck(pck_extension()[:-1]), pck_ca(), root()),
        lambda: pem(pck(hash_algorithm=SHA384()), pck_ca(), root()),
        lambda: pem(pck(public_key=curve_key("wide").public_key()), pck_ca(), root()),
        lambda: pem(pck(usage=key_usage(sign=False)), pck_ca(), root()),
        lambda: pem(pck(usage=key_usage(certify=True)), pck_ca(), root()),
        lambda: pem(pck(authority=True, usage=key_usage()), pck_ca(), root()),
        lambda: pem(pck(more=((x509.OCSPNoCheck(), True),)), pck_ca(), root()),
    ],
)
def test_refuses_another_chain(chain: Callable[[], bytes]) -> None:
    with pytest.raises(Untrusted) as refused:
        path(chain())
    assert type(refused.value) is Untrusted


@pytest.mark.parametrize(
    "usage",
    [key_usage(authority=True, certify=False), key_usage(authority=True, lists=False)],
    ids=["certificates", "lists"],
)
def test_refuses_a_ca_that_is_not_for_it(usage: x509.KeyUsage) -> None:
    authority = certificate(PCK_CA, ROOT, authority=True, usage=usage)
    with pytest.raises(Untrusted):
        path(pem(pck(), authority, root()))
    leaf = certificate(PCK_CA, ROOT, usage=key_usage(authority=True))
    with pytest.raises(Untrusted):
        path(pem(pck(), leaf, root()))


@pytest.mark.parametrize("who", ["leaf", "authority"])
@pytest.mark.parametrize(
    "window",
    [{"not_after": NOW - 1}, {"not_before": NOW + 1, "not_after": NOW + YEAR_S}],
    ids=["ended", "not begun"],
)
def test_refuses_a_certificate_outside_its_time(who: str, window: dict[str, int]) -> None:
    leaf = pck(**window) if who == "leaf" else pck()
    authority = certificate(PCK_CA, ROOT, authority=True, **(window if who != "leaf" else {}))
    with pytest.raises(Untrusted):
        path(pem(leaf, authority, root()))


def test_the_root_has_its_time_too() -> None:
    with pytest.raises(Untrusted):
        path(at=NOW + 2 * YEAR_S)


def test_refuses_a_root_that_is_no_anchor() -> None:
    nobody = type(anchors())(anchors=())
    with pytest.raises(Untrusted, match="anchor"):
        path(anchors=nobody)


@pytest.mark.parametrize(
    ("name", "issuer", "serial"), [("pck_crl", PCK_CA, 7), ("root_crl", ROOT, 2)]
)
def test_refuses_what_a_list_names(name: str, issuer: str, serial: int) -> None:
    with pytest.raises(Revoked):
        path(**{name: revocation_list(issuer, serials=[5, serial])})
    assert path(**{name: revocation_list(issuer, serials=[5, serial + 1])})


@pytest.mark.parametrize(("name", "issuer"), [("pck_crl", PCK_CA), ("root_crl", ROOT)])
def test_refuses_a_list_that_is_not_in_force(name: str, issuer: str) -> None:
    for window in ({"next_update": NOW - 1}, {"this_update": NOW + 1}):
        with pytest.raises(NotInForce):
            path(**{name: revocation_list(issuer, **window)})
    for window in ({"next_update": NOW}, {"this_update": NOW}):
        assert path(**{name: revocation_list(issuer, **window)})


@pytest.mark.parametrize(("name", "issuer"), [("pck_crl", PCK_CA), ("root_crl", ROOT)])
def test_refuses_a_list_that_is_not_the_cas(name: str, issuer: str) -> None:
    lists = (
        revocation_list(issuer, signer="Mallory"),
        revocation_list("Another CA", signer=issuer),
        revocation_list(issuer, hash_algorithm=SHA384()),
        revocation_list(ROOT if issuer == PCK_CA else PCK_CA),
        revocation_list(issuer)[:-1],
        b"",
        b"-----BEGIN X509 CRL-----",
    )
    for each in lists:
        with pytest.raises(Untrusted) as refused:
            path(**{name: each})
        assert type(refused.value) is Untrusted


@pytest.mark.parametrize(
    "chain",
    [
        lambda: pck_chain(),
        lambda: pem(tcb_signer(), pck_ca(), root()),
        lambda: pem(tcb_signer()),
        lambda: pem(certificate("Intel SGX Platform", ROOT), root()),
        lambda: pem(certificate(SIGNER, ROOT, signer="Mallory"), root()),
        lambda: pem(certificate(SIGNER, ROOT, authority=True), root()),
        lambda: pem(certificate(SIGNER, ROOT, not_after=NOW - DAY_S), root()),
        lambda: pem(certificate(f"X, CN={SIGNER}, CN=Y", ROOT), root()),
        lambda: b"",
    ],
)
def test_refuses_another_signer(chain: Callable[[], bytes]) -> None:
    with pytest.raises(Untrusted):
        signer(chain())


def test_no_platform_signs_tcb_info() -> None:
    """Its key is in some cloud's machine, and its chain ends at the same root."""
    named = pem(certificate(SIGNER, PCK_CA), pck_ca())
    for chain in (named, named + pem(root()), pem(pck(), pck_ca())):
        with pytest.raises(Untrusted):
            signer(chain)


def test_refuses_a_signer_that_the_roots_list_names() -> None:
    with pytest.raises(Revoked):
        signer(root_crl=revocation_list(ROOT, serials=[3]))


def test_a_key_on_another_curve_signs_nothing() -> None:
    wide = certificate(SIGNER, ROOT, public_key=curve_key("wide").public_key())
    assert isinstance(curve_key("wide").curve, ec.SECP384R1)
    with pytest.raises(Untrusted):
        signer(pem(wide, root()))
    assert root().public_bytes(Encoding.DER) == anchors().anchors[0].der


DERS = [each.public_bytes(Encoding.DER) for each in (pck(), pck_ca(), root())]


def armoured(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


@given(which=st.integers(0, 4), at=st.floats(0, 1), data=st.binary(min_size=1, max_size=8))
def test_nothing_but_untrusted_comes_out(which: int, at: float, data: bytes) -> None:
    """Any byte of a certificate or a list may be another."""
    parts = [*DERS, ROOT_CRL, PCK_CRL]
    place = int(at * len(parts[which]))
    parts[which] = parts[which][:place] + data + parts[which][place + len(data) :]
    chain = b"".join(armoured(der) for der in parts[:3])
    with contextlib.suppress(Untrusted):
        assert path(chain, root_crl=parts[3], pck_crl=parts[4]).anchor
