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
from tests.nitro_builder import PROTECTED, Enclave, sign1

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
    began = time.process_time()
    try:
        yield
        assert time.process_time() - began < CPU_S
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
