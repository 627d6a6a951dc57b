"""A TPM made of software keys, and the evidence it gives: good, or wrong in one place.

host = Host.make("p256")
members = host.members(nonce=NONCE)                 # evidence of kind tpm2, as JSON
appraise(parsed(members), policy=policy(host), nonce=NONCE, now=NOW)
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keystead.appraisal import anchors, chain_cache, event_rules, policy
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    ObjectAttributes,
    PcrSelection,
    PcrValues,
    PublicArea,
    encode_tpm2b,
    parse_tpm2b_public,
    parse_tpmt_public,
    pcr_composite_digest,
    signing_key_template,
)
from keystead.codec.tpm2.primitives import u16, u32, u64
from keystead.codec.tpm2.templates import (
    EK_HIGH_P384,
    EK_P256,
    EK_RSA_2048,
    EccShape,
    PublicTemplate,
    RsaShape,
)
from keystead.evidence import envelope, tpm2
from keystead.evidence.envelope import Submission
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.jose.jwk import PublicJwk, from_public_key
from keystead.model import AnchorClass, EvidenceKind
from keystead.ports import Attestation, Endorsement

NOW = 1_800_000_000
DAY_S = 86_400
NONCE = bytes(range(32))
OTHER_NONCE = bytes(32)
SHA256 = HashAlgorithm.SHA256
SHA384 = HashAlgorithm.SHA384
REQUIRED = PcrSelection.of({SHA256: [0, 7]})
PCRS: PcrValues = {SHA256: {0: b"\x11" * 32, 7: b"\x77" * 32}}
TCG_KP_EK_CERTIFICATE = "2.23.133.8.1"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
QUOTE_TYPE = 0x8018
CERTIFY_TYPE = 0x8017


class Dice:
    """Entropy that can be repeated: no two draws alike."""

    def __init__(self, seed: bytes = b"dice") -> None:
        self._state = seed

    def token(self, size_bytes: int) -> bytes:
        self._state = hashlib.sha256(self._state).digest()
        return hashlib.shake_256(self._state).digest(size_bytes)


@cache
def private_key(kind: str, name: str) -> PrivateKey:
    """The key called ``name``, the same for one run: ``p256``, ``p384`` or ``rsa2048``."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65_537, key_size=int(kind[3:]))
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


# --- certificates ---------------------------------------------------------------------------------


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def name(common_name: str) -> x509.Name:
    """EK certificates mostly have an empty subject: the TPM stands in subjectAltName."""
    if not common_name:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def usage(
    *, sign: bool = False, encipher: bool = False, agree: bool = False, ca: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=agree,
        key_cert_sign=ca,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def certificate(
    subject: str,
    key: PrivateKey,
    *,
    issuer: str,
    issuer_key: PrivateKey,
    extensions: list[tuple[x509.ExtensionType, bool]],
    not_before: int = NOW - DAY_S,
    not_after: int = NOW + DAY_S,
    digest: Any = None,
) -> bytes:
    """A certificate with exactly these (extension, critical) pairs, in DER."""
    builder = x509.CertificateBuilder(
        subject_name=name(subject),
        issuer_name=name(issuer),
        public_key=key.public_key(),
        serial_number=1 + int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big"),
        not_valid_before=moment(not_before),
        not_valid_after=moment(not_after),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    fixed = True if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    made = builder.sign(issuer_key, digest or hashes.SHA256(), ecdsa_deterministic=fixed)
    return made.public_bytes(Encoding.DER)


def ca_extensions(path_length: int | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage(ca=True), True),
    ]


def ek_extensions(kind: str) -> list[tuple[x509.ExtensionType, bool]]:
    key_usage = usage(encipher=True) if kind.startswith("rsa") else usage(agree=True)
    purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(TCG_KP_EK_CERTIFICATE)])
    tpm = x509.DirectoryName(
        x509.Name(
            [
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:00001014"),
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.2"), "model"),
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.3"), "id:00000001"),
            ]
        )
    )
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage, True),
        (purpose, False),
        (x509.SubjectAlternativeName([tpm]), True),
    ]


