"""Every parser of foreign bytes, on any bytes and on bent good ones: a value, or Malformed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url, cbor, certificate, cose, der, eventlog, json
from keystead.codec.app_attest import parse_assertion, parse_attestation, parse_nonce
from keystead.codec.auth_data import parse_auth_data
from keystead.codec.hcl import parse_hcl_report
from keystead.codec.maa import parse_claims
from keystead.codec.nitro import parse_document
from keystead.codec.snp import Product, parse_endorsement, parse_report, parse_tcb
from keystead.codec.td_quote import parse_td_quote
from keystead.codec.tpm2 import (
    parse_attest,
    parse_pcr_selection,
    parse_signature,
    parse_tpm2b_public,
    parse_tpmt_public,
)
from keystead.errors import Malformed, Rejected
from keystead.evidence import kinds
from keystead.evidence.envelope import parse_envelope
from keystead.evidence.signed_token import parse_token
from keystead.model import EvidenceKind
from tests import azure_builder, event_log_bytes, tdx_builder, tpm2_structures
from tests.bent_bytes import bent
from tests.every_kind import DEVICE, GUEST, MACHINE, SAMPLES
from tests.snp_builder import ask

Parser = Callable[[bytes], Any]


def sample(kind: EvidenceKind, member: str) -> bytes:
    return base64url.decode(SAMPLES[kind].members[member])


def whole_certificate(data: bytes) -> None:
    """Every field that is read when somebody asks for it."""
    found = certificate.parse_certificate(data)
    found.valid_from_to()
    found.is_ca()
    found.key_usage()
    found.extended_key_usage()
    certificate.name_text(found.issuer)
    certificate.name_text(found.subject)


def endorsement(data: bytes) -> None:
    parse_endorsement(certificate.parse_certificate(data).extensions)


def replayed(data: bytes) -> None:
    found = eventlog.parse(data)
    for bank in found.digest_sizes:
        eventlog.replay(found, eventlog.HashAlgorithm(bank))


def maa_claims(data: bytes) -> None:
    parse_claims(json.parse_object(data))


def token(data: bytes) -> None:
    parse_token(data.decode("latin-1"), max_bytes=16_384)


def evidence(data: bytes) -> None:
    kinds.parse(parse_envelope(data))


TOKEN = SAMPLES[EvidenceKind.MAA].members["token"].encode()
HCL = MACHINE.hcl()
# No event begins with a zero, which would be padding.
LOG_HEAD = event_log_bytes.HEAD + event_log_bytes.agile_event(1, 8, b"firmware")
LOG = LOG_HEAD + event_log_bytes.agile_event(7, event_log_bytes.EV_SEPARATOR, bytes(4))
PARSERS: dict[str, tuple[Parser, bytes]] = {
    "nitro": (parse_document, sample(EvidenceKind.AWS_NITRO, "document")),
    "cose": (
        partial(cose.parse_sign1, max_bytes=16_384),
        sample(EvidenceKind.AWS_NITRO, "document"),
    ),
    "cbor": (
        partial(cbor.parse, max_bytes=16_384, max_depth=4, allow_indefinite=True),
        sample(EvidenceKind.APP_ATTEST, "attestation_object"),
    ),
    "app_attest": (parse_attestation, sample(EvidenceKind.APP_ATTEST, "attestation_object")),
    "assertion": (parse_assertion, DEVICE.assertion(b"x", counter=1)),
    "auth_data": (partial(parse_auth_data, attested=True), DEVICE.auth_data()),
    "certified nonce": (parse_nonce, bytes.fromhex("3024a1220420") + bytes(32)),
    "snp": (parse_report, sample(EvidenceKind.SEV_SNP, "report")),
    "snp endorsement": (endorsement, GUEST.leaf()),
    "snp TCB": (partial(parse_tcb, product=Product.TURIN), bytes([1, 2, 3, 4, 0, 0, 0, 5])),
    "hcl": (parse_hcl_report, HCL.rstrip(b"\x00")),
    "td_quote 4": (parse_td_quote, tdx_builder.Td().quote()),
    "td_quote 5": (parse_td_quote, tdx_builder.Td(version=5, extended=True).quote()),
    "certificate": (whole_certificate, ask()),
    "der": (lambda data: tuple(der.elements(data)), ask()),
    "event log": (replayed, LOG),
    "TPM2B_PUBLIC": (parse_tpm2b_public, tpm2_structures.sized(tpm2_structures.rsa_public())),
    "TPMT_PUBLIC": (parse_tpmt_public, tpm2_structures.ecc_public()),
    "TPMS_ATTEST": (parse_attest, tpm2_structures.attest()),
    "TPMT_SIGNATURE": (parse_signature, tpm2_structures.rsa_signature()),
    "TPML_PCR_SELECTION": (parse_pcr_selection, tpm2_structures.pcr_selection()),
    "json": (json.parse_object, azure_builder.runtime_data()),
    "base64url": (lambda data: base64url.decode(data.decode("latin-1")), b"AAECAwQFBgcICQ"),
    "maa claims": (maa_claims, base64url.decode(TOKEN.decode().split(".")[1])),
    "token": (token, TOKEN),
    **{f"envelope of {kind}": (evidence, each.envelope()) for kind, each in SAMPLES.items()},
}
# An envelope may also name a kind that is not there, or a key that is of no use.
REFUSALS: dict[str, tuple[type[Exception], ...]] = dict.fromkeys(PARSERS, (Malformed,)) | {
    f"envelope of {kind}": (Malformed, Rejected) for kind in SAMPLES
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_good_one_parses(name: str) -> None:
    parser, good = PARSERS[name]
    parser(good)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=20)
@given(data=st.binary(max_size=400))
def test_any_bytes_parse_or_are_malformed(name: str, data: bytes) -> None:
    try:
        PARSERS[name][0](data)
    except REFUSALS[name]:
        return


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=50)
@given(data=st.data())
def test_a_bent_good_one_parses_or_is_malformed(name: str, data: st.DataObject) -> None:
    parser, good = PARSERS[name]
    try:
        parser(data.draw(bent(good)))
    except REFUSALS[name]:
        return


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "base64url"])
def test_cut_anywhere_it_is_malformed(name: str) -> None:
    """Every prefix of a small one; of a large one every seventh, and all near its end."""
    parser, good = PARSERS[name]
    near = range(max(len(good) - 64, 0), len(good))
    for size in sorted({*range(0, len(good), 1 if len(good) < 2_000 else 7), *near}):
        try:
            parser(good[:size])
        except REFUSALS[name]:
            continue
        assert (name, size) in WHOLE_PREFIXES


# What is a whole of its own: no element at all; a log that ends between two events.
WHOLE_PREFIXES = {
    ("der", 0),
    ("event log", len(event_log_bytes.HEAD)),
    ("event log", len(LOG_HEAD)),
}


def test_an_hcl_report_may_stand_in_zeros_and_in_nothing_else() -> None:
    """The paravisor writes it into a field of a fixed size; what follows is signed by nobody."""
    good = HCL.rstrip(b"\x00")
    assert parse_hcl_report(good).runtime_data == parse_hcl_report(good + bytes(99)).runtime_data
    for tail in (b"\x01", bytes(99) + b"\x01"):
        with pytest.raises(Malformed):
            parse_hcl_report(good + tail)
