"""Evidence from a software TPM, read back by the parser that the service uses."""

import hashlib
from pathlib import Path

import pytest

from keystead.agent.collector import ServerChallenge, collect, endorsement, selection_of
from keystead.agent.keys import AttestedKeys, KeyFolder
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, jwk_members, pcr_composite_digest, policy_pcr_digest
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import tpm2
from keystead.evidence.envelope import parse_envelope
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.hardware.tpm2 import Tpm2Device

NONCE = bytes(range(32))
REQUIRED = PcrSelection.of({HashAlgorithm.SHA256: [0, 2, 4, 7, 14], HashAlgorithm.SHA384: [7]})


def challenge(**changes: object) -> ServerChallenge:
    asked: dict[str, object] = {
        "nonce": NONCE,
        "issuer": "https://keystead.example",
        "required_pcrs": REQUIRED,
        **changes,
    }
    return ServerChallenge(**asked)  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path, tpm_device: Tpm2Device) -> AttestedKeys:
    return KeyFolder(tmp_path / "keys", device=tpm_device).keys()


def collected(device: Tpm2Device, keys: AttestedKeys, asked: ServerChallenge) -> Tpm2Evidence:
    return tpm2.parse(parse_envelope(collect(device, keys_of_host=keys, challenge=asked)))


def test_quotes_exactly_the_required_pcrs_over_the_nonce(
    tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    evidence = collected(tpm_device, keys, challenge())
    assert evidence.nonce == NONCE
    assert evidence.quote is not None
    assert evidence.quote.attest.extra_data == NONCE
    quoted = evidence.quote.attest.quote
    assert quoted is not None
    assert quoted.selection == REQUIRED
    assert evidence.pcrs is not None
    shown = {bank: tuple(sorted(values)) for bank, values in evidence.pcrs.items()}
    assert shown == REQUIRED.as_mapping()
    digest = pcr_composite_digest(REQUIRED, evidence.pcrs, algorithm=HashAlgorithm.SHA256)
    assert quoted.pcr_digest == digest


def test_certifies_the_workload_key_over_the_nonce(
    tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    evidence = collected(tpm_device, keys, challenge())
    assert evidence.certify is not None
    assert evidence.key_public is not None
    assert evidence.key is not None
    assert evidence.certify.attest.extra_data == NONCE
    assert evidence.certify.attest.certify is not None
    assert evidence.certify.attest.certify.name == evidence.key_public.name
    assert evidence.key.thumbprint == keys.workload_key.jkt
    assert evidence.key.members == jwk_members(evidence.key_public)


def test_shows_the_ek_with_its_certificate(tpm_device: Tpm2Device, keys: AttestedKeys) -> None:
    evidence = collected(tpm_device, keys, challenge())
    assert evidence.ek_certificate is not None
    assert evidence.ek_public is not None
    assert evidence.ek_public.sized == endorsement(tpm_device).public


def test_certifies_a_key_under_a_policy(tmp_path: Path, tpm_device: Tpm2Device) -> None:
    policy = PcrSelection.of({HashAlgorithm.SHA256: [0, 7]})
    keys = KeyFolder(tmp_path / "keys", device=tpm_device).keys(pcr_policy=policy)
    evidence = collected(tpm_device, keys, challenge(pcr_policy=policy))
    assert evidence.key_public is not None
    assert evidence.pcrs is not None
    assert evidence.key_public.auth_policy == policy_pcr_digest(policy, evidence.pcrs)


def test_sends_no_event_log_unasked(
    tmp_path: Path, tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"secret")
    sent = collect(tpm_device, keys_of_host=keys, challenge=challenge(), event_log=log)
    assert tpm2.parse(parse_envelope(sent)).event_log is None


def test_sends_the_event_log_that_is_asked_for(
    tmp_path: Path, tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    event = b"boot"
    log = tmp_path / "log"
    log.write_bytes(
        (7).to_bytes(4, "little")
        + (4).to_bytes(4, "little")
        + hashlib.sha1(event).digest()
        + len(event).to_bytes(4, "little")
        + event
    )
    sent = collect(
        tpm_device,
        keys_of_host=keys,
        challenge=challenge(event_log_required=True),
        event_log=log,
    )
    found = tpm2.parse(parse_envelope(sent)).event_log
    assert found is not None
    assert [entry.pcr for entry in found.events] == [7]


def test_says_that_a_required_event_log_is_not_here(
    tmp_path: Path, tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    with pytest.raises(EvidenceRejected) as caught:
        collect(
            tpm_device,
            keys_of_host=keys,
            challenge=challenge(event_log_required=True),
            event_log=tmp_path / "missing",
        )
    assert caught.value.reason is Reason.EVENT_LOG_MISSING
    assert "missing" in caught.value.detail


def test_refuses_an_event_log_without_end(
    tmp_path: Path, tpm_device: Tpm2Device, keys: AttestedKeys
) -> None:
    log = tmp_path / "log"
    log.write_bytes(bytes(eventlog.MAX_LOG_BYTES + 1))
    with pytest.raises(Malformed) as caught:
        collect(
            tpm_device,
            keys_of_host=keys,
            challenge=challenge(event_log_required=True),
            event_log=log,
        )
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "change",
    [{"nonce": NONCE[:-1]}, {"nonce": b""}],
)
def test_rejects_a_challenge_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        challenge(**change)


@pytest.mark.parametrize(
    "banks", [[("sha257", [0])], [("sha256", [24])], [("sha256", [0, 0])], [("sha256", [0])] * 2]
)
def test_rejects_banks_that_are_none(banks: list[tuple[str, list[int]]]) -> None:
    with pytest.raises(Malformed):
        selection_of(banks)
