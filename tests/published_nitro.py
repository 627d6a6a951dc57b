"""Attestation documents of real enclaves, as the published vectors have them."""

import base64
import re
from pathlib import Path
from typing import Any

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec.nitro import AttestationDocument, parse_document
from keystead.evidence import aws_nitro as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.manifest import Row, manifest_rows

ROWS = manifest_rows("nitro")
DOCUMENTS = [row for row in ROWS if "attestation document" in row.what]
GOOD = [row for row in DOCUMENTS if "DEBUG" not in row.what]
DEBUG = [row for row in DOCUMENTS if "DEBUG" in row.what]
# When this was written: long after every document's certificate ended.
LATER = 1_790_000_000
FRAME_BYTES = 4


def named(row: Row) -> str:
    """A row's id as a case."""
    return row.file


def raw(row: Row) -> bytes:
    """The document as the NSM made it, without what projects put around it."""
    data = row.read()
    if row.file.endswith(".b64"):
        return base64.b64decode(data)
    if "framing at offset 4" in row.what:  # Two bytes, then a SCALE compact length.
        return data[FRAME_BYTES : FRAME_BYTES + (int.from_bytes(data[2:4], "little") >> 2)]
    return data


def read(row: Row) -> AttestationDocument:
    return parse_document(raw(row))


def policy(rules: str = '[aws-nitro.pcrs]\n0 = "any"') -> AppraisalPolicy:
    return parse_policy(f'id = "test"\nversion = 3\n{rules}\n', folder=Path())


DEBUG_TOO = '[aws-nitro]\nallow_debug = true\n[aws-nitro.pcrs]\n0 = "any"'


def saved(document: bytes, **changes: Any) -> Any:
    envelope = encode_envelope(
        kind=EvidenceKind.AWS_NITRO, evidence=evidence.encode(document=document)
    )
    arguments: dict[str, Any] = {"policy": policy(), "now": LATER} | changes
    return appraise_saved(parse_envelope(envelope), **arguments)


def field_of(row: Row, name: str) -> str:
    """What the MANIFEST says of a field, "null" or the start of it in hex."""
    found = re.search(rf"{name}=(\w+)", row.expected)
    assert found is not None, row
    return found[1]
