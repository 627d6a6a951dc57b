"""The AWS attestation document: a COSE_Sign1 over a CBOR map, of an enclave or of NitroTPM.

The fields and their sizes are those of the Nitro Secure Module's API ("Verifying the root of
trust", AWS Nitro Enclaves User Guide). Documents since late 2025 have a payload map of indefinite
length. Both types are signed under one root: they differ in ``pcrs`` or ``nitrotpm_pcrs`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.codec import cbor
from keystead.codec.cbor import CborMap
from keystead.codec.cose import Sign1, parse_sign1
from keystead.errors import Malformed, Reason

MAX_DOCUMENT_BYTES: Final = 16_384
"""The NSM answers with at most 0x3000 bytes."""

PCR_COUNT: Final = 32
PCR_BYTES: Final = 48
"""SHA-384, the one digest there is."""
PCR_BANK: Final = "sha384"

MAX_FIELD_BYTES: Final = 1_024
"""Of public_key, user_data and nonce."""

_DIGEST: Final = "SHA384"
_MAX_CERTIFICATE_BYTES: Final = 1_024
# The root, a region's, a zone's, a host's.
_MAX_BUNDLE: Final = 5
_MAX_MODULE_ID_CHARS: Final = 256
_MAX_TIMESTAMP_MS: Final = (1 << 48) - 1
_SIGNATURE_BYTES: Final = 96


class DocumentType(StrEnum):
    """Whose PCRs a document holds: an enclave's, or those of an instance's NitroTPM."""

    ENCLAVE = "enclave"
    NITROTPM = "nitrotpm"


_PCR_MEMBERS: Final[Mapping[DocumentType, str]] = {
    DocumentType.ENCLAVE: "pcrs",
    DocumentType.NITROTPM: "nitrotpm_pcrs",
}
_MEMBERS: Final[frozenset[int | str]] = frozenset(
    {
        "module_id",
        "timestamp",
        "digest",
        "certificate",
        "cabundle",
        "public_key",
        "user_data",
        "nonce",
        *_PCR_MEMBERS.values(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationDocument:
    """A document, not verified.

    ``certificate`` and ``cabundle``, which starts at the root, are DER for a path builder to read.
    ``raw`` is what came.
    """

    type: DocumentType
    module_id: str
    timestamp_ms: int
    """When it was made: Unix milliseconds."""
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    sign1: Sign1
    raw: bytes

    @property
    def made_at(self) -> int:
        """``timestamp_ms`` in whole Unix seconds."""
        return self.timestamp_ms // 1_000


def parse_document(data: bytes) -> AttestationDocument:
    """The document in ``data``; ``Malformed``."""
    sign1 = parse_sign1(data, max_bytes=MAX_DOCUMENT_BYTES)
    if len(sign1.signature) != _SIGNATURE_BYTES:
        raise Malformed(Reason.MALFORMED, f"a signature of {len(sign1.signature)} bytes")
    members = cbor.parse_map(
        sign1.payload, max_bytes=MAX_DOCUMENT_BYTES, max_depth=2, allow_indefinite=True
    )
    cbor.refuse_other_members(members, _MEMBERS)
    if cbor.get_text(members, "digest", max_chars=len(_DIGEST)) != _DIGEST:
        raise Malformed(Reason.MALFORMED, "a digest other than SHA384")
    document_type = _type(members)
    return AttestationDocument(
        type=document_type,
        module_id=cbor.get_text(members, "module_id", max_chars=_MAX_MODULE_ID_CHARS),
        timestamp_ms=cbor.get_int(members, "timestamp", minimum=1, maximum=_MAX_TIMESTAMP_MS),
        pcrs=_pcrs(members, _PCR_MEMBERS[document_type]),
        certificate=cbor.get_bytes(
            members, "certificate", max_bytes=_MAX_CERTIFICATE_BYTES, min_bytes=1
        ),
        cabundle=cbor.get_bytes_list(
            members, "cabundle", max_items=_MAX_BUNDLE, max_bytes=_MAX_CERTIFICATE_BYTES
        ),
        public_key=_field(members, "public_key"),
        user_data=_field(members, "user_data"),
        nonce=_field(members, "nonce"),
        sign1=sign1,
        raw=data,
    )


def _type(members: CborMap) -> DocumentType:
    found = [each for each, name in _PCR_MEMBERS.items() if name in members]
    if len(found) != 1:
        raise Malformed(Reason.MALFORMED, "PCRs of no type, or of two")
    return found[0]


def _pcrs(members: CborMap, name: str) -> dict[int, bytes]:
    found = {}
    values = cbor.get_map(members, name, max_items=PCR_COUNT)
    for index in values:
        if not isinstance(index, int) or not 0 <= index < PCR_COUNT:
            raise Malformed(Reason.MALFORMED, f"{name} has a PCR {str(index)[:16]!r}")
        found[index] = cbor.get_bytes(values, index, max_bytes=PCR_BYTES, min_bytes=PCR_BYTES)
    if not found:
        raise Malformed(Reason.MALFORMED, f"{name} is empty")
    return found


def _field(members: CborMap, name: str) -> bytes | None:
    return cbor.find_bytes(members, name, max_bytes=MAX_FIELD_BYTES)
