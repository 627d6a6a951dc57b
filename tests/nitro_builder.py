"""Attestation documents as a Nitro Secure Module makes them, under a root that is not AWS's."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from keystead.appraisal.aws_nitro_policy import NitroPolicy
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.codec import cbor
from keystead.codec.nitro import DocumentType, parse_document
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.model import AnchorClass
from tests.device_chains import NOW, Chain, chain, curve_key

NONCE = b"\x4e" * 32
PCRS = {0: b"\x10" * 48, 1: b"\x11" * 48, 2: b"\x12" * 48, 8: b"\x18" * 48}
PROTECTED = bytes.fromhex("a1013822")


def sign1(
    payload: bytes,
    *,
    key: ec.EllipticCurvePrivateKey,
    protected: bytes = PROTECTED,
    unprotected: Any = None,
) -> bytes:
    """A COSE_Sign1 by ES384."""
    signed = cbor.encode(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(SHA384())))
    signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    return cbor.encode([protected, unprotected or {}, payload, signature])


@dataclass(frozen=True)
class Enclave:
    """One enclave: its chain, and what its module says unless told otherwise."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: curve_key("enclave"))
    maker: str = "maker"
    leaf: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def chain(self) -> Chain:
        return chain(self.key, maker=self.maker, **self.leaf)

    def members(self, **changes: Any) -> dict[str, Any]:
        """The payload's members; ``...`` leaves one out."""
        made = self.chain
        members: dict[str, Any] = {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": NOW * 1_000 + 405,
            "pcrs": PCRS,
            "certificate": made.leaf,
            "cabundle": list(made.bundle),
            "public_key": None,
            "user_data": None,
            "nonce": NONCE,
        }
        members |= changes
        return {name: value for name, value in members.items() if value is not ...}

    def document(self, **changes: Any) -> bytes:
        return sign1(cbor.encode(self.members(**changes)), key=self.key)

    def evidence(self, *, envelope_nonce: bytes | None = None, **changes: Any) -> NitroEvidence:
        document = parse_document(self.document(**changes))
        return NitroEvidence(nonce=envelope_nonce, key=None, document=document)

    def policy(
        self, anchor_class: AnchorClass = AnchorClass.TEE, **changes: Any
    ) -> AppraisalPolicy:
        """A policy that trusts this maker."""
        wanted: dict[str, Any] = {
            "document": DocumentType.ENCLAVE,
            "pcrs": {0: None},
            "chains": ChainCache(self.chain.anchors(anchor_class)),
        }
        rules = NitroPolicy(**(wanted | changes))
        return AppraisalPolicy(id="test", version=3, aws_nitro=rules)
