"""Attestation by a key that somebody else left in the TPM."""

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, parse_attest, parse_tpm2b_public, pcr_composite_digest
from keystead.errors import KeysteadError, Refused, Unavailable
from keystead.hardware.tpm2 import Tpm2Device, keys, pcrs, persistent_keys
from tests.azure_vtpm import AK_HANDLE, make_ak

NONCE = b"\x5a" * 32
SELECTION = PcrSelection.of({HashAlgorithm.SHA256: [0, 16]})


def test_finds_the_public_area_at_a_handle(tpm_device: Tpm2Device) -> None:
    assert tpm_device.call(persistent_keys.find_public, AK_HANDLE) is None
    ak = make_ak(tpm_device)
    found = tpm_device.call(persistent_keys.find_public, AK_HANDLE)
    assert found is not None
    assert parse_tpm2b_public(found).key == ak
    assert tpm_device.call(persistent_keys.find_public, AK_HANDLE - 1) is None, "not the next one"


def test_quotes_the_values_that_it_gives(tpm_device: Tpm2Device) -> None:
    make_ak(tpm_device)
    tpm_device.call(pcrs.extend_pcr, 16, {HashAlgorithm.SHA256: b"\x01" * 32})
    made, values = tpm_device.call(
        persistent_keys.quote_with_values, AK_HANDLE, SELECTION, qualifying_data=NONCE
    )
    attest = parse_attest(made.attest)
    assert attest.extra_data == NONCE
    assert attest.quote is not None
    digest = pcr_composite_digest(SELECTION, values, algorithm=HashAlgorithm.SHA256)
    assert attest.quote.pcr_digest == digest


def test_certifies_a_key_of_this_tpm(tpm_device: Tpm2Device, other_tpm_device: Tpm2Device) -> None:
    make_ak(tpm_device)
    key = tpm_device.call(keys.create_signing_key, "ES256")
    made = tpm_device.call(persistent_keys.certify, key, handle=AK_HANDLE, qualifying_data=NONCE)
    attest = parse_attest(made.attest)
    assert attest.certify is not None
    assert attest.certify.name == parse_tpm2b_public(key.public).name
    strange = other_tpm_device.call(keys.create_signing_key, "ES256")
    with pytest.raises(Refused):
        tpm_device.call(persistent_keys.certify, strange, handle=AK_HANDLE, qualifying_data=NONCE)


def test_a_key_that_is_not_there_attests_nothing(tpm_device: Tpm2Device) -> None:
    with pytest.raises(KeysteadError) as caught:
        tpm_device.call(
            persistent_keys.quote_with_values, AK_HANDLE, SELECTION, qualifying_data=NONCE
        )
    assert type(caught.value) in (Refused, Unavailable)
