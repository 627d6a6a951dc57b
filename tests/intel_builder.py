"""Intel's certificates, lists and collateral, by no Intel: the root is the tests' own."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.codec.der import INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, encode_element
from keystead.codec.pck import SGX_EXTENSION
from keystead.model import AnchorClass
from tests.device_chains import DAY_S, NOW, YEAR_S, curve_key

FMSPC, OTHER_FMSPC = "b0c06f000000", "00806f050000"
ROOT, PCK_CA, SIGNER = "Test SGX Root CA", "Test SGX PCK Platform CA", "Intel SGX TCB Signing"
QE_SIGNER = b"\xdc" * 32
SVNS = (2, 2, 2, 2, 3, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)


def key(name: str) -> ec.EllipticCurvePrivateKey:
    return curve_key(name, ec.SECP256R1)


def sign(said: bytes, signer: str) -> bytes:
    """r and s, 32 bytes each."""
    r, s = decode_dss_signature(key(signer).sign(said, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def pck_extension(
    *, fmspc: str = FMSPC, pce_id: str = "0000", pce_svn: int = 11, svns: Sequence[int] = SVNS
) -> bytes:
    """Intel's extension of a PCK certificate."""
    tcb = [_pair(f"2.{at}", INTEGER, _number(svn)) for at, svn in enumerate(svns, start=1)]
    tcb.append(_pair("2.17", INTEGER, _number(pce_svn)))
    tcb.append(_pair("2.18", OCTET_STRING, bytes(svns)))
    pairs = (
        _pair("1", OCTET_STRING, b"\x99" * 16),
        _pair("2", SEQUENCE, b"".join(tcb)),
        _pair("3", OCTET_STRING, bytes.fromhex(pce_id)),
        _pair("4", OCTET_STRING, bytes.fromhex(fmspc)),
        _pair("5", 0x0A, b"\x01"),
    )
    return encode_element(SEQUENCE, b"".join(pairs))


def certificate(
    name: str,
    issuer: str,
    *,
    authority: bool = False,
    signer: str | None = None,
    serial: int = 7,
    not_before: int = NOW - YEAR_S,
    not_after: int = NOW + YEAR_S,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    usage: x509.KeyUsage | None = None,
    hash_algorithm: Any = None,
    public_key: Any = None,
) -> x509.Certificate:
    """A certificate by ``issuer``; ``signer`` is whose key signs it, if another's."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public_key or key(name).public_key())
        .serial_number(serial)
        .not_valid_before(_time(not_before))
        .not_valid_after(_time(not_after))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage or key_usage(authority=authority), critical=True)
    )
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key(signer or issuer), hash_algorithm or SHA256())


def key_usage(
    *,
    authority: bool = False,
    certify: bool | None = None,
    lists: bool | None = None,
    sign: bool | None = None,
) -> x509.KeyUsage:
    """As Intel's CAs and leaves have it, unless told otherwise."""
    return x509.KeyUsage(
        digital_signature=not authority if sign is None else sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority if certify is None else certify,
        crl_sign=authority if lists is None else lists,
        encipher_only=False,
        decipher_only=False,
    )


def pck(extension: bytes | None = None, **changes: Any) -> x509.Certificate:
    """The platform's certificate; ``changes`` go to ``certificate``."""
    said = pck_extension() if extension is None else extension
    oid = x509.ObjectIdentifier(SGX_EXTENSION)
    more = ((x509.UnrecognizedExtension(oid, said), False), *changes.pop("more", ()))
    return certificate("PCK", changes.pop("issuer", PCK_CA), more=more, **changes)


@functools.cache
def root() -> x509.Certificate:
    return certificate(ROOT, ROOT, authority=True, serial=1)


@functools.cache
def pck_ca() -> x509.Certificate:
    return certificate(PCK_CA, ROOT, authority=True, serial=2)


@functools.cache
def tcb_signer() -> x509.Certificate:
    return certificate(SIGNER, ROOT, serial=3)


