"""The claims of an Azure Attestation token as one structure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.maa import MAX_RUNTIME_KEYS, parse_claims
from keystead.errors import Malformed
from tests.workload_tokens import CLIENT_NONCE, client_payload, maa_claims

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
TEE = "x-ms-isolation-tee"


def test_reads_a_token_about_a_vm() -> None:
    claims = parse_claims(maa_claims())
    assert (claims.attestation_type, claims.tee_type) == ("azurevm", "sevsnpvm")
    assert claims.compliance == "azure-compliant-cvm" and claims.policy_hash == b"\x0a" * 32
    assert claims.secure_boot is True and claims.debug == ()
    assert claims.client_nonce == CLIENT_NONCE.encode() and claims.runtime_keys == ()
    assert claims.snp is not None
    assert claims.snp.launch_measurement == b"\x1a" * 48
    assert (claims.snp.host_data, claims.snp.id_key_digest) == (b"\x1d" * 32, b"\x1c" * 48)
    assert (claims.snp.debuggable, claims.snp.migration_allowed, claims.snp.vmpl) == (
        False,
        False,
        0,
    )


def test_reads_a_token_about_a_bare_report() -> None:
    claims = parse_claims(maa_claims(vm=False))
    assert claims.attestation_type == claims.tee_type == "sevsnpvm"
    assert claims.secure_boot is None and claims.snp is not None


def test_of_another_tee_nothing_is_read() -> None:
    claims = parse_claims(maa_claims(tee={"x-ms-attestation-type": "tdxvm"}))
    assert claims.tee_type == "tdxvm" and claims.snp is None


def test_switches_that_are_on_are_named() -> None:
    name = "x-ms-azurevm-kerneldebug-enabled"
    assert parse_claims(maa_claims(**{name: True})).debug == (name,)


@pytest.mark.parametrize(
    "changes",
    [
        {"x-ms-attestation-type": ...},
        {"x-ms-attestation-type": 7},
        {TEE: ...},
        {TEE: []},
        {"x-ms-policy-hash": ...},
        {"x-ms-policy-hash": "AAAA"},
        {"x-ms-policy-hash": "A" * 44},
        {"secureboot": "true"},
        {"x-ms-azurevm-bootdebug-enabled": 0},
        {"x-ms-runtime": []},
        {"x-ms-runtime": {"keys": {}}},
        {"x-ms-runtime": {"keys": ["a"]}},
        {"x-ms-runtime": {"keys": [{}] * (MAX_RUNTIME_KEYS + 1)}},
        {"x-ms-runtime": {"client-payload": "a"}},
        {"x-ms-runtime": {"client-payload": {"nonce": 7}}},
        {"x-ms-runtime": {"client-payload": {"nonce": "not base64"}}},
        {"x-ms-runtime": {"client-payload": {"nonce": "AA"}}},
        {"x-ms-runtime": {"client-payload": {"nonce": "ä"}}},
        {"x-ms-runtime": client_payload("a" * 257)},
    ],
)
def test_wrong_claims_are_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_claims(maa_claims(**changes))


@pytest.mark.parametrize("name", sorted(maa_claims()[TEE]))
@pytest.mark.parametrize("value", [..., "zz", -1, 256, None, [], "11" * 49])
def test_wrong_claims_of_the_tee_are_malformed(name: str, value: Any) -> None:
    if name == "x-ms-attestation-type" and isinstance(value, str):
        return  # Another TEE.
    if name == "x-ms-compliance-status" and (value is ... or isinstance(value, str)):
        return  # The policy's question.
    with pytest.raises(Malformed):
        parse_claims(maa_claims(tee={name: value}))


@given(claims=st.dictionaries(st.sampled_from(sorted(maa_claims())), JSON_VALUES))
def test_no_claims_do_more_than_be_malformed(claims: dict[str, Any]) -> None:
    try:
        parse_claims(maa_claims(**claims))
    except Malformed:
        return


@given(tee=st.dictionaries(st.sampled_from(sorted(maa_claims()[TEE])), JSON_VALUES))
def test_no_claims_of_a_tee_do_more_than_be_malformed(tee: dict[str, Any]) -> None:
    try:
        parse_claims(maa_claims(tee=tee))
    except Malformed:
        return
