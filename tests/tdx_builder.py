"""TDX quotes and evidence with them, by no Intel: the root is the tests' own.

No TDX module or quoting enclave takes part: what signs here are keys of this file.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.dcap_memory import DcapMemory
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tdx_policy import CODE, NAMED, TdxPolicy
from keystead.binding.binding_hash import binding_hash, padded
from keystead.codec.hashes import HashAlgorithm
from keystead.evidence import tdx as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.evidence.tdx import TdxEvidence
from keystead.jose.jwk import PublicJwk
from keystead.model import AnchorClass, EvidenceKind
from tests.event_log_builder import EV_ACTION, encode
from tests.intel_builder import QE_SIGNER, anchors, collateral, key, pck_chain, sign

NONCE = b"\x5a" * 32
ISSUER = "https://issuer.example"
MRTD = b"\x4d" * 48
RTMRS = tuple(bytes([0x60 + index]) * 48 for index in range(4))
TEE_TCB_SVN = bytes([6, 1, 3]) + bytes(13)
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SEPT_VE_DISABLE, MIGRATABLE = 1 << 28, 1 << 29

Values = Mapping[str, frozenset[bytes] | None]
ANY: Values = MappingProxyType(dict.fromkeys((*CODE, *NAMED)))


def qe_report(report_data: bytes, **changes: bytes) -> bytes:
    """The quoting enclave's report body; ``changes`` replace its fields by name."""
    fields = {
        "cpu_svn": b"\x03" * 16,
        "misc_select": bytes(4),
        "reserved1": bytes(28),
        "attributes": b"\x15" + bytes(7) + b"\xe7" + bytes(7),
        "mrenclave": b"\xe5" * 32,
        "reserved2": bytes(32),
        "mrsigner": QE_SIGNER,
        "reserved3": bytes(96),
        "isv_prod_id": (2).to_bytes(2, "little"),
        "isv_svn": (6).to_bytes(2, "little"),
        "reserved4": bytes(60),
        "report_data": report_data,
    }
    return b"".join((fields | changes).values())


@dataclass(frozen=True)
class Td:
    """One TD on one platform, and what its quote says unless told otherwise."""

    version: int = 4
    extended: bool = False
    attributes: int = SEPT_VE_DISABLE
    chain: bytes = field(default_factory=pck_chain)

    def fields(self) -> dict[str, bytes]:
        """The report body's, in order."""
        found = {
            "tee_tcb_svn": TEE_TCB_SVN,
            "mrseam": b"\x5b" * 48,
            "mrsignerseam": bytes(48),
            "seam_attributes": bytes(8),
            "td_attributes": self.attributes.to_bytes(8, "little"),
            "xfam": (0x602E7).to_bytes(8, "little"),
            "mrtd": MRTD,
            "mrconfigid": b"\xc1" * 48,
            "mrowner": b"\xc2" * 48,
            "mrownerconfig": b"\xc3" * 48,
            **{f"rtmr{index}": value for index, value in enumerate(RTMRS)},
            "report_data": bytes(64),
        }
        if self.extended:
            found |= {"tee_tcb_svn_2": bytes([7, 1, 3]) + bytes(13), "mrservicetd": bytes(48)}
        return found

    def signed(self, **changes: bytes) -> bytes:
        """Header and body."""
        head = self.version.to_bytes(2, "little") + b"\x02\x00" + (0x81).to_bytes(4, "little")
        head += bytes(4) + VENDOR + b"\x88" * 16 + bytes(4)
        body = b"".join((self.fields() | changes).values())
        if self.version == 5:
            kind = 3 if self.extended else 2
            head += kind.to_bytes(2, "little") + len(body).to_bytes(4, "little")
        return head + body

    def quote(
        self,
        *,
        signed: bytes | None = None,
        signer: str = "AK",
        qe_signer: str = "PCK",
        qe: Mapping[str, bytes] | None = None,
        chain: bytes | None = None,
        tail: bytes = b"",
        **changes: bytes,
    ) -> bytes:
        """A quote; ``changes`` are of the body, ``qe`` of the enclave's report."""
        said = self.signed(**changes) if signed is None else signed
        point = (
            key("AK").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        )
        auth_data = bytes(range(32))
        named = hashlib.sha256(point + auth_data).digest().ljust(64, b"\x00")
        report = qe_report(**({"report_data": named} | dict(qe or {})))
        inner = report + sign(report, qe_signer) + _sized(auth_data, 2)
        inner += (5).to_bytes(2, "little") + _sized(self.chain if chain is None else chain, 4)
        outer = sign(said, signer) + point + (6).to_bytes(2, "little") + _sized(inner, 4)
        return said + _sized(outer, 4) + tail

    def members(
        self,
        *,
        quote: bytes | None = None,
        collateral: Mapping[str, Any] | None = None,
        event_log: bytes | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """The ``evidence`` member of an envelope."""
        return evidence.encode(
            quote=self.quote(**changes) if quote is None else quote,
            collateral=_genuine_collateral() if collateral is None else collateral,
            event_log=event_log,
        )

    def evidence(self, **changes: Any) -> TdxEvidence:
        made = encode_envelope(kind=EvidenceKind.TDX, evidence=self.members(**changes))
        return evidence.parse(parse_envelope(made))


def policy(
    *, anchor_class: AnchorClass = AnchorClass.TEE, values: Values | None = None, **changes: Any
) -> AppraisalPolicy:
    """A policy that trusts this maker and asks for nothing in particular."""
    rules = tdx_rules(anchor_class, values=values, **changes)
    return AppraisalPolicy(id="test", version=3, tdx=rules)


def tdx_rules(
    anchor_class: AnchorClass = AnchorClass.TEE, *, values: Values | None = None, **changes: Any
) -> TdxPolicy:
    """The rules of a policy that trusts this maker; ``values`` are those that are named."""
    wanted: dict[str, Any] = {
        "memory": DcapMemory(anchors(anchor_class)),
        "values": {**ANY, **(values or {})},
        "minimum_tcb_evaluation": None,
    }
    return TdxPolicy(**(wanted | changes))


def named_key(
    named: PublicJwk, *, issuer: str = ISSUER, nonce: bytes = NONCE, kind: str = "tdx"
) -> bytes:
    """REPORTDATA of a TD that names a key."""
    return padded(binding_hash(EvidenceKind(kind), issuer=issuer, nonce=nonce, key=named))


@functools.cache
def td_quote(report_data: bytes, version: int = 4) -> bytes:
    """A quote over ``report_data``: the same bytes each time, whose signatures hold."""
    return Td(version=version).quote(report_data=report_data)


def td_log(
    events: Sequence[tuple[int, bytes]], *, bank: HashAlgorithm = HashAlgorithm.SHA384
) -> tuple[bytes, tuple[bytes, ...]]:
    """A log of what was measured into which register, counted from MRTD on, and the RTMRs."""
    values = [bytes(48) for _ in range(4)]
    for register, content in events:
        if 1 <= register <= 4:
            extended = values[register - 1] + hashlib.sha384(content).digest()
            values[register - 1] = hashlib.sha384(extended).digest()
    entries = [(register, EV_ACTION, content) for register, content in events]
    return encode(entries, banks=(bank,)), tuple(values)


def _genuine_collateral() -> dict[str, Any]:
    return collateral()


def _sized(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "little") + data
