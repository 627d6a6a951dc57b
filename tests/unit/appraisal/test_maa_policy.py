"""The rules for Azure Attestation tokens: what may be written, and what must not be left out."""

from pathlib import Path

import pytest

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.codec.maa import SecurityVersions
from keystead.errors import ConfigurationError, Reason
from keystead.model import AnchorClass
from tests.workload_tokens import INSTANCE, MAA_RULES, POLICY_HASH

RULES = f"[maa]\n{MAA_RULES}"
ONE_INSTANCE = f"""
[[maa.instances]]
issuer = "{INSTANCE}"
jwks_url = "{INSTANCE}/certs"
"""
ANY = (
    '[maa]\npolicy_hashes = "any"\ncompliance = "any"\nmeasurements = "any"\n'
    'minimum_versions = "any"\n'
)


def parse(text: str) -> AppraisalPolicy:
    return parse_policy(f'id = "test"\nversion = 1\n{text}', folder=Path())


def refusal(text: str) -> tuple[Reason, str]:
    with pytest.raises(ConfigurationError) as refused:
        parse(text)
    return refused.value.reason, refused.value.detail


def test_good_policy_and_its_defaults() -> None:
    policy = parse(RULES + ONE_INSTANCE).maa
    assert policy is not None
    instance = policy.instances[INSTANCE]
    assert (instance.jku, instance.anchor_class) == (f"{INSTANCE}/certs", AnchorClass.EMULATED)
    assert policy.attestation_type == "azurevm" and policy.require_secure_boot
    assert policy.policy_hashes == {b"\x0a" * 32} and policy.measurements == {b"\x1a" * 48}
    assert policy.minimum_versions == SecurityVersions(boot_loader=4, tee=0, snp=24, microcode=219)
    assert (policy.max_vmpl, policy.max_token_age_s, policy.max_age_s) == (0, 300, 3_600)
    assert (policy.allow_debug, policy.allow_migration_agent, policy.whole_image) == (
        False,
        False,
        False,
    )
    assert policy.host_data is None and policy.id_key_digests is None and policy.claims == {}


def test_any_is_written_out() -> None:
    policy = parse(ANY + ONE_INSTANCE).maa
    assert policy is not None and policy.instances
    assert (policy.policy_hashes, policy.compliance) == (None, None)
    assert (policy.measurements, policy.minimum_versions) == (None, None)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (RULES, "maa.instances"),
        *(
            (
                "\n".join(line for line in RULES.splitlines() if not line.startswith(name))
                + ONE_INSTANCE,
                f"maa.{name}",
            )
            for name in ("policy_hashes", "compliance", "measurements", "minimum_versions")
        ),
        (RULES + "claims = { secureboot = [] }" + ONE_INSTANCE, "maa.claims.secureboot"),
    ],
)
def test_nothing_is_allowed_by_silence(text: str, place: str) -> None:
    reason, detail = refusal(text)
    assert reason is Reason.POLICY_EMPTY and place in detail


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (RULES + ONE_INSTANCE + ONE_INSTANCE, "maa.instances[1].issuer"),
        (RULES + ONE_INSTANCE.replace("jwks_url", "jku"), "maa.instances[0]: exactly one"),
        (RULES + ONE_INSTANCE + 'class = "tpm"', "class"),
        (RULES + ONE_INSTANCE + 'saved_keys = ["abc"]', "saved_keys"),
        (RULES.replace("1a" * 48, "1a" * 32) + ONE_INSTANCE, "maa.measurements"),
        (RULES.replace(POLICY_HASH, "ab") + ONE_INSTANCE, "policy_hashes"),
        (RULES + "max_vmpl = 4" + ONE_INSTANCE, "max_vmpl"),
        (RULES + "max_token_age_s = 28801" + ONE_INSTANCE, "max_token_age_s"),
        (RULES.replace("snp = 24, ", "") + ONE_INSTANCE, "snp"),
        (RULES + 'attestation_type = "tdxvm"' + ONE_INSTANCE, "attestation_type"),
        (RULES + "whole_image = true" + ONE_INSTANCE, "maa.whole_image"),
        (
            ANY + 'attestation_type = "sevsnpvm"\nwhole_image = true' + ONE_INSTANCE,
            "maa.whole_image",
        ),
        (RULES + "vmpl = 1" + ONE_INSTANCE, "vmpl"),
    ],
)
def test_wrong_entries_are_named(text: str, place: str) -> None:
    reason, detail = refusal(text)
    assert reason is Reason.CONFIGURATION_INVALID and place in detail
