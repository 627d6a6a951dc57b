"""Evidence of kind ``tpm2``: from JSON members to parsed TPM structures, and back.

``docs/evidence/tpm2.md`` has the table of members. Everything that arrived is parsed here, before
any signature is looked at; what is missing is for the appraisal to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, eventlog, json
from keystead.codec.certificate import MAX_CERTIFICATE_BYTES, Certificate, parse_certificate
from keystead.codec.eventlog import EventLog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.json import JSON
from keystead.codec.tpm2 import (
    Attest,
    PcrValues,
    PublicArea,
    TpmSignature,
    parse_attest,
    parse_signature,
    parse_tpm2b_public,
)
from keystead.codec.tpm2.constants import (
    MAX_ATTEST_BYTES,
    MAX_PUBLIC_BYTES,
    MAX_SIGNATURE_BYTES,
    PCR_COUNT,
)
from keystead.errors import Malformed, Reason
from keystead.evidence.envelope import Submission
from keystead.jose.jwk import PublicJwk
from keystead.ports import Attestation, Endorsement

# An EK or AK has two or three CAs above it.
MAX_CHAIN_CERTIFICATES: Final = 6
# The TPM2B's own length in front.
_MAX_TPM2B_PUBLIC_BYTES: Final = MAX_PUBLIC_BYTES + 2
_MAX_DIGEST_HEX_CHARS: Final = 128

_MEMBERS: Final = frozenset(
    {
        "ek_certificate",
        "ek_certificate_chain",
        "ek_public",
        "ak_certificate",
        "ak_certificate_chain",
        "ak_public",
        "quote",
        "pcrs",
        "event_log",
        "certify",
        "key_public",
    }
)
_ATTESTATION_MEMBERS: Final = frozenset({"attest", "signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAttest:
    """A TPMS_ATTEST and its TPMT_SIGNATURE, both parsed and neither verified."""

    attest: Attest
    signature: TpmSignature


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm2Evidence:
    """What arrived; ``None`` is what did not. ``nonce`` and ``key`` are the envelope's."""

    nonce: bytes | None
    key: PublicJwk | None
    ek_certificate: Certificate | None
    ek_certificate_chain: tuple[Certificate, ...]
    ek_public: PublicArea | None
    ak_certificate: Certificate | None
    ak_certificate_chain: tuple[Certificate, ...]
    ak_public: PublicArea | None
    quote: SignedAttest | None
    pcrs: PcrValues | None
    event_log: EventLog | None
    certify: SignedAttest | None
    key_public: PublicArea | None


def parse(submission: Submission) -> Tpm2Evidence:
    """The structures of ``submission``; ``Malformed`` names the member that is not one."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    return Tpm2Evidence(
        nonce=submission.nonce,
        key=submission.key,
        ek_certificate=read_certificate(members, "ek_certificate"),
        ek_certificate_chain=read_chain(members, "ek_certificate_chain"),
        ek_public=read_public(members, "ek_public"),
        ak_certificate=read_certificate(members, "ak_certificate"),
        ak_certificate_chain=read_chain(members, "ak_certificate_chain"),
        ak_public=read_public(members, "ak_public"),
        quote=read_attestation(members, "quote"),
        pcrs=read_pcrs(members),
        event_log=_event_log(members),
        certify=read_attestation(members, "certify"),
        key_public=read_public(members, "key_public"),
    )


def encode(
    *,
    endorsement: Endorsement,
    ak_public: bytes,
    quote: Attestation,
    pcrs: PcrValues,
    event_log: bytes | None = None,
    certify: Attestation | None = None,
    key_public: bytes | None = None,
    ak_certificate: bytes | None = None,
    ak_certificate_chain: Sequence[bytes] = (),
) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope, for whoever collects it.

    Public areas are TPM2B_PUBLIC, certificates DER, the event log the firmware's bytes.
    """
    single = {
        "ek_certificate": endorsement.certificate,
        "ek_public": endorsement.public,
        "ak_certificate": ak_certificate,
        "ak_public": ak_public,
        "event_log": event_log,
        "key_public": key_public,
    }
    members: dict[str, JSON] = {
        name: base64url.encode(value) for name, value in single.items() if value is not None
    }
    for name, chain in (
        ("ek_certificate_chain", endorsement.chain),
        ("ak_certificate_chain", ak_certificate_chain),
    ):
        if chain:
            members[name] = [base64url.encode(certificate) for certificate in chain]
    members["quote"] = encode_attestation(quote)
    if certify is not None:
        members["certify"] = encode_attestation(certify)
    members["pcrs"] = encode_pcrs(pcrs)
    return members


