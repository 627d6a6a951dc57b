import time

import pytest

from keystead.codec.reader import Reader
from keystead.hardware.tpm2.frames import (
    Command,
    execute,
    frame,
    no_parameters,
    password,
    policy,
)
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import ConnectionLost

PLAIN = frame(Command.GET_RANDOM, parameters=b"\x00\x08")
WITH_AUTH = frame(Command.SIGN, handles=[0x80000001], auths=[password()], parameters=b"abc")


class Scripted:
    """A transport that plays back responses."""

    def __init__(self, *responses: str) -> None:
        self.responses = [bytes.fromhex(response) for response in responses]
        self.sent: list[bytes] = []
        self.closed = False

    def exchange(self, command: bytes, *, deadline: float) -> bytes:
        self.sent.append(command)
        return self.responses.pop(0)

    def meanwhile(self, work: object) -> None: ...

    def close(self) -> None:
        self.closed = True


def sized_answer(reader: Reader) -> bytes:
    return reader.sized(max_bytes=8)


def run(transport: Scripted, request: bytes = PLAIN, timeout_s: float = 1.0) -> bytes:
    return execute(transport, request, parse=sized_answer, timeout_s=timeout_s)


def test_a_command_without_authorization() -> None:
    assert PLAIN.hex() == "8001" + "0000000c" + "0000017b" + "0008"


def test_a_command_with_a_password() -> None:
    area = "40000009" + "0000" + "01" + "0000"
    expected = "8002" + "0000001e" + "0000015d" + "80000001" + "00000009" + area + "616263"
    assert WITH_AUTH.hex() == expected


def test_a_password_and_a_session_authorization() -> None:
    assert password(b"pw").hex() == "40000009" + "0000" + "01" + "0002" + "7077"
    assert policy(0x03000000).hex() == "03000000" + "0000" + "00" + "0000"


def test_parses_parameters() -> None:
    assert run(Scripted("8001" + "0000000e" + "00000000" + "0002beef")) == b"\xbe\xef"


def test_parses_parameters_before_the_session_area() -> None:
    response = "8002" + "00000017" + "00000000" + "00000004" + "0002beef" + "0000010000"
    assert run(Scripted(response), WITH_AUTH) == b"\xbe\xef"


def test_parses_a_handle_before_the_parameter_size() -> None:
    response = (
        "8002" + "0000001b" + "00000000" + "80000002" + "00000004" + "0002beef" + "0000010000"
    )

    def parse(reader: Reader) -> tuple[int, bytes]:
        return reader.u32(), reader.sized(max_bytes=8)

    answer = execute(Scripted(response), WITH_AUTH, parse=parse, timeout_s=1, returns_handle=True)
    assert answer == (0x80000002, b"\xbe\xef")


@pytest.mark.parametrize(
    ("request_frame", "response"),
    [
        pytest.param(PLAIN, "8002" + "0000000e" + "00000000" + "0002beef", id="another tag"),
        pytest.param(PLAIN, "8001" + "0000000d" + "00000000" + "0002be", id="truncated"),
        pytest.param(PLAIN, "8001" + "0000000f" + "00000000" + "0002beef00", id="a byte too many"),
        pytest.param(
            PLAIN, "8001" + "00000015" + "00000000" + "0009" + "00" * 9, id="over the bound"
        ),
        pytest.param(
            WITH_AUTH, "8002" + "00000012" + "00000000" + "00000004" + "0002beef", id="no sessions"
        ),
        pytest.param(
            WITH_AUTH,
            "8002" + "00000016" + "00000000" + "00000004" + "0002beef" + "00000100",
            id="half a session",
        ),
        pytest.param(
            WITH_AUTH,
            "8002" + "00000017" + "00000000" + "000000ff" + "0002beef" + "0000010000",
            id="parameters longer than the answer",
        ),
        pytest.param(PLAIN, "8001" + "0000000e" + "00000101" + "0002beef", id="a long failure"),
        pytest.param(PLAIN, "8002" + "0000000a" + "00000101", id="a failure with sessions"),
    ],
)
def test_an_answer_that_does_not_decode_ends_the_connection(
    request_frame: bytes, response: str
) -> None:
    transport = Scripted(response)
    with pytest.raises(ConnectionLost, match="does not decode"):
        run(transport, request_frame)
    assert transport.closed


def test_a_failure_names_the_command_and_the_code() -> None:
    with pytest.raises(TpmError, match="TPM2_GET_RANDOM: TPM_RC_FAILURE"):
        run(Scripted("80010000000a00000101"))


def test_repeats_what_the_tpm_asks_to_repeat() -> None:
    transport = Scripted("80010000000a00000922", "8001" + "0000000e" + "00000000" + "0002beef")
    assert run(transport) == b"\xbe\xef"
    assert transport.sent == [PLAIN, PLAIN]


def test_repeats_only_until_the_deadline() -> None:
    transport = Scripted(*["80010000000a00000922"] * 100)
    before = time.monotonic()
    with pytest.raises(TpmError, match="RETRY"):
        run(transport, timeout_s=0.1)
    assert time.monotonic() - before < 1
    assert 1 < len(transport.sent) < 100


def test_an_answer_without_parameters() -> None:
    execute(Scripted("80010000000a00000000"), PLAIN, parse=no_parameters, timeout_s=1)
    with pytest.raises(ConnectionLost):
        execute(Scripted("80010000000b0000000000"), PLAIN, parse=no_parameters, timeout_s=1)