def root(name: str = "root") -> bytes:
    key = private_key("p256", name)
    extensions = ca_extensions()
    return certificate(name, key, issuer=name, issuer_key=key, extensions=extensions)


def intermediate(name: str = "maker", *, root_name: str = "root") -> bytes:
    return certificate(
        name,
        private_key("p256", name),
        issuer=root_name,
        issuer_key=private_key("p256", root_name),
        extensions=ca_extensions(path_length=0),
    )


def ek_certificate(kind: str, key: PrivateKey, **changes: Any) -> bytes:
    """An EK's certificate by the intermediate; ``changes`` are arguments of ``certificate``."""
    wanted: dict[str, Any] = {
        "issuer": "maker",
        "issuer_key": private_key("p256", "maker"),
        "extensions": ek_extensions(kind),
    }
    return certificate("", key, **(wanted | changes))


def anchor_set(
    anchor_class: AnchorClass = AnchorClass.TPM, *, name: str = "root"
) -> anchors.AnchorSet:
    return anchors.from_der([root(name)], anchor_class=anchor_class)


# --- public areas ---------------------------------------------------------------------------------


def area(template: PublicTemplate, key: PrivateKey, **head: Any) -> PublicArea:
    """The public area of ``key`` made from ``template``; ``head`` changes what stands before it."""
    numbers = key.public_key().public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers) and isinstance(template.shape, RsaShape):
        size = template.shape.bits // 8
        filled: PublicTemplate = replace(
            template, shape=replace(template.shape, unique=numbers.n.to_bytes(size, "big"))
        )
    elif isinstance(numbers, ec.EllipticCurvePublicNumbers) and isinstance(
        template.shape, EccShape
    ):
        size = template.shape.curve.coordinate_bytes
        x, y = (number.to_bytes(size, "big") for number in (numbers.x, numbers.y))
        filled = replace(template, shape=replace(template.shape, unique_x=x, unique_y=y))
    else:
        raise AssertionError("a key of another type than the template's")
    return parse_tpmt_public(replace(filled, head=replace(filled.head, **head)).encode())


def with_attributes(
    area: PublicArea, *, add: ObjectAttributes | int = 0, drop: ObjectAttributes | int = 0
) -> PublicArea:
    """The same area with other attributes: they are four bytes behind type and nameAlg."""
    changed = (int(area.attributes) | int(add)) & ~int(drop)
    return parse_tpmt_public(area.raw[:4] + u32(changed) + area.raw[8:])


EK_TEMPLATES = {"p256": EK_P256, "p384": EK_HIGH_P384, "rsa2048": EK_RSA_2048}
ALGORITHMS = {"p256": "ES256", "rsa2048": "RS256"}


# --- what a TPM signs -----------------------------------------------------------------------------


def attest(
    kind: int,
    body: bytes,
    *,
    nonce: bytes,
    magic: int = 0xFF544347,
    reset_count: int = 3,
    restart_count: int = 1,
) -> bytes:
    """A TPMS_ATTEST."""
    clock = u64(123_456) + u32(reset_count) + u32(restart_count) + b"\x01"
    head = u32(magic) + u16(kind) + encode_tpm2b(b"\x00\x0b" + b"\xaa" * 32)
    return head + encode_tpm2b(nonce) + clock + u64(0x2020) + body


def quote_body(
    selection: PcrSelection = REQUIRED,
    values: PcrValues = PCRS,
    *,
    algorithm: HashAlgorithm = SHA256,
) -> bytes:
    digest = pcr_composite_digest(selection, values, algorithm=algorithm)
    return selection.encode() + encode_tpm2b(digest)


