"""A TPM that dies, hangs, restarts or talks nonsense: callers get an answer or Unavailable."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, parse_tpm2b_public
from keystead.codec.tpm2.templates import SRK_P256
from keystead.errors import Reason, Unavailable
from keystead.hardware.tpm2 import Tpm2Device, key_commands, keys, pcrs, system_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.frames import Channel
from keystead.hardware.tpm2.key_commands import RH_OWNER
from keystead.hardware.tpm2.owner import AWAY_TIMEOUT_S
from keystead.hardware.tpm2.transport import open_transport
from keystead.model import WrappedKey
from keystead.testing.swtpm import Swtpm
from tests.integration.tpm2.verify import check_jose

MESSAGE = b"header.claims"
DIGEST = hashlib.sha256(MESSAGE).digest()
CALLERS = 8
# A second of silence is a hang for these devices; a loaded machine gets as much again.
SILENCE_S = 1.0
SLACK_S = 1.0


@pytest.fixture
def device(swtpm: Swtpm) -> Iterator[Tpm2Device]:
    with Tpm2Device(swtpm.tcti, command_timeout_s=SILENCE_S) as made:
        yield made


class Load:
    """Callers that sign all the time, check what they get and note how it went."""

    def __init__(self, device: Tpm2Device, key: WrappedKey) -> None:
        self.device, self.key = device, key
        self.area = parse_tpm2b_public(key.public)
        self.signed = 0
        self.errors: list[Unavailable] = []
        self.longest_s = 0.0
        self.going = True

    async def caller(self) -> None:
        while self.going:
            before = time.monotonic()
            try:
                check_jose(self.area, MESSAGE, await self.device.sign(self.key, DIGEST))
                self.signed += 1
            except Unavailable as error:
                self.errors.append(error)
                await asyncio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - before)

    async def during(self, *steps: Callable[[], None] | float) -> None:
        """Keep the callers busy while ``steps`` (things to do, seconds to wait) happen."""
        callers = [asyncio.create_task(self.caller()) for _ in range(CALLERS)]
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                step()
        self.going = False
        await asyncio.gather(*callers)


async def load_on(device: Tpm2Device) -> Load:
    return Load(device, await device.create_signing_key("ES256"))


async def test_a_restart_under_load_costs_no_signature(swtpm: Swtpm, device: Tpm2Device) -> None:
    load = await load_on(device)
    await load.during(0.2, swtpm.kill, 0.3, swtpm.start, 0.5)
    assert load.errors == []
    assert load.signed > CALLERS
    assert device.reconnects == 1


async def test_a_dead_tpm_is_unavailable_until_it_is_back(swtpm: Swtpm, device: Tpm2Device) -> None:
    load = await load_on(device)
    await load.during(0.2, swtpm.kill, AWAY_TIMEOUT_S + 0.5)
    assert load.signed > 0
    assert load.errors
    assert load.longest_s < AWAY_TIMEOUT_S + SLACK_S
    assert device.away
    swtpm.start()
    check_jose(load.area, MESSAGE, await device.sign(load.key, DIGEST))
    assert not device.away


async def test_a_hanging_tpm_is_unavailable_until_it_goes_on(
    swtpm: Swtpm, device: Tpm2Device
) -> None:
    load = await load_on(device)
    await load.during(0.2, swtpm.pause, SILENCE_S + AWAY_TIMEOUT_S + 0.5)
    assert {error.reason for error in load.errors} == {Reason.HARDWARE_UNAVAILABLE}
    assert load.longest_s < SILENCE_S + AWAY_TIMEOUT_S + SLACK_S
    swtpm.resume()
    back = await load_on_eventually(device)
    await back.during(0.2)
    assert back.errors == []
    assert back.signed > 0


async def load_on_eventually(device: Tpm2Device) -> Load:
    """The owner may still be waiting for the TPM's silence to end."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return await load_on(device)
        except Unavailable:
            if time.monotonic() > deadline:
                raise


