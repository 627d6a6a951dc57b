"""The NV counter that audit checkpoints carry."""

import pytest

from keystead.errors import Refused
from keystead.hardware.tpm2 import Tpm2Device, nv_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.device import COUNTER_INDEX
from keystead.hardware.tpm2.key_commands import RH_OWNER
from keystead.hardware.tpm2.nv import read_index
from keystead.hardware.tpm2.nv_commands import NvPublic
from keystead.testing.swtpm import Swtpm

OWNER_READ_WRITE = 1 << 1 | 1 << 17 | 1 << 25


async def test_counts_from_its_first_use(tpm_device: Tpm2Device) -> None:
    assert await tpm_device.read_counter() == 0
    first = await tpm_device.increment_counter()
    assert first > 0
    assert await tpm_device.increment_counter() == first + 1
    assert await tpm_device.read_counter() == first + 1


async def test_never_turns_back_with_a_power_cut(swtpm: Swtpm, tpm_device: Tpm2Device) -> None:
    values = []
    for _ in range(3):
        values.append(await tpm_device.increment_counter())
        swtpm.kill()
        swtpm.start()
        assert await tpm_device.read_counter() == values[-1]
    assert values == sorted(set(values))


def define(connection: Connection, index: int, size: int) -> None:
    public = NvPublic(
        index=index, name_algorithm=0xB, attributes=OWNER_READ_WRITE, auth_policy=b"", size=size
    )
    nv_commands.nv_define_space(connection.channel, public, authority=RH_OWNER, auth=b"")


async def test_leaves_an_index_of_somebody_else_alone(tpm_device: Tpm2Device) -> None:
    await tpm_device.run(define, COUNTER_INDEX, 8)
    with pytest.raises(Refused, match="no counter"):
        await tpm_device.increment_counter()
    with pytest.raises(Refused, match="no counter"):
        await tpm_device.read_counter()


def write(connection: Connection, index: int, data: bytes) -> None:
    for offset in range(0, len(data), 512):
        nv_commands.nv_write(
            connection.channel,
            index,
            data[offset : offset + 512],
            authority=RH_OWNER,
            auth=b"",
            offset=offset,
        )


async def test_reads_an_index_larger_than_one_buffer(tpm_device: Tpm2Device) -> None:
    data = bytes(range(256)) * 5 + b"end"
    await tpm_device.run(define, 0x01800200, len(data))
    assert await tpm_device.run(read_index, 0x01800200) == b"", "nothing is written yet"
    await tpm_device.run(write, 0x01800200, data)
    assert await tpm_device.run(read_index, 0x01800200) == data
