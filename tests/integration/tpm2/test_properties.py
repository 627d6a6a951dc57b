from keystead.codec.hashes import HashAlgorithm
from keystead.hardware.tpm2 import Tpm2Device


async def test_a_software_tpm_admits_what_it_is(tpm_device: Tpm2Device) -> None:
    found = await tpm_device.properties()
    assert found.emulated
    assert found.manufacturer == "IBM"
    assert found.pcr_banks == {
        bank: tuple(range(24))
        for bank in (HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384)
    }


async def test_gives_as_many_random_bytes_as_asked(tpm_device: Tpm2Device) -> None:
    assert await tpm_device.random(0) == b""
    first, second = await tpm_device.random(100), await tpm_device.random(100)
    assert (len(first), len(second)) == (100, 100)
    assert first != second
