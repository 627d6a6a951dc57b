"""Envelopes of documents that somebody made to hurt: refused, soon, and with little memory."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url, cbor, json
from keystead.errors import KeysteadError, Malformed
from keystead.evidence.envelope import parse_envelope
from tests.app_attest_builder import CLIENT_DATA, Device
from tests.device_chains import CA, NOW, certificate, curve_key
from tests.nitro_builder import PCRS, PROTECTED, Enclave, sign1

ENCLAVE, DEVICE = Enclave(), Device()
POLICY = AppraisalPolicy(
    id="test",
    version=1,
    aws_nitro=ENCLAVE.policy().aws_nitro,
    app_attest=DEVICE.policy().app_attest,
)
MEGABYTE = 1_000_000
CPU_S = 1.0
MEMORY_BYTES = 64_000_000


@contextmanager
def cheap() -> Iterator[None]:
    tracemalloc.start()
    began = time.thread_time()
    try:
        yield
        assert time.thread_time() - began < CPU_S
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


def envelope(kind: str, **evidence: object) -> bytes:
    return json.encode({"keystead_evidence": 1, "kind": kind, "evidence": evidence})


def nitro(document: bytes) -> bytes:
    return envelope("aws-nitro", document=base64url.encode(document))


def app(attestation: bytes, **changes: object) -> bytes:
    members: dict[str, object] = {
        "attestation_object": base64url.encode(attestation),
        "key_id": base64url.encode(DEVICE.key_id),
        "client_data": base64url.encode(CLIENT_DATA),
    }
    return envelope("app-attest", **(members | changes))


def test_the_good_ones_are_good() -> None:
    for data in (nitro(ENCLAVE.document()), app(DEVICE.attestation())):
        assert appraise_saved(parse_envelope(data), policy=POLICY, now=NOW).hardware


PAYLOADS = {
    "depth": b"\x81" * 8_000,
    "indefinite depth": b"\x9f" * 8_000,
    "maps in maps": b"\xa1\x00" * 4_000,
    "many items": b"\x99\x20\x00" + b"\x00" * 0x2000,
    "a claim of many": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    "a claim of length": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "tags": b"\xc1" * 8_000,
    "a bomb of shared values": b"\xd8\x1c\x82" * 2_000,
    "one key many times": b"\xb9\x01\x00" + b"\x61\x61\x00" * 256,
    "pieces of a string": b"\x5f" + b"\x41\x00" * 4_000 + b"\xff",
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_made_to_hurt_is_malformed(name: str) -> None:
    payload = PAYLOADS[name]
    statement = cbor.encode([PROTECTED, {}, payload, bytes(96)])
    for data in (nitro(statement), nitro(payload), app(payload)):
        with cheap(), pytest.raises(Malformed):
            appraise_saved(parse_envelope(data), policy=POLICY, now=NOW)


@pytest.mark.parametrize("filler", [b"\x00", b"\x9f", b"\x84", b"\xff", b"\x81"])
def test_a_megabyte_is_malformed(filler: bytes) -> None:
    data = filler * MEGABYTE
    for made in (nitro(data), app(data), app(DEVICE.attestation(), client_data="A" * MEGABYTE)):
        with cheap(), pytest.raises(Malformed):
            appraise_saved(parse_envelope(made), policy=POLICY, now=NOW)


def test_a_bundle_of_look_alikes_costs_little() -> None:
    """Many CAs of one name and key: a path builder could try them all."""
    key = curve_key("maker's CA")
    fakes = [
        certificate("maker's CA", issuer="maker's CA", key=key, extensions=CA) for _ in range(4)
    ]
    document = sign1(
        cbor.encode(ENCLAVE.members(cabundle=[ENCLAVE.chain.root, *fakes])), key=ENCLAVE.key
    )
    with cheap(), pytest.raises(KeysteadError):
        appraise_saved(parse_envelope(nitro(document)), policy=POLICY, now=NOW)


def test_one_kinds_evidence_is_no_others() -> None:
    as_nitro = envelope("aws-nitro", attestation_object=base64url.encode(DEVICE.attestation()))
    mixed = (
        as_nitro,
        nitro(DEVICE.attestation()),
        app(ENCLAVE.document()),
        envelope("app-attest", document=base64url.encode(ENCLAVE.document())),
        envelope("tpm2", document=base64url.encode(ENCLAVE.document())),
    )
    for data in mixed:
        with pytest.raises(Malformed):
            appraise_saved(parse_envelope(data), policy=POLICY, now=NOW)


PAYLOAD = cbor.encode(ENCLAVE.members())
OTHER_PCRS = cbor.encode({0: b"\x66" * 48})


def one_more(encoded: bytes, *pair: bytes) -> bytes:
    """A short CBOR map with one pair more at its end."""
    assert 0xA0 <= encoded[0] < 0xB7
    return bytes([encoded[0] + 1]) + encoded[1:] + b"".join(pair)


def without_a_length(encoded: bytes) -> bytes:
    """The same map with its end marked instead of its length."""
    return b"\xbf" + encoded[1:] + b"\xff"


SIGNED_PAYLOADS = {
    "PCRs twice": one_more(PAYLOAD, cbor.encode("pcrs"), OTHER_PCRS),
    "a nonce twice": one_more(PAYLOAD, cbor.encode("nonce"), cbor.encode(b"n" * 32)),
    "PCRs twice, without a length": without_a_length(
        one_more(PAYLOAD, cbor.encode("pcrs"), OTHER_PCRS)
    ),
    "one PCR twice": PAYLOAD.replace(
        cbor.encode(PCRS), one_more(cbor.encode(PCRS), b"\x00", cbor.encode(b"\x66" * 48))
    ),
    "one PCR in two spellings": PAYLOAD.replace(
        cbor.encode(PCRS), one_more(cbor.encode(PCRS), b"\x18\x00", cbor.encode(b"\x66" * 48))
    ),
    "PCRs of both types": one_more(PAYLOAD, cbor.encode("nitrotpm_pcrs"), OTHER_PCRS),
    "a byte after it": PAYLOAD + b"\x00",
    "another value after it": PAYLOAD + PAYLOAD,
    "an end mark too many": without_a_length(PAYLOAD) + b"\xff",
    "no end mark": without_a_length(PAYLOAD)[:-1],
    "an unknown member": one_more(PAYLOAD, cbor.encode("more"), b"\xf6"),
    "a tag": b"\xc1" + PAYLOAD,
    "an array around it": b"\x81" + PAYLOAD,
}


@pytest.mark.parametrize("name", SIGNED_PAYLOADS)
def test_what_two_readers_could_read_in_two_ways_is_malformed_even_signed(name: str) -> None:
    """The enclave's own key signed each of these: no signature helps against them."""
    assert SIGNED_PAYLOADS[name] != PAYLOAD
    document = sign1(SIGNED_PAYLOADS[name], key=ENCLAVE.key)
    with pytest.raises(Malformed):
        appraise_saved(parse_envelope(nitro(document)), policy=POLICY, now=NOW)


