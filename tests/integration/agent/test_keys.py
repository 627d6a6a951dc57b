"""The key folder on a software TPM: restarts, other TPMs, PCR policies."""

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keystead.agent.keys import KEY_FILE, KeyFolder
from keystead.agent.proofs import DpopSigner
from keystead.agent.signing import TpmKey
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import ConfigurationError, KeysteadError, Malformed, Reason, Refused
from keystead.hardware.tpm2 import Tpm2Device, pcrs
from keystead.jose.dpop import verify_proof
from keystead.system import SystemEntropy
from keystead.testing.swtpm import Swtpm
from tests.agent_parts import NOW, FakeClock

URL = "https://api.example/calendar"
DEBUG_PCR = 16
DEBUG = PcrSelection.of({HashAlgorithm.SHA256: [DEBUG_PCR]})


def folder_of(path: Path, device: Tpm2Device) -> KeyFolder:
    return KeyFolder(path / "keys", device=device)


def signer_of(folder: KeyFolder, device: Tpm2Device) -> DpopSigner:
    key = folder.current()
    assert key is not None
    return DpopSigner(
        key=TpmKey(device=device, key=key), clock=FakeClock(), entropy=SystemEntropy()
    )


def extend(device: Tpm2Device) -> None:
    device.call(pcrs.extend_pcr, DEBUG_PCR, {HashAlgorithm.SHA256: hashlib.sha256(b"").digest()})


def test_a_key_signs_proofs(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    signer = signer_of(folder, tpm_device)
    made = [signer.sign("GET", f"{URL}?q=1", access_token="token", nonce="n") for _ in range(2)]
    proofs = [
        verify_proof(
            proof,
            method="GET",
            url=URL,
            now=NOW,
            access_token="token",
            expected_jkt=signer.jkt,
            nonce=None,
        )
        for proof in made
    ]
    assert proofs[0].jti != proofs[1].jti
    assert proofs[0].nonce == "n"


async def test_a_key_signs_for_an_event_loop(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    signer = signer_of(folder, tpm_device)
    proof = await signer.sign_async("POST", URL)
    verify_proof(
        proof,
        method="POST",
        url=URL,
        now=NOW,
        access_token=None,
        expected_jkt=signer.jkt,
        nonce=None,
    )


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_keys_outlive_a_restart_of_everything(tmp_path: Path, swtpm: Swtpm, algorithm: str) -> None:
    def jkt() -> str:
        with Tpm2Device(swtpm.tcti) as device:
            folder = KeyFolder(tmp_path / "keys", device=device, algorithm=algorithm)
            key = folder.keys().workload_key
            assert key.algorithm == algorithm
            signer_of(folder, device).sign("GET", URL)
            return key.jkt

    first = jkt()
    swtpm.stop()
    swtpm.start()
    assert jkt() == first


def test_the_folder_is_private(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.folder.iterdir()}
    assert folder.folder.stat().st_mode & 0o777 == 0o700
    assert modes == {"keys.json": 0o600, "lock": 0o600}


def test_there_is_no_key_before_one_is_asked_for(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    assert folder_of(tmp_path, tpm_device).current() is None


def test_refuses_a_folder_that_others_may_open(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    os.mkdir(tmp_path / "keys", 0o755)
    with pytest.raises(ConfigurationError) as caught:
        folder_of(tmp_path, tpm_device)
    assert caught.value.reason is Reason.PERMISSIONS_TOO_OPEN
    assert "chmod 700" in caught.value.detail


def test_refuses_a_folder_of_another_user(
    tmp_path: Path, tpm_device: Tpm2Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError) as caught:
        folder_of(tmp_path, tpm_device)
    assert caught.value.reason is Reason.PERMISSIONS_TOO_OPEN


def test_refuses_a_key_file_that_others_may_read(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    (folder.folder / KEY_FILE).chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        folder_of(tmp_path, tpm_device).keys()
    assert caught.value.reason is Reason.PERMISSIONS_TOO_OPEN


def test_refuses_keys_of_another_tpm_and_says_what_to_do(
    tmp_path: Path, tpm_device: Tpm2Device, other_tpm_device: Tpm2Device
) -> None:
    folder_of(tmp_path, tpm_device).keys()
    before = (tmp_path / "keys" / KEY_FILE).read_bytes()
    for read in (KeyFolder.keys, KeyFolder.current):
        with pytest.raises(ConfigurationError) as caught:
            read(folder_of(tmp_path, other_tpm_device))
        assert caught.value.reason is Reason.KEYS_OF_ANOTHER_TPM
        assert "are of another TPM" in caught.value.detail
        assert "an empty one" in caught.value.detail
    assert (tmp_path / "keys" / KEY_FILE).read_bytes() == before


def test_says_that_the_tpm_was_cleared(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    path = folder.folder / KEY_FILE
    document = json.loads(path.read_bytes())
    document["key"]["private"], document["ak"]["private"] = (
        document["ak"]["private"],
        document["key"]["private"],
    )
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError) as caught:
        folder_of(tmp_path, tpm_device).keys()
    assert caught.value.reason is Reason.KEYS_OF_ANOTHER_TPM
    assert "cleared" in caught.value.detail


def test_a_truncated_key_file_is_malformed(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys()
    path = folder.folder / KEY_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Malformed):
        folder_of(tmp_path, tpm_device).keys()


def test_a_half_written_file_does_not_matter(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    jkt = folder.keys().workload_key.jkt
    (folder.folder / f"{KEY_FILE}.new").write_bytes(b'{"keystead_')
    assert folder_of(tmp_path, tpm_device).keys().workload_key.jkt == jkt


def test_two_first_starts_make_one_set_of_keys(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    start = threading.Barrier(4)

    def first_start(_: int) -> str:
        folder = folder_of(tmp_path, tpm_device)
        start.wait()
        return folder.keys().workload_key.jkt

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(first_start, range(4)))) == 1


def test_a_key_under_a_policy_stops_after_an_extend(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    folder = folder_of(tmp_path, tpm_device)
    folder.keys(pcr_policy=DEBUG)
    signer = signer_of(folder, tpm_device)
    signer.sign("GET", URL)
    extend(tpm_device)
    with pytest.raises(Refused) as caught:
        signer.sign("GET", URL)
    assert caught.value.reason is Reason.HARDWARE_REFUSED


def test_a_key_whose_pcrs_are_gone_is_replaced_when_attesting(
    tmp_path: Path, tpm_device: Tpm2Device
) -> None:
    folder = folder_of(tmp_path, tpm_device)
    first = folder.keys(pcr_policy=DEBUG)
    assert folder.keys(pcr_policy=DEBUG).workload_key == first.workload_key
    extend(tpm_device)
    second = folder.keys(pcr_policy=DEBUG)
    assert second.workload_key.jkt != first.workload_key.jkt
    assert second.attestation_key == first.attestation_key
    signer_of(folder_of(tmp_path, tpm_device), tpm_device).sign("GET", URL)


def test_a_key_without_the_policy_that_is_asked_for_is_replaced(
    tmp_path: Path, tpm_device: Tpm2Device
) -> None:
    folder = folder_of(tmp_path, tpm_device)
    free = folder.keys().workload_key
    guarded = folder.keys(pcr_policy=DEBUG).workload_key
    assert guarded.jkt != free.jkt
    assert folder_of(tmp_path, tpm_device).current() == guarded


def test_the_folder_must_be_a_folder(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    (tmp_path / "keys").write_bytes(b"")
    with pytest.raises(KeysteadError) as caught:
        folder_of(tmp_path, tpm_device)
    assert caught.value.reason is Reason.CONFIGURATION_INVALID
