"""Quotes of real TPMs, as three other projects published them."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    PublicArea,
    RsaKey,
    parse_attest,
    parse_signature,
    parse_tpmt_public,
)
from keystead.evidence.tpm2 import SignedAttest
from keystead.jose.jwk import from_spki
from tests.evidence_builder import Host

SHA256 = HashAlgorithm.SHA256


def plain(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def coco(vectors: Path) -> tuple[PublicArea, SignedAttest, dict[int, bytes]]:
    found: Any = json.loads((vectors / "tpm" / "coco-tpm_evidence.json").read_bytes())
    key: Any = from_spki(plain(found["ak_public"])).key
    numbers = key.public_numbers()
    # The fixture has only the AK's key; area and attributes around it are made here.
    made = Host.make("p256", "rsa2048").ak
    area = replace(made, key=RsaKey(bits=2048, exponent=numbers.e, modulus=numbers.n))
    quote = found["tpm_quote"]
    signed = SignedAttest(
        attest=parse_attest(plain(quote["message"])),
        signature=parse_signature(plain(quote["signature"])),
    )
    return area, signed, {at: bytes.fromhex(each) for at, each in enumerate(quote["pcrs"])}


def fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message: just varints and length-delimited ones."""
    found: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            octet = data[at]
            at += 1
            number |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return number

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found.append((tag >> 3, varint()))
        elif tag & 7 == 2:
            length = varint()
            found.append((tag >> 3, data[at : at + length]))
            at += length
        else:
            raise AssertionError(f"wire type {tag & 7}")
    return found


def all_of(message: bytes, number: int) -> list[Any]:
    return [value for field, value in fields(message) if field == number]


def gce(vectors: Path) -> tuple[PublicArea, list[Any], bytes]:
    """AK, quotes (attest, signature, bank, values) and the event log."""
    message = (vectors / "tpm" / "gtt-gce-cos85-no-nonce.pb").read_bytes()
    area = parse_tpmt_public(all_of(message, 1)[0])
    quotes = []
    for each in all_of(message, 2):
        (attest,), (signature,) = all_of(each, 1), all_of(each, 2)
        (pcrs,) = all_of(each, 3)
        bank = HashAlgorithm(all_of(pcrs, 1)[0])
        values = {}
        for entry in all_of(pcrs, 2):
            index = all_of(entry, 1)
            values[index[0] if index else 0] = all_of(entry, 2)[0]
        quotes.append((parse_attest(attest), parse_signature(signature), bank, values))
    return area, quotes, all_of(message, 3)[0]
