"""PCRs and quotes of a real (software) TPM; tpm2-tools judge them too."""

import hashlib
from pathlib import Path

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    PcrSelection,
    parse_attest,
    parse_tpm2b_public,
    pcr_composite_digest,
)
from keystead.errors import Malformed, Reason, Refused
from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm
from tests.integration.tpm2.verify import check_tpmt
from tests.tpm2_tools import pcr_file, run_tool

SHA1, SHA256, SHA384 = HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384
NONCE = bytes(range(32))
EVENT = hashlib.sha256(b"event").digest()


async def test_reads_more_pcrs_than_one_answer_holds(tpm_device: Tpm2Device) -> None:
    selection = PcrSelection.of({SHA1: [0], SHA256: range(24), SHA384: [5, 6, 7]})
    values = await tpm_device.read_pcrs(selection)
    assert set(values) == {SHA1, SHA256, SHA384}
    assert list(values[SHA256]) == list(range(24))
    assert values[SHA256][0] == bytes(32)
    assert values[SHA256][17] == b"\xff" * 32
    assert {len(value) for value in values[SHA384].values()} == {48}


async def test_extends_as_the_specification_says(tpm_device: Tpm2Device) -> None:
    await tpm_device.extend_pcr(16, {SHA256: EVENT, SHA1: EVENT[:20]})
    values = await tpm_device.read_pcrs(PcrSelection.of({SHA256: [16], SHA1: [16]}))
    assert values[SHA256][16] == hashlib.sha256(bytes(32) + EVENT).digest()
    assert values[SHA1][16] == hashlib.sha1(bytes(20) + EVENT[:20]).digest()
    await tpm_device.reset_pcr(16)
    values = await tpm_device.read_pcrs(PcrSelection.of({SHA256: [16]}))
    assert values[SHA256][16] == bytes(32)


async def test_refuses_a_bank_that_the_tpm_has_not(tpm_device: Tpm2Device) -> None:
    with pytest.raises(Refused, match="sha512:3"):
        await tpm_device.read_pcrs(PcrSelection.of({HashAlgorithm.SHA512: [3]}))


async def test_refuses_to_extend_with_another_hash(tpm_device: Tpm2Device) -> None:
    with pytest.raises(Malformed):
        await tpm_device.extend_pcr(16, {SHA256: EVENT[:20]})


async def test_refuses_to_reset_a_boot_pcr(tpm_device: Tpm2Device) -> None:
    with pytest.raises(Refused) as caught:
        await tpm_device.reset_pcr(0)
    assert caught.value.reason is Reason.HARDWARE_REFUSED


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_quotes_values_for_a_nonce(tpm_device: Tpm2Device, algorithm: str) -> None:
    selection = PcrSelection.of({SHA256: [0, 7, 16], SHA384: [1]})
    key = await tpm_device.create_attestation_key(algorithm)
    await tpm_device.extend_pcr(16, {SHA256: EVENT})
    made, values = await tpm_device.quote_with_values(key, selection, qualifying_data=NONCE)
    attest = parse_attest(made.attest)
    assert attest.quote is not None
    assert attest.extra_data == NONCE
    assert attest.quote.selection == selection
    digest = pcr_composite_digest(selection, values, algorithm=SHA256)
    assert attest.quote.pcr_digest == digest
    check_tpmt(parse_tpm2b_public(key.public), made.attest, made.signature)


async def test_restarts_are_counted(swtpm: Swtpm, tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_attestation_key()
    selection = PcrSelection.of({SHA256: [0]})
    before = parse_attest((await tpm_device.quote(key, selection, qualifying_data=NONCE)).attest)
    swtpm.kill()
    swtpm.start()
    after = parse_attest((await tpm_device.quote(key, selection, qualifying_data=NONCE)).attest)
    # The TPM obfuscates the counters for keys outside the endorsement hierarchy by adding a
    # constant, so that only differences tell (Part 1 §36.7).
    assert (after.reset_count - before.reset_count) % 2**32 == 1


async def test_tpm2_checkquote_agrees(tpm_device: Tpm2Device, tmp_path: Path) -> None:
    selection = PcrSelection.of({SHA256: [*range(8), 16, 23]})
    key = await tpm_device.create_attestation_key()
    made, values = await tpm_device.quote_with_values(key, selection, qualifying_data=NONCE)
    (tmp_path / "ak.pub").write_bytes(key.public)
    (tmp_path / "attest").write_bytes(made.attest)
    (tmp_path / "signature").write_bytes(made.signature)
    (tmp_path / "pcrs").write_bytes(pcr_file(selection, values))

    def verdict(nonce: bytes) -> int:
        return run_tool(
            "checkquote", "-u", tmp_path / "ak.pub", "-m", tmp_path / "attest",
            "-s", tmp_path / "signature", "-f", tmp_path / "pcrs", "-g", "sha256",
            "-q", nonce.hex(),
        ).returncode  # fmt: skip

    assert verdict(NONCE) == 0
    assert verdict(bytes(32)) != 0
