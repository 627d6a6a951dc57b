"""Keys in a real (software) TPM, judged by OpenSSL and by tpm2-tools."""

import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    EccKey,
    ObjectAttributes,
    PcrSelection,
    parse_attest,
    parse_tpm2b_public,
    policy_pcr_digest,
)
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.tpm2 import Tpm2Device, keys
from keystead.model import WrappedKey
from keystead.testing.swtpm import Swtpm
from tests.integration.tpm2.verify import check_jose, check_tpmt
from tests.tpm2_tools import run_tool

MESSAGE = b"header.claims"
DIGEST = hashlib.sha256(MESSAGE).digest()
NONCE = bytes(range(32))
PCR_16 = PcrSelection.of({HashAlgorithm.SHA256: [16]})


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_signs_what_openssl_verifies(tpm_device: Tpm2Device, algorithm: str) -> None:
    key = await tpm_device.create_signing_key(algorithm)
    area = parse_tpm2b_public(key.public)
    signature = await tpm_device.sign(key, DIGEST)
    check_jose(area, MESSAGE, signature)
    with pytest.raises(InvalidSignature):
        check_jose(area, b"another message", signature)


async def test_new_keys_cannot_leave_the_tpm(tpm_device: Tpm2Device) -> None:
    area = parse_tpm2b_public((await tpm_device.create_signing_key("ES256")).public)
    assert area.has(
        ObjectAttributes.FIXED_TPM
        | ObjectAttributes.FIXED_PARENT
        | ObjectAttributes.SENSITIVE_DATA_ORIGIN
        | ObjectAttributes.SIGN
    )
    assert not area.attributes & (ObjectAttributes.DECRYPT | ObjectAttributes.RESTRICTED)


