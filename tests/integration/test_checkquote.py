"""tpm2-tools agrees: what ``tpm2_checkquote`` says of a quote, the appraisal says as well."""

import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.tpm_keys import public_key
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, PcrValues, PublicArea, parse_tpm2b_public
from keystead.codec.tpm2.attest import parse_attest
from keystead.codec.tpm2.signature import parse_signature
from keystead.errors import EvidenceRejected
from keystead.evidence.tpm2 import SignedAttest
from keystead.hardware.tpm2 import Tpm2Device, keys
from keystead.ports import Attestation

SHA256 = HashAlgorithm.SHA256
NONCE = bytes(range(32))
SELECTION = PcrSelection.of({SHA256: [0, 1, 2, 3, 4, 5, 6, 7, 16, 23]})


@dataclass(frozen=True)
class Quoted:
    """One real quote, and the values that came with it."""

    ak: PublicArea
    quote: Attestation
    values: PcrValues


@pytest.fixture(autouse=True)
def _tools() -> None:
    if shutil.which("tpm2_checkquote") is None:
        pytest.skip("tpm2-tools is not installed")


@pytest.fixture(params=["ES256", "RS256"])
async def quoted(tpm_device: Tpm2Device, request: pytest.FixtureRequest) -> Quoted:
    await tpm_device.extend_pcr(16, {SHA256: b"\x5a" * 32})
    ak = await tpm_device.create_attestation_key(request.param)
    quote, values = await tpm_device.quote_with_values(ak, SELECTION, qualifying_data=NONCE)
    return Quoted(ak=parse_tpm2b_public(ak.public), quote=quote, values=values)


def serialized(values: Mapping[int, bytes]) -> bytes:
    """The PCR file of tpm2-tools 5: its C structures as they lie in memory, little endian.

    A TPML_PCR_SELECTION of 16 entries, the number of TPML_DIGESTs, and each of them with room for
    eight digests of 64 bytes.
    """
    mask = sum(1 << index for index in values).to_bytes(4, "little")
    head = struct.pack("<IHB", 1, SHA256, 3) + mask + b"\0"
    ordered = [values[index] for index in sorted(values)]
    lists = [ordered[at : at + 8] for at in range(0, len(ordered), 8)]
    body = b"".join(
        (
            struct.pack("<I", len(each))
            + b"".join(struct.pack("<H", len(value)) + value.ljust(64, b"\0") for value in each)
        ).ljust(532, b"\0")
        for each in lists
    )
    return head.ljust(132, b"\0") + struct.pack("<I", len(lists)) + body


def their_verdict(quoted: Quoted, folder: Path, *, nonce: bytes = NONCE) -> bool:
    key = public_key(quoted.ak).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = {
        "ak.pem": key,
        "quote.attest": quoted.quote.attest,
        "quote.signature": quoted.quote.signature,
        "quote.pcrs": serialized(quoted.values[SHA256]),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = ["tpm2_checkquote", "-u", "ak.pem", "-m", "quote.attest", "-s", "quote.signature"]
    command += ["-f", "quote.pcrs", "-g", "sha256", "-q", nonce.hex()]
    run = subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=False)
    return run.returncode == 0


def our_verdict(quoted: Quoted, *, nonce: bytes = NONCE) -> bool:
    """Steps 6 to 10 of the appraisal: what a quote alone can show."""
    signed = SignedAttest(
        attest=parse_attest(quoted.quote.attest), signature=parse_signature(quoted.quote.signature)
    )
    try:
        appraisal.check_quote_signature(quoted.ak, signed)
        quote = appraisal.check_quote_type(signed)
        appraisal.check_nonce(signed, nonce)
        appraisal.check_selection(quote, quoted.values, SELECTION)
        appraisal.check_pcr_digest(quoted.ak, quote, quoted.values)
    except EvidenceRejected:
        return False
    return True


def test_both_accept_a_good_quote(quoted: Quoted, tmp_path: Path) -> None:
    assert their_verdict(quoted, tmp_path) and our_verdict(quoted)


def test_both_refuse_another_nonce(quoted: Quoted, tmp_path: Path) -> None:
    other = bytes(32)
    assert not their_verdict(quoted, tmp_path, nonce=other)
    assert not our_verdict(quoted, nonce=other)


@pytest.mark.parametrize("index", [0, 16, 23])
def test_both_refuse_another_pcr_value(quoted: Quoted, tmp_path: Path, index: int) -> None:
    values = {SHA256: {**quoted.values[SHA256], index: b"\x01" * 32}}
    bent = Quoted(ak=quoted.ak, quote=quoted.quote, values=values)
    assert not their_verdict(bent, tmp_path) and not our_verdict(bent)


def test_both_refuse_another_key(quoted: Quoted, tmp_path: Path, tpm_device: Tpm2Device) -> None:
    algorithm = "ES256" if quoted.ak.scheme.name == "ECDSA" else "RS256"
    other = tpm_device.call(keys.create_attestation_key, algorithm)
    bent = Quoted(ak=parse_tpm2b_public(other.public), quote=quoted.quote, values=quoted.values)
    assert not their_verdict(bent, tmp_path) and not our_verdict(bent)