def certify_body(object_name: bytes) -> bytes:
    return encode_tpm2b(object_name) + encode_tpm2b(b"\x00\x0b" + b"\xbb" * 32)


def signature(key: PrivateKey, message: bytes) -> bytes:
    """A TPMT_SIGNATURE over SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return u16(0x0014) + u16(0x000B) + encode_tpm2b(value)
    r, s = decode_dss_signature(
        key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    )
    size = (key.curve.key_size + 7) // 8
    parts = (encode_tpm2b(number.to_bytes(size, "big")) for number in (r, s))
    return u16(0x0018) + u16(0x000B) + b"".join(parts)


def signed(key: PrivateKey, message: bytes) -> Attestation:
    return Attestation(attest=message, signature=signature(key, message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine's TPM: an EK, an AK, and the key of a workload."""

    ek_kind: str
    ek_key: PrivateKey
    ek: PublicArea
    ek_certificate: bytes | None
    ak_key: PrivateKey
    ak: PublicArea
    key: PrivateKey
    key_area: PublicArea

    @classmethod
    def make(
        cls,
        ek_kind: str = "p256",
        ak_kind: str = "p256",
        *,
        name: str = "host",
        policy: bytes = b"",
    ) -> "Host":
        """A host called ``name``; ``policy`` is the authPolicy of the workload's key."""
        ek_key = private_key(ek_kind, f"{name}-ek")
        ak_key = private_key(ak_kind, f"{name}-ak")
        key = private_key("p256", f"{name}-key")
        ak_template = signing_key_template(ALGORITHMS[ak_kind], restricted=True)
        key_template = signing_key_template("ES256", restricted=False, auth_policy=policy)
        return cls(
            ek_kind=ek_kind,
            ek_key=ek_key,
            ek=area(EK_TEMPLATES[ek_kind], ek_key),
            ek_certificate=ek_certificate(ek_kind, ek_key),
            ak_key=ak_key,
            ak=area(ak_template, ak_key),
            key=key,
            key_area=area(key_template, key),
        )

    @property
    def jwk(self) -> PublicJwk:
        return from_public_key(self.key.public_key())

    def quote(
        self,
        *,
        nonce: bytes = NONCE,
        body: bytes | None = None,
        kind: int = QUOTE_TYPE,
        **head: int,
    ) -> Attestation:
        message = attest(kind, quote_body() if body is None else body, nonce=nonce, **head)
        return signed(self.ak_key, message)

    def certify(
        self, *, nonce: bytes = NONCE, of: PublicArea | None = None, **changes: Any
    ) -> Attestation:
        body = certify_body((of or self.key_area).name)
        message = attest(CERTIFY_TYPE, changes.get("body", body), nonce=nonce)
        return signed(changes.get("by", self.ak_key), message)

    def members(
        self, *, nonce: bytes = NONCE, pcrs: PcrValues = PCRS, **changes: Any
    ) -> dict[str, Any]:
        """Good evidence as JSON members; ``changes`` replace arguments of ``tpm2.encode``."""
        endorsement = Endorsement(
            public=self.ek.sized, certificate=self.ek_certificate, chain=(intermediate(),)
        )
        wanted: dict[str, Any] = {
            "endorsement": endorsement,
            "ak_public": self.ak.sized,
            "quote": self.quote(nonce=nonce),
            "pcrs": pcrs,
            "certify": self.certify(nonce=nonce),
            "key_public": self.key_area.sized,
        }
        return dict(tpm2.encode(**(wanted | changes)))

    def evidence(self, *, nonce: bytes | None = NONCE, **changes: Any) -> Tpm2Evidence:
        """The same, parsed, in an envelope with its nonce and key."""
        made = self.members(nonce=NONCE if nonce is None else nonce, **changes)
        return parsed(made, nonce=nonce, key=self.jwk)

    def activate(
        self, blob: bytes, encrypted_secret: bytes, *, ak_name: bytes | None = None
    ) -> bytes:
        """TPM2_ActivateCredential, written from the other side (Part 1 §24 and Annexes B, C)."""
        return activate(
            self.ek, self.ek_key, ak_name or self.ak.name, blob=blob, secret=encrypted_secret
        )