def pem(*chain: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def pck_chain(leaf: x509.Certificate | None = None) -> bytes:
    return pem(leaf or pck(), pck_ca(), root())


def revocation_list(
    issuer: str,
    *,
    serials: Sequence[int] = (),
    signer: str | None = None,
    this_update: int = NOW - DAY_S,
    next_update: int = NOW + DAY_S,
    hash_algorithm: Any = None,
) -> bytes:
    """A CRL in DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(_time(this_update))
        .next_update(_time(next_update))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key()), False
        )
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(
            revoked.revocation_date(_time(this_update)).build()
        )
    made = builder.sign(key(signer or issuer), hash_algorithm or SHA256())
    return made.public_bytes(Encoding.DER)


def isv_level(isvsvn: int, status: str = "UpToDate", *advisories: str) -> dict[str, Any]:
    return {
        "tcb": {"isvsvn": isvsvn},
        "tcbDate": "2025-01-01T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


def level(
    status: str = "UpToDate",
    *advisories: str,
    svns: Sequence[int] = SVNS,
    pce_svn: int = 11,
    tdx_svns: Sequence[int] = (5, 0, 2, *(0,) * 13),
) -> dict[str, Any]:
    """One level of TCB info."""
    return {
        "tcb": {
            "sgxtcbcomponents": [{"svn": each} for each in svns],
            "pcesvn": pce_svn,
            "tdxtcbcomponents": [{"svn": each} for each in tdx_svns],
        },
        "tcbDate": "2025-01-01T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


def module(name: str = "TDX_01", *levels: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A module's identity, with an ``id`` where it has a name."""
    said: dict[str, Any] = {"id": name} if name else {}
    said |= {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    if name:
        said["tcbLevels"] = list(levels or (isv_level(4), isv_level(2, "OutOfDate")))
    return said | changes


def tcb_info(**changes: Any) -> bytes:
    """TCB info's JSON; ``changes`` replace its members, None leaves one out."""
    said: dict[str, Any] = {
        "id": "TDX",
        "version": 3,
        "issueDate": text_time(NOW - DAY_S),
        "nextUpdate": text_time(NOW + DAY_S),
        "fmspc": FMSPC.upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 17,
        "tdxModule": module(""),
        "tdxModuleIdentities": [module("TDX_03", isv_level(3)), module()],
        "tcbLevels": [level(), level("OutOfDate", "INTEL-SA-00837", pce_svn=5)],
    }
    return _json(said | changes)


def qe_identity(**changes: Any) -> bytes:
    """The quoting enclave's identity, likewise."""
    said: dict[str, Any] = {
        "id": "TD_QE",
        "version": 2,
        "issueDate": text_time(NOW - DAY_S),
        "nextUpdate": text_time(NOW + DAY_S),
        "tcbEvaluationDataNumber": 18,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11" + "00" * 15,
        "attributesMask": "FB" + "FF" * 7 + "00" * 8,
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2,
        "tcbLevels": [isv_level(4), isv_level(2, "OutOfDate")],
    }
    return _json(said | changes)


def collateral(
    *,
    info: bytes | None = None,
    identity: bytes | None = None,
    info_signer: str = SIGNER,
    identity_signer: str = SIGNER,
    **members: Any,
) -> dict[str, Any]:
    """The collateral's members; ``members`` replace them, None leaves one out."""
    said = tcb_info() if info is None else info
    named = qe_identity() if identity is None else identity
    signers = pem(tcb_signer(), root()).decode()
    made: dict[str, Any] = {
        "pck_crl_issuer_chain": pem(pck_ca(), root()).decode(),
        "root_ca_crl": revocation_list(ROOT).hex(),
        "pck_crl": revocation_list(PCK_CA).hex(),
        "tcb_info_issuer_chain": signers,
        "tcb_info": said.decode(),
        "tcb_info_signature": sign(said, info_signer).hex(),
        "qe_identity_issuer_chain": signers,
        "qe_identity": named.decode(),
        "qe_identity_signature": sign(named, identity_signer).hex(),
    }
    return {name: value for name, value in (made | members).items() if value is not None}


@functools.cache
def anchors(anchor_class: AnchorClass = AnchorClass.TEE) -> AnchorSet:
    """The maker's root."""
    return from_der([root().public_bytes(Encoding.DER)], anchor_class=anchor_class)


def text_time(at: int) -> str:
    return _time(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(members: Mapping[str, Any]) -> bytes:
    said = {name: value for name, value in members.items() if value is not None}
    return json.dumps(said, separators=(",", ":")).encode()


def _pair(number: str, tag: int, content: bytes) -> bytes:
    oid = x509.ObjectIdentifier(f"{SGX_EXTENSION}.{number}")
    return encode_element(SEQUENCE, _oid(oid.dotted_string) + encode_element(tag, content))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(each) for each in dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.insert(0, 0x80 | arc & 0x7F)
        content += bytes(octets)
    return encode_element(OBJECT_IDENTIFIER, content)


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _time(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
