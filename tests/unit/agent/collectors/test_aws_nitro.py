import base64
import errno
from pathlib import Path

import pytest

from keystead.agent.collectors.aws_nitro import AwsNitroCollector
from keystead.appraisal import aws_nitro as appraisal
from keystead.binding import aws_nitro as binding
from keystead.codec import base64url, cbor
from keystead.errors import Malformed, Refused, Unavailable
from keystead.evidence import aws_nitro as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.hardware.nsm import NsmDevice
from keystead.model import EvidenceKind, Protection
from tests.device_chains import NOW
from tests.evidence_builder import Host
from tests.fake_devices import FakeNsm
from tests.nitro_builder import NONCE, PCRS, Enclave

KEY = Host.make().jwk
ISSUER = "https://issuer.example"


def collector(fake: FakeNsm) -> AwsNitroCollector:
    return AwsNitroCollector(nsm=NsmDevice(Path("/dev/null"), ioctl=fake))


def collect(fake: FakeNsm) -> dict[str, object]:
    return dict(collector(fake).collect(key=KEY, issuer=ISSUER, nonce=NONCE))


def test_what_is_collected_is_appraised_and_binds_the_key() -> None:
    enclave = Enclave()
    collected = collector(FakeNsm(enclave)).collect(key=KEY, issuer=ISSUER, nonce=NONCE)
    envelope = encode_envelope(
        kind=EvidenceKind.AWS_NITRO, evidence=collected, nonce=NONCE, key=KEY
    )
    found = evidence.parse(parse_envelope(envelope))
    policy = enclave.policy(pcrs={0: frozenset({PCRS[0]})})
    result = appraisal.conclude(appraisal.appraise(found, policy=policy, nonce=NONCE, now=NOW))
    bound = binding.bind_key(found, result, key=KEY, issuer=ISSUER, nonce=NONCE)
    assert (bound.key, bound.protection) == (KEY, Protection.MEASURED_CODE)


def test_names_the_key_and_not_its_hash() -> None:
    fake = FakeNsm()
    collect(fake)
    fields = {"user_data": None, "nonce": NONCE, "public_key": KEY.spki}
    assert fake.asked == [{"Attestation": fields}]


@pytest.mark.parametrize("document", [b"abc", Enclave().document(digest="SHA256")])
def test_a_document_that_does_not_parse_is_malformed(document: bytes) -> None:
    answer = cbor.encode({"Attestation": {"document": document}})
    with pytest.raises(Malformed):
        collect(FakeNsm(answer=answer))


def test_a_truncated_document_is_malformed() -> None:
    answer = cbor.encode({"Attestation": {"document": Enclave().document()[:-1]}})
    with pytest.raises(Malformed):
        collect(FakeNsm(answer=answer))


def test_what_the_module_says_is_passed_on() -> None:
    with pytest.raises(Refused, match="InputTooLarge"):
        collect(FakeNsm(answer=cbor.encode({"Error": "InputTooLarge"})))
    with pytest.raises(Unavailable):
        collect(FakeNsm(error=errno.ETIMEDOUT))


@pytest.mark.parametrize("file", ["blindai-valid.cbor", "ev-ga.b64", "op-sample1.cbor"])
def test_takes_real_documents_as_they_come(vectors: Path, file: str) -> None:
    data = (vectors / "nitro" / file).read_bytes()
    document = base64.b64decode(data) if file.endswith(".b64") else data
    found = collect(FakeNsm(answer=cbor.encode({"Attestation": {"document": document}})))
    assert found == {"document": base64url.encode(document)}
