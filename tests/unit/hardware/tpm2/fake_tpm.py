"""A listener that answers whatever a test wants a TPM to answer."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Answer = Callable[[bytes], bytes | None]

OK = bytes.fromhex("80010000000a00000000")


@contextmanager
def fake_tpm(answer: Answer) -> Iterator[str]:
    """The TCTI of a TPM that sends ``answer(command)``, or hangs up when that is None."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "s"
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answer), daemon=True)
        thread.start()
        yield f"swtpm:path={path}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _serve(listener: socket.socket, answer: Answer) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            while (command := client.recv(4096)) and (response := answer(command)) is not None:
                client.sendall(response)
