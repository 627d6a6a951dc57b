"""A software TPM in the vTPM's place, an endpoint on loopback in the host's, and the service's own
appraisal of what is collected from them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from keystead.agent import VtpmHost
from keystead.agent.collector import ServerChallenge
from keystead.agent.collectors.azure_cvm import (
    THIM,
    AzureCvmCollector,
    AzureEndpoints,
)
from keystead.agent.collectors.collateral import Collateral
from keystead.agent.keys import KeyFolder, WorkloadKey
from keystead.appraisal import azure_cvm as appraisal
from keystead.binding import azure_cvm as binding
from keystead.binding.certified_key import CertifiedKey
from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.hcl import MAX_HCL_BYTES, parse_hcl_report
from keystead.codec.td_quote import parse_td_quote
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import KeysteadError, Malformed, Reason, Refused, Unavailable
from keystead.evidence import azure_cvm as evidence
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.hardware.tpm2 import Tpm2Device
from keystead.hardware.tpm2.nv import MAX_NV_BYTES
from keystead.model import EvidenceKind, Protection
from keystead.system.platform import PlatformEndpoint
from tests import intel_builder
from tests.azure_builder import REQUIRED, Machine
from tests.azure_vtpm import AK_HANDLE, hcl_of, make_ak, write_index
from tests.device_chains import NOW
from tests.platform_server import Answer, PlatformServer, body, json_body, serving
from tests.snp_builder import ISSUER, NONCE
from tests.tdx_builder import td_quote
from tests.unit.codec.test_pem import pem

MACHINE = Machine()
LEAF, CA = MACHINE.guest.certificates()
CHAIN = {"vcekCert": pem(LEAF).decode(), "certificateChain": pem(CA).decode(), "tcbm": "DB18"}
# As long as swtpm's indexes get; Azure's has 2600 bytes.
SIZE = 2_048
WITH_384 = PcrSelection.of({HashAlgorithm.SHA256: [0, 14], HashAlgorithm.SHA384: [7]})


@pytest.fixture
def vtpm(tpm_device: Tpm2Device) -> Tpm2Device:
    """A TPM as an Azure machine on AMD hardware has it."""
    write_index(tpm_device, hcl_of(make_ak(tpm_device), machine=MACHINE), size=SIZE)
    return tpm_device


@pytest.fixture
def workload_key(tmp_path: Path, vtpm: Tpm2Device) -> WorkloadKey:
    return KeyFolder(tmp_path / "keys", device=vtpm).keys().workload_key


def endpoints(server: PlatformServer) -> AzureEndpoints:
    thim = PlatformEndpoint(url=server.url, headers=THIM.headers)
    return AzureEndpoints(thim=thim, td_quote=PlatformEndpoint(url=server.url))


def collect(
    device: Tpm2Device, *, key: Any = None, answer: Answer | None = None, **arguments: Any
) -> dict[str, Any]:
    wanted: dict[str, Any] = {"required_pcrs": REQUIRED} | arguments
    with serving(answer or json_body(CHAIN)) as server:
        collector = AzureCvmCollector(device, endpoints=endpoints(server), **wanted)
        return collector.collect(key=key or MACHINE.jwk, issuer=ISSUER, nonce=NONCE)


def parsed(collected: dict[str, Any]) -> AzureCvmEvidence:
    envelope = encode_envelope(kind=EvidenceKind.AZURE_CVM, evidence=collected, nonce=NONCE)
    return evidence.parse(parse_envelope(envelope))


def bound(collected: dict[str, Any], key: Any) -> CertifiedKey:
    """What the service makes of it."""
    found = parsed(collected)
    made = appraisal.appraise(found, policy=MACHINE.policy(), nonce=NONCE, now=NOW)
    result = appraisal.conclude(made)
    return binding.bind_key(found, result, key=key, issuer=ISSUER, nonce=NONCE)


def refusal(device: Tpm2Device, **arguments: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        collect(device, **arguments)
    return refused.value


def test_a_certified_key_is_appraised_and_bound(
    vtpm: Tpm2Device, workload_key: WorkloadKey
) -> None:
    collected = collect(vtpm, key=workload_key.jwk, workload_key=workload_key)
    made = bound(collected, workload_key.jwk)
    assert (made.key, made.protection) == (workload_key.jwk, Protection.MEASURED_CODE)


def test_a_key_from_elsewhere_is_named_by_the_quote(vtpm: Tpm2Device) -> None:
    collected = collect(vtpm)
    assert "certify" not in collected
    assert bound(collected, MACHINE.jwk).protection is Protection.NONE


def test_a_key_under_a_policy_is_certified_too(tmp_path: Path, vtpm: Tpm2Device) -> None:
    folder = KeyFolder(tmp_path / "keys", device=vtpm, algorithm="RS256")
    key = folder.keys(pcr_policy=REQUIRED).workload_key
    assert bound(collect(vtpm, key=key.jwk, workload_key=key), key.jwk).key == key.jwk


def test_a_key_stays_usable_and_the_next_collection_too(tmp_path: Path, vtpm: Tpm2Device) -> None:
    """More keys than a TPM has slots take turns."""
    folders = [KeyFolder(tmp_path / name, device=vtpm) for name in ("one", "two")]
    keys = [folder.keys() for folder in folders]
    for each in keys * 2:
        key = each.workload_key
        assert bound(collect(vtpm, key=key.jwk, workload_key=key), key.jwk).key == key.jwk
    assert vtpm.reconnects == 0


def test_quotes_exactly_the_required_pcrs(vtpm: Tpm2Device) -> None:
    found = parsed(collect(vtpm, required_pcrs=WITH_384))
    assert found.quote is not None
    assert found.quote.attest.quote is not None
    assert found.quote.attest.quote.selection == WITH_384


def test_the_report_comes_as_it_stands_in_the_index(vtpm: Tpm2Device) -> None:
    raw = base64url.decode(collect(vtpm)["hcl_report"])
    assert len(raw) == SIZE
    assert parse_hcl_report(raw).ak.bits == 2_048


def test_the_host_is_asked_for_the_certificates(vtpm: Tpm2Device) -> None:
    with serving(json_body(CHAIN), "/metadata/THIM/amd/certification") as server:
        collector = AzureCvmCollector(vtpm, required_pcrs=REQUIRED, endpoints=endpoints(server))
        found = collector.collect(key=MACHINE.jwk, issuer=ISSUER, nonce=NONCE)
    assert found["certificates"] == [base64url.encode(LEAF), base64url.encode(CA)]
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/metadata/THIM/amd/certification")
    assert asked.headers["metadata"] == "true"


def test_or_a_file_has_them(tmp_path: Path, vtpm: Tpm2Device) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(pem(LEAF) + pem(CA))
    with serving(body(b"", status="404 None")) as server:
        collector = AzureCvmCollector(
            vtpm, required_pcrs=REQUIRED, endpoints=endpoints(server), certificates=file
        )
        found = collector.collect(key=MACHINE.jwk, issuer=ISSUER, nonce=NONCE)
    assert server.asked == []
    bound(found, MACHINE.jwk)


@pytest.mark.parametrize(
    "answer",
    [
        json_body({"vcekCert": CHAIN["vcekCert"]}),
        json_body(CHAIN | {"vcekCert": 5}),
        json_body(CHAIN | {"vcekCert": ""}),
        json_body(CHAIN | {"vcekCert": "é"}),
        json_body(CHAIN | {"vcekCert": CHAIN["vcekCert"][:-30]}),
        json_body(CHAIN | {"certificateChain": CHAIN["certificateChain"] * 3}),
        json_body(CHAIN | {"certificateChain": "x" * 32_769}),
        json_body([]),
        body(json.dumps(CHAIN).encode()[:-1]),
        body(b"x" * 65_537),
    ],
)
def test_another_answer_of_the_host_is_malformed(vtpm: Tpm2Device, answer: Answer) -> None:
    assert type(refusal(vtpm, answer=answer)) is Malformed


def test_what_the_host_says_is_passed_on(vtpm: Tpm2Device) -> None:
    assert type(refusal(vtpm, answer=body(b"", status="404 None"))) is Refused
    assert type(refusal(vtpm, answer=body(b"", status="503 Later"))) is Unavailable


def test_a_key_that_is_not_the_one_in_the_vtpm_is_refused(
    vtpm: Tpm2Device, workload_key: WorkloadKey
) -> None:
    error = refusal(vtpm, workload_key=workload_key)
    assert (type(error), error.reason) == (Refused, Reason.HARDWARE_REFUSED)


# Other machines.


def test_a_machine_without_the_report_is_unavailable(tpm_device: Tpm2Device) -> None:
    error = refusal(tpm_device)
    assert (type(error), error.reason) == (Unavailable, Reason.HARDWARE_UNAVAILABLE)
    assert "0x01400001" in error.detail
    assert tpm_device.reconnects == 0, "a missing index is no lost handle"


def test_a_vtpm_without_its_ak_is_unavailable(tpm_device: Tpm2Device) -> None:
    ak = make_ak(tpm_device, handle=AK_HANDLE + 1)
    write_index(tpm_device, hcl_of(ak))
    error = refusal(tpm_device)
    assert type(error) is Unavailable
    assert "0x81000003" in error.detail


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_another_ak_than_the_reports_is_refused(tpm_device: Tpm2Device, algorithm: str) -> None:
    make_ak(tpm_device, algorithm=algorithm)
    write_index(tpm_device, hcl_of(parse_hcl_report(MACHINE.hcl()).ak))
    error = refusal(tpm_device)
    assert (type(error), error.reason) == (Refused, Reason.HARDWARE_REFUSED)
    assert "not the AK" in error.detail


@pytest.mark.parametrize("damage", [lambda data: data[:-260], lambda data: b"X" + data[1:]])
def test_an_index_with_something_else_is_malformed(tpm_device: Tpm2Device, damage: Any) -> None:
    write_index(tpm_device, damage(hcl_of(make_ak(tpm_device))))
    assert type(refusal(tpm_device)) is Malformed


def test_an_index_that_was_never_written_is_malformed(tpm_device: Tpm2Device) -> None:
    make_ak(tpm_device)
    write_index(tpm_device, b"", size=100)
    assert type(refusal(tpm_device)) is Malformed


def test_the_index_may_not_be_larger_than_any_report() -> None:
    assert MAX_NV_BYTES <= MAX_HCL_BYTES


# Intel hardware.

REPORTED = b"\x71" * 64


@pytest.fixture
def td(tpm_device: Tpm2Device) -> Tpm2Device:
    """A TPM as an Azure machine on Intel hardware has it."""
    write_index(tpm_device, hcl_of(make_ak(tpm_device), td=True))
    return tpm_device


@pytest.fixture
def collateral(tmp_path: Path) -> Collateral:
    (tmp_path / "collateral.json").write_text(json.dumps(intel_builder.collateral()))
    return Collateral(location=str(tmp_path / "collateral.json"))


def quoted(quote: bytes) -> Answer:
    return json_body({"quote": base64url.encode(quote)})


def test_the_host_quotes_the_tdreport(
    td: Tpm2Device, collateral: Collateral, tmp_path: Path
) -> None:
    with serving(quoted(td_quote(REPORTED)), "/acc/tdquote") as server:
        collector = AzureCvmCollector(
            td, required_pcrs=REQUIRED, endpoints=endpoints(server), collateral=collateral
        )
        found = collector.collect(key=MACHINE.jwk, issuer=ISSUER, nonce=NONCE)
    (asked,) = server.asked
    raw = base64url.decode(str(found["hcl_report"]))
    assert json.loads(asked.body) == {"report": base64url.encode(raw[0x20:0x420])}
    assert (asked.method, asked.path) == ("POST", "/acc/tdquote")
    read = parsed(found).td
    assert read is not None
    assert read.quote == parse_td_quote(td_quote(REPORTED))
    assert found["collateral"] == json.loads((tmp_path / "collateral.json").read_text())
    assert "certificates" not in found


@pytest.mark.parametrize(
    "answer",
    [
        quoted(td_quote(REPORTED)[:-1]),
        quoted(b""),
        quoted(bytes(20_000)),
        json_body({"quote": base64.b64encode(td_quote(REPORTED) + b"\xff\xff").decode()}),
        json_body({}),
        body(b"x" * 65_537),
    ],
)
def test_another_answer_than_a_quote_is_malformed(
    td: Tpm2Device, collateral: Collateral, answer: Answer
) -> None:
    assert type(refusal(td, answer=answer, collateral=collateral)) is Malformed


def test_says_that_the_collateral_is_missing(td: Tpm2Device) -> None:
    error = refusal(td, answer=quoted(td_quote(REPORTED)))
    assert type(error) is Unavailable
    assert "collateral" in error.detail


def test_reads_a_real_report_and_finds_its_ak_elsewhere(
    vectors: Path, tpm_device: Tpm2Device
) -> None:
    """The one real report that fits a software TPM; its AK never was in here."""
    make_ak(tpm_device)
    write_index(tpm_device, (vectors / "azure" / "kin-hcl-snp.bin").read_bytes())
    error = refusal(tpm_device)
    assert type(error) is Refused
    assert "not the AK" in error.detail


def test_a_vtpm_host_has_the_key_of_its_folder_bound(vtpm: Tpm2Device, tmp_path: Path) -> None:
    with serving(json_body(CHAIN)) as server:

        def collector(required: PcrSelection, key: WorkloadKey) -> AzureCvmCollector:
            return AzureCvmCollector(
                vtpm, required_pcrs=required, workload_key=key, endpoints=endpoints(server)
            )

        host = VtpmHost(vtpm, folder=tmp_path / "keys", collector=collector)
        challenge = ServerChallenge(nonce=NONCE, issuer=ISSUER, required_pcrs=REQUIRED)
        answer = host.answer(challenge)
    submission = parse_envelope(answer.envelope)
    assert (submission.kind, submission.nonce) == (host.kind, NONCE)
    assert submission.key == answer.key.jwk == host.key().jwk
    found = evidence.parse(submission)
    result = appraisal.conclude(
        appraisal.appraise(found, policy=MACHINE.policy(), nonce=NONCE, now=NOW)
    )
    made = binding.bind_key(found, result, key=answer.key.jwk, issuer=ISSUER, nonce=NONCE)
    assert made.protection is Protection.MEASURED_CODE


def test_a_vtpm_host_answers_no_challenge_without_pcrs_and_opens_no_credential(
    vtpm: Tpm2Device, tmp_path: Path
) -> None:
    def collector(required: PcrSelection, key: WorkloadKey) -> AzureCvmCollector:
        raise AssertionError("nothing is to be collected")

    host = VtpmHost(vtpm, folder=tmp_path / "keys", collector=collector)
    with pytest.raises(Malformed):
        host.answer(ServerChallenge(nonce=NONCE, issuer=ISSUER, required_pcrs=PcrSelection.of({})))
    with pytest.raises(Malformed):
        host.activate(credential_blob=b"", encrypted_secret=b"")
