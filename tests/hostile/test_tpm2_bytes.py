"""Foreign bytes, in TPM structures or from a TPM, are Malformed or Unavailable and nothing else."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.tpm2 import (
    parse_attest,
    parse_pcr_selection,
    parse_signature,
    parse_template,
    parse_tpm2b_public,
    parse_tpmt_public,
    templates,
)
from keystead.errors import KeysteadError, Malformed, Unavailable
from keystead.hardware.tpm2 import Tpm2Device, keys
from keystead.hardware.tpm2.properties import properties
from tests import tpm2_structures as made
from tests.unit.hardware.tpm2.fake_tpm import fake_tpm

Parser = Callable[[bytes], object]

PARSERS: dict[str, tuple[Parser, bytes]] = {
    "TPMT_PUBLIC ecc": (parse_tpmt_public, made.ecc_public()),
    "TPMT_PUBLIC rsa": (parse_tpmt_public, made.rsa_public()),
    "TPM2B_PUBLIC": (parse_tpm2b_public, made.sized(made.ecc_public())),
    "TPMS_ATTEST": (parse_attest, made.attest()),
    "TPMT_SIGNATURE": (parse_signature, made.ecdsa_signature()),
    "TPML_PCR_SELECTION": (parse_pcr_selection, made.pcr_selection()),
    "template": (parse_template, templates.EK_P256.encode()),
}


@pytest.mark.parametrize("parser", [parser for parser, _ in PARSERS.values()])
@given(data=st.binary(max_size=700))
def test_any_bytes_parse_or_are_malformed(parser: Parser, data: bytes) -> None:
    try:
        parser(data)
    except Malformed:
        return


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_a_changed_structure_parses_or_is_malformed(name: str, data: st.DataObject) -> None:
    parser, good = PARSERS[name]
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    try:
        parser(bytes(changed))
    except Malformed:
        return


@pytest.mark.parametrize("name", PARSERS)
def test_the_unchanged_structure_parses(name: str) -> None:
    parser, good = PARSERS[name]
    parser(good)


def success(parameters: bytes) -> bytes:
    return bytes.fromhex("8001") + (10 + len(parameters)).to_bytes(4, "big") + bytes(4) + parameters


LYING_ANSWERS = {
    "a number that is no header": b"\x00",
    "zeros": bytes(64),
    "another capability": success(b"\x00" + bytes.fromhex("0000000600000000")),
    "four billion handles": success(b"\x00" + bytes.fromhex("00000001ffffffff")),
    "fewer handles than it says": success(b"\x00" + bytes.fromhex("0000000100000002" + "80000000")),
    "a length over the bound": bytes.fromhex("80017fffffff00000000"),
    "a length below a header": bytes.fromhex("80010000000000000000"),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("answer", LYING_ANSWERS.values(), ids=LYING_ANSWERS)
def test_a_tpm_that_answers_nonsense_is_unavailable(answer: bytes) -> None:
    with fake_tpm(lambda command: answer) as tcti:
        device = Tpm2Device(tcti, command_timeout_s=0.2, request_timeout_s=1.0)
        with device, pytest.raises(Unavailable):
            device.call(properties)


def test_a_tpm_that_hangs_up_at_every_command_is_unavailable() -> None:
    with (
        fake_tpm(lambda command: None) as tcti,
        Tpm2Device(tcti, request_timeout_s=1.0) as device,
        pytest.raises(Unavailable),
    ):
        device.call(keys.create_signing_key, "ES256")


def test_random_answers_never_escape_as_anything_else() -> None:
    chance = random.Random(20)

    def answer(command: bytes) -> bytes:
        return success(chance.randbytes(chance.randrange(40)))

    with fake_tpm(answer) as tcti:
        device = Tpm2Device(tcti, command_timeout_s=0.2, request_timeout_s=0.2)
        with device:
            for _ in range(20):
                with pytest.raises(KeysteadError):
                    device.call(properties)
