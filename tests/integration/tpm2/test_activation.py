"""Endorsement keys of every kind, with credentials made by tpm2_makecredential."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import EccKey, ObjectAttributes, RsaKey, parse_tpm2b_public
from keystead.errors import ConfigurationError, Malformed, Reason, Refused
from keystead.hardware.tpm2 import Tpm2Device
from keystead.hardware.tpm2.endorsement import EK_SLOTS
from keystead.model import WrappedKey
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.tpm2_tools import run_tool

SECRET = bytes(range(32))
CERTIFIED = ["p256", "rsa2048", "p384"]


def credential(folder: Path, ek_public: bytes, name: bytes) -> tuple[bytes, bytes]:
    """TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET for ``SECRET``."""
    (folder / "ek.pub").write_bytes(ek_public)
    (folder / "secret").write_bytes(SECRET)
    made = run_tool(
        "makecredential", "-T", "none", "-u", folder / "ek.pub", "-s", folder / "secret",
        "-n", name.hex(), "-o", folder / "credential",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    blobs = (folder / "credential").read_bytes()[8:]  # after the tool's own magic and version
    size = 2 + int.from_bytes(blobs[:2], "big")
    return blobs[:size], blobs[size:]


def check_same_key(certificate: bytes, public: bytes) -> None:
    key = x509.load_der_x509_certificate(certificate).public_key()
    area = parse_tpm2b_public(public)
    if isinstance(area.key, RsaKey):
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.public_numbers().n == area.key.modulus
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        numbers = key.public_numbers()
        assert (numbers.x, numbers.y) == (area.key.x, area.key.y)


@pytest.mark.parametrize("kind", CERTIFIED)
async def test_the_key_is_the_one_in_its_certificate(
    swtpm: Swtpm, swtpm_ca: SwtpmCa, kind: str
) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=[kind]) as device:
        found = await device.endorsement()
    assert found.certificate is not None
    check_same_key(found.certificate, found.public)
    issuer = x509.load_pem_x509_certificate(swtpm_ca.issuer_certificate_pem)
    root = x509.load_pem_x509_certificate(swtpm_ca.root_certificate_pem)
    x509.load_der_x509_certificate(found.certificate).verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)


@pytest.mark.parametrize("kind", list(EK_SLOTS))
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_activates_a_credential(
    swtpm: Swtpm, tmp_path: Path, kind: str, algorithm: str
) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=[kind]) as device:
        ek = await device.endorsement()
        key = await device.create_attestation_key(algorithm)
        name = parse_tpm2b_public(key.public).name
        blob, secret = credential(tmp_path, ek.public, name)
        activated = await device.activate_credential(
            key, credential_blob=blob, encrypted_secret=secret
        )
    assert activated == SECRET


@pytest.mark.parametrize("kind", CERTIFIED)
async def test_refuses_a_credential_for_another_key(
    swtpm: Swtpm, tmp_path: Path, kind: str
) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=[kind]) as device:
        ek = await device.endorsement()
        key, other = [await device.create_attestation_key() for _ in range(2)]
        blob, secret = credential(tmp_path, ek.public, parse_tpm2b_public(key.public).name)
        for _ in range(5):  # and leaves neither an EK nor a session behind
            with pytest.raises(Refused) as caught:
                await device.activate_credential(
                    other, credential_blob=blob, encrypted_secret=secret
                )
            assert caught.value.reason is Reason.ACTIVATION_FAILED
        activated = await device.activate_credential(
            key, credential_blob=blob, encrypted_secret=secret
        )
        assert device.reconnects == 0
    assert activated == SECRET


async def test_refuses_a_credential_for_another_tpm(
    tpm_device: Tpm2Device, other_tpm_device: Tpm2Device, tmp_path: Path
) -> None:
    ek, other_ek = await tpm_device.endorsement(), await other_tpm_device.endorsement()
    assert ek.public != other_ek.public
    key = await tpm_device.create_attestation_key()
    name = parse_tpm2b_public(key.public).name
    blob, secret = credential(tmp_path, other_ek.public, name)
    with pytest.raises(Refused) as caught:
        await tpm_device.activate_credential(key, credential_blob=blob, encrypted_secret=secret)
    assert caught.value.reason is Reason.ACTIVATION_FAILED


async def test_rejects_blobs_that_are_not_one_buffer_each(tpm_device: Tpm2Device) -> None:
    key: WrappedKey = await tpm_device.create_attestation_key()
    good = b"\x00\x02ab"
    for blob, secret in [(b"", good), (good[:-1], good), (good + b"\0", good), (good, b"\xff\xff")]:
        with pytest.raises(Malformed):
            await tpm_device.activate_credential(key, credential_blob=blob, encrypted_secret=secret)


async def test_prefers_the_order_that_was_asked_for(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=["p256-high", "p384", "p256"]) as device:
        found = await device.endorsement()
    area = parse_tpm2b_public(found.public)
    assert area.name_algorithm is HashAlgorithm.SHA384, "the first with a certificate"
    assert isinstance(area.key, EccKey)


async def test_an_uncertified_key_is_better_than_none(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=["p256-high"]) as device:
        found = await device.endorsement()
    assert found.certificate is None
    assert found.chain == ()
    assert parse_tpm2b_public(found.public).has(ObjectAttributes.RESTRICTED)


def test_names_an_unknown_kind_of_endorsement_key(swtpm: Swtpm) -> None:
    with pytest.raises(ConfigurationError, match="ed25519"):
        Tpm2Device(swtpm.tcti, ek_order=["ed25519"])