def test_a_signed_payload_without_a_length_is_as_new_modules_make_it() -> None:
    document = sign1(without_a_length(PAYLOAD), key=ENCLAVE.key)
    assert appraise_saved(parse_envelope(nitro(document)), policy=POLICY, now=NOW).hardware


OBJECT = DEVICE.attestation()
AUTH_DATA = DEVICE.auth_data()
COSE_KEY = AUTH_DATA[87:]
OBJECTS = {
    "without a length": without_a_length(OBJECT),
    "authenticator data twice": one_more(OBJECT, cbor.encode("authData"), cbor.encode(AUTH_DATA)),
    "a format twice": one_more(OBJECT, cbor.encode("fmt"), cbor.encode("none")),
    "a byte after it": OBJECT + b"\x00",
    "a tag": b"\xd9\xd9\xf7" + OBJECT,
    "a key without a length": OBJECT.replace(
        cbor.encode(AUTH_DATA), cbor.encode(AUTH_DATA[:87] + without_a_length(COSE_KEY))
    ),
    "a coordinate twice": OBJECT.replace(
        cbor.encode(AUTH_DATA),
        cbor.encode(AUTH_DATA[:87] + one_more(COSE_KEY, b"\x21", cbor.encode(bytes(32)))),
    ),
    "a byte after the key": OBJECT.replace(
        cbor.encode(AUTH_DATA), cbor.encode(AUTH_DATA + b"\x00")
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_of_apples_has_one_form(name: str) -> None:
    assert OBJECTS[name] != OBJECT
    with pytest.raises(Malformed):
        appraise_saved(parse_envelope(app(OBJECTS[name])), policy=POLICY, now=NOW)
