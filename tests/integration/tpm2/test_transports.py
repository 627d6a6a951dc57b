"""The same TPM over each form of TCTI."""

import hashlib
import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, parse_tpm2b_public
from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm
from tests.integration.tpm2.verify import check_jose

MESSAGE = b"header.claims"
DIGEST = hashlib.sha256(MESSAGE).digest()


@contextmanager
def copying(ours: int, swtpm: Swtpm) -> Iterator[None]:
    """Carries bytes between a descriptor and the TPM's socket, both ways."""
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(swtpm.tcti.removeprefix("swtpm:path="))
        stop_reading, stop = os.pipe()
        thread = threading.Thread(target=_copy, args=(ours, tpm.fileno(), stop_reading))
        thread.start()
        yield
        os.close(stop)
        thread.join(5)
        os.close(stop_reading)


def _copy(one: int, other: int, stop: int) -> None:
    while True:
        ready, _, _ = select.select([one, other, stop], [], [])
        for source, target in ((one, other), (other, one)):
            if source in ready:
                data = os.read(source, 4096)
                if not data:
                    return
                os.write(target, data)
        if stop in ready:
            return


async def check_device(tcti: str) -> None:
    with Tpm2Device(tcti) as device:
        key = await device.create_signing_key("ES256")
        area = parse_tpm2b_public(key.public)
        for _ in range(20):
            check_jose(area, MESSAGE, await device.sign(key, DIGEST))
        values = await device.read_pcrs(PcrSelection.of({HashAlgorithm.SHA256: range(24)}))
        assert len(values[HashAlgorithm.SHA256]) == 24
        assert (await device.endorsement()).certificate is not None


async def test_a_character_device(swtpm: Swtpm) -> None:
    ours, device = pty.openpty()
    tty.setraw(device)
    with copying(ours, swtpm):
        await check_device(f"device:{os.ttyname(device)}")
    os.close(ours)
    os.close(device)


async def test_a_unix_socket(swtpm: Swtpm) -> None:
    await check_device(swtpm.tcti)


async def test_a_tcp_port(swtpm: Swtpm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        never, unused = os.pipe()

        def serve() -> None:
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as tpm:
                tpm.connect(swtpm.tcti.removeprefix("swtpm:path="))
                _copy(client.fileno(), tpm.fileno(), never)

        thread = threading.Thread(target=serve)
        thread.start()
        await check_device(f"swtpm:host=127.0.0.1,port={port}")
        thread.join(5)
        os.close(never)
        os.close(unused)
    assert not thread.is_alive(), "closing the device ended the connection"
