from typing import Any

import pytest

from keystead.appraisal import aws_nitro
from keystead.appraisal.result import AttestationResult
from keystead.binding.aws_nitro import bind_key
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey
from keystead.codec.nitro import DocumentType
from keystead.errors import BindingRejected, Reason
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.jose.jwk import from_public_key
from keystead.model import EvidenceKind, Protection
from tests.app_attest_builder import Device
from tests.device_chains import NOW, curve_key
from tests.nitro_builder import NONCE, PCRS, Enclave

ISSUER = "https://issuer.example"
ENCLAVE = Enclave()
KEY = Device().jwk
OTHER = from_public_key(curve_key("other").public_key())
PINNED: dict[str, Any] = {"pcrs": {0: frozenset({PCRS[0]})}}


def appraised(evidence: NitroEvidence, **changes: Any) -> AttestationResult:
    nonce = changes.pop("nonce", NONCE)
    policy = ENCLAVE.policy(**(PINNED | changes))
    return aws_nitro.conclude(aws_nitro.appraise(evidence, policy=policy, nonce=nonce, now=NOW))


def bound(
    evidence: NitroEvidence, result: AttestationResult | None = None, **changes: Any
) -> CertifiedKey:
    arguments: dict[str, Any] = {"key": KEY, "issuer": ISSUER, "nonce": NONCE} | changes
    return bind_key(evidence, result or appraised(evidence), **arguments)


def refusal(*arguments: Any, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*arguments, **named)
    return refused.value.reason, refused.value.step


def hashed(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {"issuer": ISSUER, "nonce": NONCE, "key": KEY} | changes
    return binding_hash(EvidenceKind.AWS_NITRO, **arguments)


BY_KEY = ENCLAVE.evidence(public_key=KEY.spki)
BY_HASH = ENCLAVE.evidence(user_data=hashed(), public_key=b"a key for something else")


@pytest.mark.parametrize("evidence", [BY_KEY, BY_HASH], ids=["public_key", "user_data"])
def test_binds_the_key_that_the_document_names(evidence: NitroEvidence) -> None:
    found = bound(evidence)
    assert (found.jkt, found.kind) == (KEY.thumbprint, EvidenceKind.AWS_NITRO)
    assert found.attester == appraised(evidence).attester and found.nonce == NONCE
    assert found.protection is Protection.MEASURED_CODE and not found.policy_pcr


@pytest.mark.parametrize(
    "changes", [{"pcrs": {0: None}}, {"pcrs": {0: None, 8: frozenset({PCRS[8]})}}]
)
def test_code_that_is_not_pinned_protects_nothing(changes: dict[str, Any]) -> None:
    assert bound(BY_KEY, appraised(BY_KEY, **changes)).protection is Protection.NONE


def test_a_debug_enclave_protects_nothing() -> None:
    evidence = ENCLAVE.evidence(public_key=KEY.spki, pcrs={0: bytes(48)})
    allowed = {"allow_debug": True, "pcrs": {0: frozenset({bytes(48)})}}
    assert bound(evidence, appraised(evidence, **allowed)).protection is Protection.NONE


def test_an_instances_boot_loader_is_not_its_whole_image() -> None:
    values = {4: b"\x44" * 48, 7: b"\x77" * 48}
    evidence = ENCLAVE.evidence(public_key=KEY.spki, pcrs=..., nitrotpm_pcrs=values)
    pinned = {index: frozenset({value}) for index, value in values.items()}
    result = appraised(evidence, document=DocumentType.NITROTPM, pcrs=pinned)
    assert result.boot_pinned
    assert bound(evidence, result).protection is Protection.NONE


def test_step_8_the_result_is_of_this_document() -> None:
    assert refusal(BY_KEY, appraised(BY_HASH)) == (Reason.EVIDENCE_MISMATCH, 8)


def test_step_8_a_challenge_was_answered() -> None:
    saved = appraised(BY_KEY, nonce=None)
    assert refusal(BY_KEY, saved) == (Reason.NONCE_MISMATCH, 8)
    assert refusal(BY_KEY, nonce=bytes(32)) == (Reason.NONCE_MISMATCH, 8)


def test_step_9_no_other_key_is_bound() -> None:
    assert refusal(BY_KEY, key=OTHER) == (Reason.KEY_MISMATCH, 9)
    assert refusal(BY_HASH, key=OTHER) == (Reason.KEY_MISMATCH, 9)
    assert refusal(ENCLAVE.evidence()) == (Reason.KEY_MISMATCH, 9)


def test_step_9_the_hash_is_for_this_issuer_challenge_and_kind() -> None:
    assert refusal(BY_HASH, issuer="https://other.example") == (Reason.KEY_MISMATCH, 9)
    wrong = (
        hashed(nonce=bytes(32)),
        hashed(issuer="https://other.example"),
        hashed()[:-1],
        hashed() + b"\x00",
        binding_hash(EvidenceKind.TDX, issuer=ISSUER, nonce=NONCE, key=KEY),
    )
    for data in wrong:
        told = refusal(ENCLAVE.evidence(user_data=data))
        assert told == (Reason.KEY_MISMATCH, 9)
