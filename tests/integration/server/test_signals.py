"""What SIGTERM and SIGINT do."""

import asyncio
import os
import signal
import time

import httpx
import pytest

from tests.doors import make_doors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_both_doors(number: int) -> None:
    doors = make_doors()
    await doors.start()
    running = asyncio.create_task(doors.run_until_stopped())
    async with httpx.AsyncClient(base_url=doors.http_address) as client:
        assert (await client.get("/healthz")).status_code == 200
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 5)
    for address in (doors.http_address.removeprefix("http://"), doors.grpc_address):
        host, port = address.rsplit(":", 1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))


async def test_a_stop_can_be_asked_for_without_a_signal() -> None:
    doors = make_doors()
    await doors.start()
    running = asyncio.create_task(doors.run_until_stopped())
    await asyncio.sleep(0)
    doors.ask_to_stop()
    started = time.monotonic()
    await asyncio.wait_for(running, 5)
    assert time.monotonic() - started < 2
