"""Envelopes of hardware's reports that somebody made to hurt: refused, soon, with little memory."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url, json
from keystead.codec.der import BIT_STRING, INTEGER, SEQUENCE, encode_element
from keystead.errors import KeysteadError, Malformed
from keystead.evidence.envelope import parse_envelope
from tests.azure_builder import Machine, hcl_report, runtime_data
from tests.device_chains import NOW
from tests.snp_builder import Guest, ca

GUEST, MACHINE = Guest(), Machine()
POLICY = AppraisalPolicy(
    id="test",
    version=1,
    sev_snp=GUEST.policy().sev_snp,
    azure_cvm=MACHINE.policy().azure_cvm,
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


def snp(report: bytes, certificates: tuple[bytes, ...]) -> bytes:
    listed = [base64url.encode(each) for each in certificates]
    return envelope("sev-snp", report=base64url.encode(report), certificates=listed)


def azure(**changes: object) -> bytes:
    quote = MACHINE.quote()
    members: dict[str, object] = {
        "hcl_report": base64url.encode(MACHINE.hcl()),
        "certificates": [base64url.encode(each) for each in GUEST.certificates()],
        "quote": {
            "attest": base64url.encode(quote.attest),
            "signature": base64url.encode(quote.signature),
        },
        "pcrs": {"sha256": {str(at): f"{0xC0 + at:02x}" * 32 for at in (0, 2, 4, 7)}},
    }
    return envelope("azure-cvm", **(members | changes))


def test_the_good_ones_are_good() -> None:
    for data in (snp(GUEST.report(), GUEST.certificates()), azure()):
        assert appraise_saved(parse_envelope(data), policy=POLICY, now=NOW).hardware


@pytest.mark.parametrize("filler", [b"\x00", b"\x30", b"\xff", b"HCLA\x01\0\0\0"])
def test_a_megabyte_is_malformed(filler: bytes) -> None:
    data = filler * (MEGABYTE // len(filler))
    made = (
        snp(data, GUEST.certificates()),
        snp(GUEST.report(), (data,)),
        azure(hcl_report=base64url.encode(data)),
        azure(certificates=[base64url.encode(data)]),
        azure(certificates=["AA"] * 100_000),
        azure(pcrs={"sha256": {str(at): "00" * 32 for at in range(10_000)}}),
    )
    for each in made:
        with cheap(), pytest.raises(Malformed):
            appraise_saved(parse_envelope(each), policy=POLICY, now=NOW)


RUNTIMES = {
    "depth": b'{"keys":' + b"[" * 6_000,
    "objects in objects": b'{"a":' * 1_000,
    "a number of many digits": b'{"keys":' + b"9" * 6_000 + b"}",
    "one member many times": b"{" + b'"a":1,' * 1_000 + b'"a":1}',
    "many keys": runtime_data(keys=[{"kid": str(at)} for at in range(400)]),
    "a long modulus": runtime_data(keys=[{"kid": "HCLAkPub", "kty": "RSA", "n": "A" * 5_000}]),
}


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_data_made_to_hurt_are_malformed(name: str) -> None:
    data = hcl_report(GUEST.report(), RUNTIMES[name], tail=b"")
    with cheap(), pytest.raises(Malformed):
        appraise_saved(
            parse_envelope(azure(hcl_report=base64url.encode(data))), policy=POLICY, now=NOW
        )


def giant_key(authority: bytes, bits: int) -> bytes:
    """The CA with a key of so many bits, which its own maker never signed."""
    spki_start = authority.index(bytes.fromhex("30820122300d06092a864886f70d010101"))
    modulus = encode_element(INTEGER, b"\x00" + b"\xc5" * (bits // 8))
    exponent = encode_element(INTEGER, b"\x00" + b"\xff" * 255)
    key = encode_element(BIT_STRING, b"\x00" + encode_element(SEQUENCE, modulus + exponent))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    before, after = authority[:spki_start], authority[spki_start + 0x126 :]
    inner = before[8:] + encode_element(SEQUENCE, algorithm + key)
    size = int.from_bytes(authority[6:8], "big") - (len(before) - 8) - 0x126
    signed = encode_element(SEQUENCE, inner + after[:size])
    return encode_element(SEQUENCE, signed + after[size:])


@pytest.mark.parametrize("bits", [2_048, 16_384, 32_768])
def test_a_ca_with_a_giant_key_costs_little(bits: int) -> None:
    giant = giant_key(ca("SEV-Test", issuer="ARK-Test"), bits)
    data = snp(GUEST.report(), (GUEST.leaf(), giant, giant))
    with cheap(), pytest.raises(KeysteadError, match="chain_untrusted"):
        appraise_saved(parse_envelope(data), policy=POLICY, now=NOW)


def test_one_kinds_evidence_is_no_others() -> None:
    report, hcl = base64url.encode(GUEST.report()), base64url.encode(MACHINE.hcl())
    mixed = (
        envelope("azure-cvm", report=report, certificates=["AA"]),
        envelope("sev-snp", hcl_report=hcl, certificates=["AA"]),
        envelope("sev-snp", report=hcl, certificates=["AA"]),
        envelope("tpm2", report=report, certificates=["AA"]),
        envelope("aws-nitro", document=report),
        azure(hcl_report=report),
    )
    for data in mixed:
        with pytest.raises(Malformed):
            appraise_saved(parse_envelope(data), policy=POLICY, now=NOW)