def parsed(
    members: Mapping[str, Any], *, nonce: bytes | None = NONCE, key: PublicJwk | None = None
) -> Tpm2Evidence:
    return tpm2.parse(
        Submission(kind=EvidenceKind.TPM2, nonce=nonce, key=key, evidence=dict(members))
    )


def document(host: Host, *, nonce: bytes = NONCE, **changes: Any) -> bytes:
    """A whole envelope."""
    return envelope.encode_envelope(
        kind=EvidenceKind.TPM2,
        nonce=nonce,
        key=host.jwk,
        evidence=host.members(nonce=nonce, **changes),
    )


def rules(**changes: Any) -> policy.Tpm2Policy:
    """A policy for what ``Host`` shows; ``changes`` are ``anchors``, or fields of Tpm2Policy."""
    wanted: dict[str, Any] = {
        "chains": chain_cache.TpmChainCache(changes.pop("anchors", None) or anchor_set()),
        "allowed_anchor_classes": frozenset(AnchorClass),
        "required_pcrs": REQUIRED,
        "pcr_values": {SHA256: {0: frozenset({PCRS[SHA256][0]}), 7: None}},
        "event_log": event_rules.EventLogRules(required=False, pcrs=frozenset()),
    }
    return policy.Tpm2Policy(**(wanted | changes))


def appraisal_policy(**changes: Any) -> policy.AppraisalPolicy:
    return policy.AppraisalPolicy(id="test", version=3, tpm2=rules(**changes))


# --- TPM2_ActivateCredential ----------------------------------------------------------------------


def activate(
    ek: PublicArea, key: PrivateKey, ak_name: bytes, *, blob: bytes, secret: bytes
) -> bytes:
    """The credential's secret; ValueError where it was made for another EK or Name."""
    algorithm = ek.name_algorithm.digest_name
    size = ek.name_algorithm.digest_size
    seed = _recover_seed(key, algorithm, secret[2:])
    assert ek.symmetric is not None
    content = blob[2:]
    mac, identity = content[2 : 2 + size], content[2 + size :]
    mac_key = _kdfa(algorithm, seed, b"INTEGRITY", b"", size)
    if hmac.new(mac_key, identity + ak_name, algorithm).digest() != mac:
        raise ValueError("integrity")
    aes = _kdfa(algorithm, seed, b"STORAGE", ak_name, ek.symmetric.key_bits // 8)
    decryptor = Cipher(AES(aes), CFB(bytes(16))).decryptor()
    plain = decryptor.update(identity) + decryptor.finalize()
    if int.from_bytes(plain[:2], "big") != len(plain) - 2:
        raise ValueError("size")
    return plain[2:]


def _recover_seed(key: PrivateKey, algorithm: str, secret: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        chosen = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[algorithm]
        return key.decrypt(secret, padding.OAEP(padding.MGF1(chosen), chosen, b"IDENTITY\0"))
    size = (key.curve.key_size + 7) // 8
    x, y = secret[2 : 2 + size], secret[4 + size :]
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), key.curve
    ).public_key()
    own = key.public_key().public_numbers().x.to_bytes(size, "big")
    shared = key.exchange(ec.ECDH(), point)
    return hashlib.new(algorithm, u32(1) + shared + b"IDENTITY\0" + x + own).digest()


def _kdfa(algorithm: str, key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    block = u32(1) + label + b"\0" + context + u32(size * 8)
    made = hmac.new(key, block, algorithm).digest()
    assert len(made) >= size
    return made[:size]


def reparse(area: PublicArea) -> PublicArea:
    """Through the wire form, as evidence would bring it."""
    return parse_tpm2b_public(area.sized)
