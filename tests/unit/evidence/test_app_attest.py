from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import Malformed
from keystead.evidence import app_attest, kinds
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.app_attest_builder import CLIENT_DATA, Device
from tests.nitro_builder import NONCE, Enclave

DEVICE = Device()
GOOD = app_attest.encode(
    attestation_object=DEVICE.attestation(), key_id=DEVICE.key_id, client_data=CLIENT_DATA
)


def submitted(evidence: Any) -> Submission:
    return parse_envelope(
        encode_envelope(
            kind=EvidenceKind.APP_ATTEST, evidence=evidence, nonce=NONCE, key=DEVICE.jwk
        )
    )


def test_reads_what_an_app_sends() -> None:
    found = app_attest.parse(submitted(GOOD))
    assert (found.nonce, found.key, found.key_id) == (NONCE, DEVICE.jwk, DEVICE.key_id)
    assert found.client_data == CLIENT_DATA
    assert kinds.parse(submitted(GOOD)) == found


@pytest.mark.parametrize(
    "changes",
    [
        {"attestation_object": None},
        {"attestation_object": base64url.encode(DEVICE.attestation()[:-1])},
        {"attestation_object": base64url.encode(Enclave().document())},
        {"attestation_object": base64url.encode(bytes(16_385))},
        {"key_id": None},
        {"key_id": base64url.encode(bytes(31))},
        {"key_id": base64url.encode(bytes(33))},
        {"client_data": None},
        {"client_data": 7},
        {"client_data": base64url.encode(bytes(4_097))},
        {"other": "x"},
    ],
)
def test_anything_else_is_malformed(changes: dict[str, Any]) -> None:
    members = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(Malformed):
        app_attest.parse(submitted(members))