async def test_an_extend_that_may_have_happened_is_not_repeated(
    swtpm: Swtpm, device: Tpm2Device
) -> None:
    selection = PcrSelection.of({HashAlgorithm.SHA256: [16]})
    await device.read_pcrs(selection)
    swtpm.kill()
    swtpm.start()
    with pytest.raises(Unavailable):
        await device.extend_pcr(16, {HashAlgorithm.SHA256: DIGEST})
    assert (await device.read_pcrs(selection))[HashAlgorithm.SHA256][16] == bytes(32)
    await device.extend_pcr(16, {HashAlgorithm.SHA256: DIGEST})


async def test_what_an_earlier_client_left_is_flushed(swtpm: Swtpm) -> None:
    channel = Channel(
        transport=open_transport(swtpm.tcti, timeout_s=5), timeout_s=5, create_timeout_s=5
    )
    for _ in range(3):
        key_commands.create_primary(channel, RH_OWNER, SRK_P256.encode(), auth=b"")
    channel.transport.close()
    with Tpm2Device(swtpm.tcti) as device:
        load = await load_on(device)
        check_jose(load.area, MESSAGE, await device.sign(load.key, DIGEST))


async def test_a_key_that_somebody_flushed_is_loaded_again(device: Tpm2Device) -> None:
    load = await load_on(device)
    await device.sign(load.key, DIGEST)
    await device.run(flush_behind_its_back)
    check_jose(load.area, MESSAGE, await device.sign(load.key, DIGEST))


def flush_behind_its_back(connection: Connection) -> None:
    for handle in system_commands.get_handles(connection.channel, 0x80000000):
        key_commands.flush_context(connection.channel, handle)


async def test_a_closed_device_leaves_nothing_behind(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti) as device:
        await (await load_on(device)).during(0.1)
    channel = Channel(
        transport=open_transport(swtpm.tcti, timeout_s=5), timeout_s=5, create_timeout_s=5
    )
    for first in (0x80000000, 0x02000000, 0x03000000):
        assert system_commands.get_handles(channel, first) == ()
    channel.transport.close()


async def test_a_cancelled_caller_disturbs_nobody(device: Tpm2Device) -> None:
    load = await load_on(device)
    waiting = [asyncio.create_task(device.sign(load.key, DIGEST)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    for result in results[1::2]:
        assert isinstance(result, bytes)
        check_jose(load.area, MESSAGE, result)


async def test_a_full_queue_is_busy_not_slow(swtpm: Swtpm) -> None:
    with Tpm2Device(swtpm.tcti, queue_limit=4, command_timeout_s=SILENCE_S) as device:
        load = await load_on(device)
        swtpm.pause()
        crowd = [asyncio.create_task(device.sign(load.key, DIGEST)) for _ in range(16)]
        results = await asyncio.gather(*crowd, return_exceptions=True)
        swtpm.resume()
    reasons = [result.reason for result in results if isinstance(result, Unavailable)]
    assert len(reasons) == 16
    assert reasons.count(Reason.HARDWARE_BUSY) >= 16 - 4 - 1


def test_blocking_callers_have_a_deadline_too(swtpm: Swtpm, device: Tpm2Device) -> None:
    key = device.call(keys.create_signing_key, "ES256")
    swtpm.pause()
    before = time.monotonic()
    with pytest.raises(Unavailable):
        device.call(keys.sign, key, DIGEST)
    assert time.monotonic() - before < SILENCE_S + SLACK_S
    swtpm.resume()


def test_closing_does_not_wait_for_a_hanging_tpm(swtpm: Swtpm) -> None:
    device = Tpm2Device(swtpm.tcti)
    device.call(pcrs.read_pcrs, PcrSelection.of({HashAlgorithm.SHA256: [0]}))
    swtpm.pause()
    before = time.monotonic()
    device.close()
    assert time.monotonic() - before < 4
    swtpm.resume()
