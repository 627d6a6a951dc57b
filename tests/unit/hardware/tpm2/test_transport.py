import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError
from keystead.hardware.tpm2.transport import (
    ConnectionLost,
    FileTransport,
    TpmHangs,
    Transport,
    check_tcti,
    open_transport,
)
from tests.unit.hardware.tpm2.fake_tpm import OK, fake_tpm

COMMAND = bytes.fromhex("80010000000c000001440000")


def soon(seconds: float = 2.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def pair() -> tuple[Transport, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return FileTransport(ours.detach()), theirs


def reply(theirs: socket.socket, *pieces: bytes) -> threading.Thread:
    def send() -> None:
        theirs.recv(4096)
        with suppress(OSError):  # a poisoned transport does not listen to the end
            for piece in pieces:
                theirs.sendall(piece)
                time.sleep(0.01)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "tcti",
    [
        "",
        "device",
        "device:tpm0",
        "swtpm",
        "swtpm:",
        "swtpm:path=",
        "swtpm:host=127.0.0.1",
        "swtpm:host=127.0.0.1,port=",
        "swtpm:host=127.0.0.1,port=0",
        "swtpm:host=127.0.0.1,port=65536",
        "swtpm:path=/s,port=1",
        "mssim:host=127.0.0.1,port=2321",
        "tabrmd",
    ],
)
def test_says_what_it_understands(tcti: str) -> None:
    with pytest.raises(ConfigurationError, match="device:/PATH, swtpm:path=/PATH"):
        check_tcti(tcti)
    with pytest.raises(ConfigurationError):
        open_transport(tcti, timeout_s=1)


@pytest.mark.parametrize(
    "tcti", ["device:/dev/tpmrm0", "swtpm:path=/s", "swtpm:host=127.0.0.1,port=2321"]
)
def test_understands_the_three_forms(tcti: str) -> None:
    check_tcti(tcti)


def test_an_absent_tpm_is_lost_not_misconfigured(tmp_path: Path) -> None:
    for tcti in (f"swtpm:path={tmp_path}/none", f"device:{tmp_path}/none"):
        with pytest.raises(ConnectionLost):
            open_transport(tcti, timeout_s=1)


def test_returns_a_response_in_pieces(pair: tuple[Transport, socket.socket]) -> None:
    transport, theirs = pair
    thread = reply(theirs, OK[:3], OK[3:6], OK[6:])
    assert transport.exchange(COMMAND, deadline=soon()) == OK
    thread.join()
    transport.close()
    theirs.close()


def test_works_while_the_tpm_computes(pair: tuple[Transport, socket.socket]) -> None:
    transport, theirs = pair
    seen: list[bytes] = []

    def work() -> None:
        seen.append(theirs.recv(4096))
        theirs.sendall(OK)

    transport.meanwhile(work)
    assert transport.exchange(COMMAND, deadline=soon()) == OK
    assert seen == [COMMAND]
    transport.close()
    theirs.close()


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(OK + b"\0", id="longer than it says"),
        pytest.param(bytes.fromhex("80010000000900000000"), id="shorter than a header"),
        pytest.param(bytes.fromhex("80010000100100000000"), id="over the bound"),
        pytest.param(bytes.fromhex("8001ffffffff00000000"), id="huge"),
    ],
)
def test_a_response_of_another_length_ends_the_connection(
    pair: tuple[Transport, socket.socket], response: bytes
) -> None:
    transport, theirs = pair
    thread = reply(theirs, response)
    with pytest.raises(ConnectionLost):
        transport.exchange(COMMAND, deadline=soon())
    thread.join()
    with pytest.raises(ConnectionLost, match="closed"):
        transport.exchange(COMMAND, deadline=soon())
    theirs.close()


def test_hanging_up_in_the_middle_ends_the_connection() -> None:
    hung_up = iter([OK[:7], None])
    with fake_tpm(lambda command: next(hung_up)) as tcti:
        transport = open_transport(tcti, timeout_s=1)
        with pytest.raises(ConnectionLost):
            transport.exchange(COMMAND, deadline=soon(0.5))


def test_silence_ends_at_the_deadline_and_poisons(pair: tuple[Transport, socket.socket]) -> None:
    transport, theirs = pair
    before = time.monotonic()
    with pytest.raises(TpmHangs):
        transport.exchange(COMMAND, deadline=soon(0.1))
    assert time.monotonic() - before < 1
    with pytest.raises(ConnectionLost, match="closed"):
        transport.exchange(COMMAND, deadline=soon())
    theirs.close()


def test_a_trickle_does_not_move_the_deadline(pair: tuple[Transport, socket.socket]) -> None:
    transport, theirs = pair
    big = bytes.fromhex("80010000010000000000") + bytes(246)
    thread = reply(theirs, *(bytes([octet]) for octet in big[:40]))
    before = time.monotonic()
    with pytest.raises(TpmHangs):
        transport.exchange(COMMAND, deadline=soon(0.2))
    assert time.monotonic() - before < 1
    thread.join()
    theirs.close()


def test_closing_twice_is_allowed(pair: tuple[Transport, socket.socket]) -> None:
    transport, theirs = pair
    transport.close()
    transport.close()
    theirs.close()


def test_bytes_that_answer_nothing_are_not_the_next_answer(
    pair: tuple[Transport, socket.socket],
) -> None:
    """An answer that comes twice, or late, would be taken for that of whatever is asked next."""
    transport, theirs = pair
    thread = reply(theirs, OK)
    assert transport.exchange(COMMAND, deadline=soon()) == OK
    thread.join()
    theirs.sendall(OK)
    with pytest.raises(ConnectionLost, match="unasked"):
        transport.exchange(COMMAND, deadline=soon())
    with pytest.raises(ConnectionLost, match="closed"):
        transport.exchange(COMMAND, deadline=soon())
    theirs.close()


def test_an_exchange_that_was_left_in_the_middle_ends_the_connection(
    pair: tuple[Transport, socket.socket],
) -> None:
    transport, theirs = pair

    def work() -> None:
        raise RuntimeError("a bug")

    transport.meanwhile(work)
    with pytest.raises(RuntimeError):
        transport.exchange(COMMAND, deadline=soon())
    with pytest.raises(ConnectionLost, match="closed"):
        transport.exchange(COMMAND, deadline=soon())
    theirs.close()