def encode_pcrs(pcrs: PcrValues) -> dict[str, JSON]:
    """What ``read_pcrs`` reads."""
    return {
        bank.digest_name: {str(index): value.hex() for index, value in values.items()}
        for bank, values in pcrs.items()
    }


def encode_attestation(signed: Attestation) -> dict[str, JSON]:
    """What ``read_attestation`` reads."""
    return {
        "attest": base64url.encode(signed.attest),
        "signature": base64url.encode(signed.signature),
    }


def read_certificate(members: Mapping[str, JSON], name: str) -> Certificate | None:
    """A certificate in DER; None where the member is absent."""
    der = json.find_bytes(members, name, max_bytes=MAX_CERTIFICATE_BYTES)
    return None if der is None else parse_certificate(der)


def read_chain(members: Mapping[str, JSON], name: str) -> tuple[Certificate, ...]:
    """An array of certificates in DER, empty where the member is absent."""
    texts = json.find_str_list(
        members, name, max_items=MAX_CHAIN_CERTIFICATES, max_chars=2 * MAX_CERTIFICATE_BYTES
    )
    return tuple(
        parse_certificate(base64url.decode(text, max_bytes=MAX_CERTIFICATE_BYTES))
        for text in texts or ()
    )


def read_public(members: Mapping[str, JSON], name: str) -> PublicArea | None:
    """A TPM2B_PUBLIC; None where the member is absent."""
    data = json.find_bytes(members, name, max_bytes=_MAX_TPM2B_PUBLIC_BYTES)
    return None if data is None else parse_tpm2b_public(data)


def read_attestation(members: Mapping[str, JSON], name: str) -> SignedAttest | None:
    """An object of ``attest`` and ``signature``; None where the member is absent."""
    found = json.find_object(members, name)
    if found is None:
        return None
    json.refuse_other_members(found, _ATTESTATION_MEMBERS)
    return SignedAttest(
        attest=parse_attest(json.get_bytes(found, "attest", max_bytes=MAX_ATTEST_BYTES)),
        signature=parse_signature(
            json.get_bytes(found, "signature", max_bytes=MAX_SIGNATURE_BYTES)
        ),
    )


def _event_log(members: Mapping[str, JSON]) -> EventLog | None:
    data = json.find_bytes(members, "event_log", max_bytes=eventlog.MAX_LOG_BYTES)
    return None if data is None else eventlog.parse(data)


def read_pcrs(members: Mapping[str, JSON]) -> PcrValues | None:
    """Bank → index → digest in lower-case hex; None where the member is absent."""
    banks = json.find_object(members, "pcrs")
    if banks is None:
        return None
    return {
        (bank := HashAlgorithm.from_name(name)): _bank(json.get_object(banks, name), bank)
        for name in banks
    }


def _bank(values: Mapping[str, JSON], bank: HashAlgorithm) -> dict[int, bytes]:
    return {_index(text): _digest(values, text, bank) for text in values}


def _index(text: str) -> int:
    """A PCR's number in its only spelling, so that no PCR can stand there twice."""
    if text not in _INDEXES:
        raise Malformed(Reason.MALFORMED, f"PCR {text[:8]!r}")
    return _INDEXES[text]


def _digest(values: Mapping[str, JSON], name: str, bank: HashAlgorithm) -> bytes:
    text = json.get_str(values, name, max_chars=_MAX_DIGEST_HEX_CHARS)
    if len(text) != 2 * bank.digest_size or not _LOWER_HEX.issuperset(text):
        raise Malformed(Reason.MALFORMED, f"PCR {name} is not a {bank.digest_name} digest in hex")
    return bytes.fromhex(text)


_INDEXES: Final = {str(index): index for index in range(PCR_COUNT)}
_LOWER_HEX: Final = frozenset("0123456789abcdef")
