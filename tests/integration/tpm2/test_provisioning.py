"""What makers and owners write into a TPM: templates, nonces, chains, passwords."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.codec.tpm2 import parse_tpm2b_public
from keystead.codec.tpm2.templates import EK_P256
from keystead.errors import Refused
from keystead.hardware.tpm2 import Tpm2Device, nv_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.endorsement import CHAIN_FIRST, EK_SLOTS
from keystead.hardware.tpm2.key_commands import RH_ENDORSEMENT
from keystead.hardware.tpm2.nv_commands import NvPublic
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.integration.tpm2.test_activation import SECRET, credential
from tests.tpm2_tools import run_tool

SLOT = EK_SLOTS["p256"]
NONCE = bytes(range(1, 33))
RH_PLATFORM = 0x4000000C
# PPWRITE, PPREAD, OWNERREAD, AUTHREAD, NO_DA, PLATFORMCREATE
MAKERS_ATTRIBUTES = 1 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 25 | 1 << 30


def provision(connection: Connection, index: int, data: bytes) -> None:
    """Define and fill an index as the platform's maker does."""
    public = NvPublic(
        index=index,
        name_algorithm=0xB,
        attributes=MAKERS_ATTRIBUTES,
        auth_policy=b"",
        size=len(data),
    )
    nv_commands.nv_define_space(connection.channel, public, authority=RH_PLATFORM, auth=b"")
    for offset in range(0, len(data), 512):
        nv_commands.nv_write(
            connection.channel,
            index,
            data[offset : offset + 512],
            authority=RH_PLATFORM,
            auth=b"",
            offset=offset,
        )


def primary_public(connection: Connection, template: bytes) -> bytes:
    with connection.primary(RH_ENDORSEMENT, template) as made:
        return made[1]


async def test_the_makers_template_and_nonce_make_the_key(swtpm: Swtpm, tmp_path: Path) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=["p256"]) as device:
        plain = (await device.endorsement()).public
        await device.run(provision, SLOT.template_index, EK_P256.encode())
        assert SLOT.nonce_index is not None
        await device.run(provision, SLOT.nonce_index, NONCE)
        expected = await device.run(primary_public, EK_P256.with_nonce(NONCE).encode())
    with Tpm2Device(swtpm.tcti, ek_order=["p256"]) as device:
        found = (await device.endorsement()).public
        key = await device.create_attestation_key()
        blob, secret = credential(tmp_path, found, parse_tpm2b_public(key.public).name)
        activated = await device.activate_credential(
            key, credential_blob=blob, encrypted_secret=secret
        )
    assert found == expected
    assert found != plain
    assert activated == SECRET


async def test_reads_the_chain_that_the_tpm_holds(
    swtpm: Swtpm, swtpm_ca: SwtpmCa, tpm_device: Tpm2Device
) -> None:
    chain = [
        x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        for pem in (swtpm_ca.issuer_certificate_pem, swtpm_ca.root_certificate_pem)
    ]
    # The profile lets a certificate cross the border of two indices.
    joined = b"".join(chain)
    await tpm_device.run(provision, CHAIN_FIRST, joined[:1000])
    await tpm_device.run(provision, CHAIN_FIRST + 1, joined[1000:])
    assert (await tpm_device.endorsement()).chain == tuple(chain)


async def test_an_index_without_a_certificate_is_passed_over(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=["p256-high", "p384"]) as device:
        await device.run(provision, EK_SLOTS["p256-high"].certificate_index, b"\x10\x01\x00\x05")
        found = await device.endorsement()
    assert found.certificate is not None
    assert x509.load_der_x509_certificate(found.certificate)


async def test_works_under_an_owners_password(swtpm: Swtpm) -> None:
    changed = run_tool("changeauth", "--tcti", swtpm.tcti, "-c", "owner", "a password")
    assert changed.returncode == 0, changed.stderr
    with (
        Tpm2Device(swtpm.tcti, owner_auth=b"another") as device,
        pytest.raises(Refused, match=r"BAD_AUTH|AUTH_FAIL"),
    ):
        await device.create_signing_key("ES256")
    with Tpm2Device(swtpm.tcti, owner_auth=b"a password") as device:
        key = await device.create_signing_key("ES256")
        assert len(await device.sign(key, bytes(32))) == 64
        assert await device.increment_counter() == await device.read_counter()


async def test_works_under_an_endorsement_password(swtpm: Swtpm, tmp_path: Path) -> None:
    changed = run_tool("changeauth", "--tcti", swtpm.tcti, "-c", "endorsement", "a password")
    assert changed.returncode == 0, changed.stderr
    order = ["p256"]
    with Tpm2Device(swtpm.tcti, endorsement_auth=b"a password", ek_order=order) as device:
        ek = await device.endorsement()
        key = await device.create_attestation_key()
        blob, secret = credential(tmp_path, ek.public, parse_tpm2b_public(key.public).name)
        activated = await device.activate_credential(
            key, credential_blob=blob, encrypted_secret=secret
        )
    assert activated == SECRET


def test_a_repr_hides_passwords(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti, owner_auth=b"hunter2") as device:
        assert "hunter2" not in repr(vars(device))
