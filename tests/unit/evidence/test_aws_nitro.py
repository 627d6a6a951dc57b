from typing import Any

import pytest

from keystead.codec import base64url
from keystead.codec.nitro import MAX_DOCUMENT_BYTES
from keystead.errors import Malformed
from keystead.evidence import aws_nitro, kinds
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.app_attest_builder import Device
from tests.nitro_builder import NONCE, Enclave

DOCUMENT = Enclave().document()
KEY = Device().jwk


def submitted(evidence: Any) -> Submission:
    return parse_envelope(
        encode_envelope(kind=EvidenceKind.AWS_NITRO, evidence=evidence, nonce=NONCE, key=KEY)
    )


def test_reads_what_a_collector_writes() -> None:
    found = aws_nitro.parse(submitted(aws_nitro.encode(document=DOCUMENT)))
    assert (found.nonce, found.key) == (NONCE, KEY)
    assert found.document.raw == DOCUMENT
    assert kinds.parse(submitted(aws_nitro.encode(document=DOCUMENT))) == found


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"document": base64url.encode(DOCUMENT), "other": 1},
        {"document": ""},
        {"document": 7},
        {"document": base64url.encode(DOCUMENT[:-1])},
        {"document": base64url.encode(bytes(MAX_DOCUMENT_BYTES + 1))},
        {"attestation_object": base64url.encode(Device().attestation())},
        {"document": base64url.encode(Device().attestation())},
    ],
    ids=range(8),
)
def test_anything_else_is_malformed(evidence: Any) -> None:
    with pytest.raises(Malformed):
        aws_nitro.parse(submitted(evidence))
