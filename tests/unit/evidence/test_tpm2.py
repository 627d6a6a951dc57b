from typing import Any

import pytest

from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.errors import KeysteadError, Malformed
from keystead.evidence import kinds
from keystead.evidence.envelope import parse_envelope
from keystead.evidence.tpm2 import MAX_CHAIN_CERTIFICATES
from tests.evidence_builder import NONCE, PCRS, Host, document, intermediate, parsed

HOST = Host.make()
BYTES = ("ek_certificate", "ek_public", "ak_public", "key_public")


def refusal(members: dict[str, Any]) -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        parsed(members)
    return refused.value


def test_reads_what_a_collector_writes() -> None:
    evidence = HOST.evidence()
    assert evidence.ek_public == HOST.ek and evidence.ak_public == HOST.ak
    assert evidence.key_public == HOST.key_area
    assert evidence.ek_certificate is not None
    assert evidence.ek_certificate.raw == HOST.ek_certificate
    assert [each.raw for each in evidence.ek_certificate_chain] == [intermediate()]
    assert evidence.pcrs == PCRS
    assert evidence.quote is not None and evidence.quote.attest.extra_data == NONCE
    assert evidence.certify is not None and evidence.certify.attest.certify is not None
    assert evidence.event_log is None and evidence.ak_certificate is None


def test_the_registry_reads_what_it_has_a_parser_for() -> None:
    assert kinds.parse(parse_envelope(document(HOST))) == HOST.evidence()


def test_missing_members_are_for_the_appraisal_to_name() -> None:
    empty = parsed({})
    assert empty.quote is None and empty.pcrs is None and empty.ek_certificate_chain == ()


@pytest.mark.parametrize("name", [*BYTES, "attest", "signature"])
def test_rejects_every_truncation_and_a_trailing_byte(name: str) -> None:
    members = HOST.members()
    place = members["quote"] if name in ("attest", "signature") else members
    whole = base64url.decode(place[name])
    for length in range(len(whole)):
        place[name] = base64url.encode(whole[:length])
        assert isinstance(refusal(members), Malformed)
    place[name] = base64url.encode(whole + b"\0")
    assert isinstance(refusal(members), Malformed)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"ak_public": 1},
        {"ak_public": None},
        {"ek_certificate_chain": "AAAA"},
        {"ek_certificate_chain": [1]},
        {"ek_certificate_chain": ["AAAA"]},
        {"ek_certificate_chain": [base64url.encode(intermediate())] * (MAX_CHAIN_CERTIFICATES + 1)},
        {"quote": []},
        {"quote": {"attest": "AAAA"}},
        {"event_log": ""},
        {"event_log": "AAAA"},
        {"pcrs": []},
        {"pcrs": {"sha256": []}},
        {"pcrs": {"md5": {"0": "00"}}},
        {"pcrs": {"SHA256": {"0": "00" * 32}}},
        {"pcrs": {"sha256": {"24": "00" * 32}}},
        {"pcrs": {"sha256": {"00": "00" * 32}}},
        {"pcrs": {"sha256": {"-1": "00" * 32}}},
        {"pcrs": {"sha256": {"0": "00" * 31}}},
        {"pcrs": {"sha256": {"0": "00" * 48}}},
        {"pcrs": {"sha256": {"0": "AA" * 32}}},
        {"pcrs": {"sha256": {"0": " " * 64}}},
        {"pcrs": {"sha256": {"0": 0}}},
    ],
)
def test_rejects_another_shape_as_malformed(changes: dict[str, Any]) -> None:
    assert isinstance(refusal(HOST.members() | changes), Malformed)


def test_rejects_an_unknown_member_in_an_attestation() -> None:
    members = HOST.members()
    members["quote"]["also"] = ""
    assert isinstance(refusal(members), Malformed)


def test_reads_pcrs_of_every_bank() -> None:
    members = HOST.members() | {"pcrs": {"sha1": {"0": "00" * 20}, "sha384": {"23": "ab" * 48}}}
    assert parsed(members).pcrs == {
        HashAlgorithm.SHA1: {0: bytes(20)},
        HashAlgorithm.SHA384: {23: b"\xab" * 48},
    }