async def test_a_repr_hides_the_wrapped_private_part(tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256")
    assert repr(key.private) not in repr(key)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_certifies_a_key_for_a_nonce(tpm_device: Tpm2Device, algorithm: str) -> None:
    attestation_key = await tpm_device.create_attestation_key(algorithm)
    key = await tpm_device.create_signing_key("ES256")
    made = await tpm_device.certify(key, attestation_key=attestation_key, qualifying_data=NONCE)
    attest = parse_attest(made.attest)
    assert attest.certify is not None
    assert attest.certify.name == parse_tpm2b_public(key.public).name
    assert attest.extra_data == NONCE
    check_tpmt(parse_tpm2b_public(attestation_key.public), made.attest, made.signature)


async def test_an_attestation_key_refuses_foreign_digests(tpm_device: Tpm2Device) -> None:
    attestation_key = await tpm_device.create_attestation_key()
    with pytest.raises(Refused) as caught:
        await tpm_device.sign(attestation_key, DIGEST)
    assert caught.value.reason is Reason.HARDWARE_REFUSED


async def test_a_pcr_key_signs_until_the_pcr_changes(tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256", pcr_policy=PCR_16)
    area = parse_tpm2b_public(key.public)
    assert area.auth_policy == policy_pcr_digest(PCR_16, await tpm_device.read_pcrs(PCR_16))
    assert not area.has(ObjectAttributes.USER_WITH_AUTH)
    check_jose(area, MESSAGE, await tpm_device.sign(key, DIGEST, pcr_policy=PCR_16))
    await tpm_device.extend_pcr(16, {HashAlgorithm.SHA256: DIGEST})
    with pytest.raises(Refused, match="POLICY_FAIL"):
        await tpm_device.sign(key, DIGEST, pcr_policy=PCR_16)
    await tpm_device.reset_pcr(16)
    check_jose(area, MESSAGE, await tpm_device.sign(key, DIGEST, pcr_policy=PCR_16))


async def test_a_pcr_key_does_not_sign_by_password(tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256", pcr_policy=PCR_16)
    with pytest.raises(Refused, match="PCR policy"):
        await tpm_device.sign(key, DIGEST)
    other = PcrSelection.of({HashAlgorithm.SHA256: [17]})
    with pytest.raises(Refused, match="POLICY_FAIL"):
        await tpm_device.sign(key, DIGEST, pcr_policy=other)


async def test_many_refusals_leave_no_sessions_behind(tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256", pcr_policy=PCR_16)
    await tpm_device.extend_pcr(16, {HashAlgorithm.SHA256: DIGEST})
    for _ in range(8):  # more than the three sessions that a TPM must have
        with pytest.raises(Refused, match="POLICY_FAIL"):
            await tpm_device.sign(key, DIGEST, pcr_policy=PCR_16)
    assert tpm_device.reconnects == 0


async def test_a_pcr_key_can_be_certified(tpm_device: Tpm2Device) -> None:
    attestation_key = await tpm_device.create_attestation_key()
    key = await tpm_device.create_signing_key("ES256", pcr_policy=PCR_16)
    made = await tpm_device.certify(key, attestation_key=attestation_key, qualifying_data=NONCE)
    certified = parse_attest(made.attest).certify
    assert certified is not None
    assert certified.name == parse_tpm2b_public(key.public).name


async def test_refuses_a_policy_over_nothing(tpm_device: Tpm2Device) -> None:
    with pytest.raises(Malformed):
        await tpm_device.create_signing_key("ES256", pcr_policy=PcrSelection.of({}))


@pytest.mark.parametrize("digest", [b"", DIGEST[:-1], DIGEST + b"\0"])
async def test_signs_only_sha256_digests(tpm_device: Tpm2Device, digest: bytes) -> None:
    key = await tpm_device.create_signing_key("ES256")
    with pytest.raises(Malformed):
        await tpm_device.sign(key, digest)


async def test_more_keys_than_slots_take_turns(tpm_device: Tpm2Device) -> None:
    made = [await tpm_device.create_signing_key("ES256") for _ in range(5)]
    for _ in range(2):
        for key in made:
            signature = await tpm_device.sign(key, DIGEST)
            check_jose(parse_tpm2b_public(key.public), MESSAGE, signature)
    assert tpm_device.reconnects == 0


async def test_another_tpm_cannot_load_a_key(
    tpm_device: Tpm2Device, other_tpm_device: Tpm2Device
) -> None:
    key = await tpm_device.create_signing_key("ES256")
    with pytest.raises(Refused, match="INTEGRITY"):
        await other_tpm_device.sign(key, DIGEST)


async def test_a_damaged_key_is_refused(tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256")
    damaged = WrappedKey(public=key.public, private=key.private[:-1] + bytes([key.private[-1] ^ 1]))
    with pytest.raises(Refused, match="INTEGRITY"):
        await tpm_device.sign(damaged, DIGEST)
    with pytest.raises(Malformed):
        await tpm_device.sign(WrappedKey(public=key.public[:-1], private=key.private), DIGEST)


async def test_keys_survive_a_restart(swtpm: Swtpm, tpm_device: Tpm2Device) -> None:
    key = await tpm_device.create_signing_key("ES256")
    swtpm.stop()
    swtpm.start()
    check_jose(parse_tpm2b_public(key.public), MESSAGE, await tpm_device.sign(key, DIGEST))


def test_programs_without_a_loop_call_operations(tpm_device: Tpm2Device) -> None:
    key = tpm_device.call(keys.create_signing_key, "ES256")
    signature = tpm_device.call(keys.sign, key, DIGEST)
    check_jose(parse_tpm2b_public(key.public), MESSAGE, signature)


def test_a_closed_device_is_unavailable(tpm_device: Tpm2Device) -> None:
    tpm_device.close()
    with pytest.raises(Unavailable) as caught:
        tpm_device.call(keys.create_signing_key, "ES256")
    assert caught.value.reason is Reason.SHUTTING_DOWN


async def test_tpm2_tools_agree_on_name_and_key(
    swtpm: Swtpm, tpm_device: Tpm2Device, tmp_path: Path
) -> None:
    key = await tpm_device.create_signing_key("ES256")
    tpm_device.close()
    (tmp_path / "key.pub").write_bytes(key.public)
    (tmp_path / "key.priv").write_bytes(key.private)
    tcti = ("--tcti", swtpm.tcti)
    template = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
    # The tool reads its own memory layout: a 16-bit size and 128 bytes for each half.
    (tmp_path / "unique").write_bytes((b"\x20\x00" + bytes(128)) * 2)
    primary = run_tool(
        "createprimary", *tcti, "-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb", "-a", template,
        "-u", tmp_path / "unique", "-c", tmp_path / "srk.ctx",
    )  # fmt: skip
    assert primary.returncode == 0, primary.stderr
    loaded = run_tool(
        "load", *tcti, "-C", tmp_path / "srk.ctx", "-u", tmp_path / "key.pub",
        "-r", tmp_path / "key.priv", "-c", tmp_path / "key.ctx", "-n", tmp_path / "key.name",
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    assert (tmp_path / "key.name").read_bytes() == parse_tpm2b_public(key.public).name
    printed = run_tool("print", "-t", "TPM2B_PUBLIC", tmp_path / "key.pub")
    point = parse_tpm2b_public(key.public).key
    assert isinstance(point, EccKey)
    assert f"x: {point.x:064x}" in printed.stdout
    assert f"y: {point.y:064x}" in printed.stdout
