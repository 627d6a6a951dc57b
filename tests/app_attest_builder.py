"""App Attest objects as a device makes them, under a root that is not Apple's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.app_attest_policy import AppAttestPolicy, Environment
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.codec import cbor
from keystead.codec.app_attest import NONCE_EXTENSION, parse_attestation
from keystead.evidence.app_attest import AppAttestEvidence
from keystead.jose.jwk import PublicJwk, from_public_key
from tests.device_chains import LEAF, Chain, chain, curve_key

APP_ID = "TEAM123456.com.example.app"
CLIENT_DATA = b"\x4e" * 32 + b"\x0b" * 32


def nonce_extension(nonce: bytes) -> tuple[x509.ExtensionType, bool]:
    """Apple's: SEQUENCE { [1] { OCTET STRING } }."""
    value = bytes.fromhex("3024a1220420") + nonce
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(NONCE_EXTENSION), value), False


def attested_nonce(auth_data: bytes, client_data: bytes) -> bytes:
    """What Apple certifies and the key signs."""
    return hashlib.sha256(auth_data + hashlib.sha256(client_data).digest()).digest()


@dataclass(frozen=True)
class Device:
    """One key of one app on one device."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: curve_key("device", ec.SECP256R1)
    )
    environment: Environment = Environment.PRODUCTION

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.point).digest()

    @property
    def jwk(self) -> PublicJwk:
        return from_public_key(self.key.public_key())

    def auth_data(self, **changes: Any) -> bytes:
        """Of an attestation."""
        parts: dict[str, Any] = {
            "app_id": APP_ID,
            "flags": 0x40,
            "counter": 0,
            "aaguid": self.environment.aaguid,
            "credential_id": self.key_id,
            "point": self.point,
        } | changes
        cose = {1: 2, 3: -7, -1: 1, -2: parts["point"][1:33], -3: parts["point"][33:]}
        head = header(parts["app_id"], parts["flags"], parts["counter"])
        length = len(parts["credential_id"]).to_bytes(2, "big")
        return b"".join((head, parts["aaguid"], length, parts["credential_id"], cbor.encode(cose)))

    def chain(self, auth_data: bytes, client_data: bytes, **leaf: Any) -> Chain:
        nonce = nonce_extension(attested_nonce(auth_data, client_data))
        return chain(self.key, **{"extensions": (*LEAF, nonce), **leaf})

    def attestation(
        self, *, client_data: bytes = CLIENT_DATA, leaf: Any = None, **changes: Any
    ) -> bytes:
        auth_data = self.auth_data(**changes)
        made = self.chain(auth_data, client_data, **(leaf or {}))
        statement = {"x5c": [made.leaf, *made.bundle[1:]], "receipt": b"receipt"}
        return cbor.encode({"fmt": "apple-appattest", "attStmt": statement, "authData": auth_data})

    def evidence(
        self, *, client_data: bytes = CLIENT_DATA, envelope_nonce: bytes | None = None, **named: Any
    ) -> AppAttestEvidence:
        return AppAttestEvidence(
            nonce=envelope_nonce,
            key=None,
            attestation=parse_attestation(self.attestation(client_data=client_data, **named)),
            key_id=self.key_id,
            client_data=client_data,
        )

    def policy(self, **changes: Any) -> AppraisalPolicy:
        """A policy that trusts this maker, and this app."""
        wanted: dict[str, Any] = {
            "apps": {hashlib.sha256(APP_ID.encode()).digest(): APP_ID},
            "environment": self.environment,
            "chains": ChainCache(chain(self.key).anchors()),
        }
        rules = AppAttestPolicy(**(wanted | changes))
        return AppraisalPolicy(id="test", version=3, app_attest=rules)

    def assertion(
        self, client_data: bytes, *, counter: int, app_id: str = APP_ID, **changes: Any
    ) -> bytes:
        auth_data = header(app_id, 0x40, counter)
        nonce = attested_nonce(auth_data, client_data)
        signature = self.key.sign(nonce, ec.ECDSA(SHA256()))
        return cbor.encode({"signature": signature, "authenticatorData": auth_data} | changes)


def header(app_id: str, flags: int, counter: int) -> bytes:
    return hashlib.sha256(app_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")
