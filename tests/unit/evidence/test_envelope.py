import json
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence.envelope import MAX_ENVELOPE_BYTES, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.evidence_builder import NONCE
from tests.jose_keys import public_jwk


def outer(**changes: Any) -> bytes:
    members = {
        "keystead_evidence": 1,
        "kind": "tpm2",
        "nonce": base64url.encode(NONCE),
        "key": dict(public_jwk().members),
        "evidence": {},
    }
    kept = {name: value for name, value in (members | changes).items() if value is not ...}
    return json.dumps(kept).encode()


def refusal(data: bytes) -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        parse_envelope(data)
    return refused.value


def test_reads_what_it_writes() -> None:
    key = public_jwk()
    data = encode_envelope(
        kind=EvidenceKind.TPM2, nonce=NONCE, key=key, evidence={"ak_public": "AAAA"}
    )
    submission = parse_envelope(data)
    assert submission.kind is EvidenceKind.TPM2
    assert submission.nonce == NONCE
    assert submission.key is not None and submission.key.thumbprint == key.thumbprint
    assert submission.evidence == {"ak_public": "AAAA"}


def test_accepts_saved_evidence_without_nonce_and_key() -> None:
    submission = parse_envelope(outer(nonce=..., key=...))
    assert (submission.nonce, submission.key) == (None, None)


def test_a_key_keeps_only_what_it_is() -> None:
    data = encode_envelope(kind=EvidenceKind.TPM2, key=public_jwk(kid="secret name"), evidence={})
    assert b"secret name" not in data


@pytest.mark.parametrize(
    "changes",
    [
        {"keystead_evidence": 2},
        {"keystead_evidence": True},
        {"keystead_evidence": ...},
        {"kind": ...},
        {"kind": 7},
        {"evidence": ...},
        {"evidence": []},
        {"nonce": base64url.encode(NONCE[:-1])},
        {"nonce": base64url.encode(NONCE + b"x")},
        {"nonce": None},
        {"key": None},
        {"key": {}},
        {"surprise": 1},
    ],
)
def test_rejects_another_shape_as_malformed(changes: dict[str, Any]) -> None:
    assert isinstance(refusal(outer(**changes)), Malformed)


def test_rejects_an_unknown_kind() -> None:
    error = refusal(outer(kind="tpm12"))
    assert isinstance(error, EvidenceRejected)
    assert error.reason is Reason.KIND_UNSUPPORTED


def test_rejects_a_private_key() -> None:
    error = refusal(outer(key=dict(public_jwk().members) | {"d": "AAAA"}))
    assert error.reason is Reason.PRIVATE_KEY_MEMBER


def test_rejects_a_member_twice() -> None:
    data = outer().replace(b'"kind": "tpm2"', b'"kind": "tpm2", "kind": "tpm2"')
    assert refusal(data).reason is Reason.DUPLICATE_MEMBER


def test_rejects_an_envelope_over_the_bound() -> None:
    assert refusal(outer() + b" " * MAX_ENVELOPE_BYTES).reason is Reason.TOO_LARGE


def test_rejects_deep_evidence() -> None:
    deep: Any = {}
    for _ in range(9):
        deep = {"x": deep}
    assert refusal(outer(evidence=deep)).reason is Reason.TOO_LARGE


def test_rejects_every_truncation_as_malformed() -> None:
    data = outer()
    for length in range(len(data)):
        assert isinstance(refusal(data[:length]), Malformed)
