from pathlib import Path

import pytest

from keystead.appraisal.azure_cvm_policy import AzureCvmPolicy
from keystead.appraisal.policy import parse_policy
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import ConfigurationError, Reason

SHA256 = HashAlgorithm.SHA256
ONE = "c0" * 32
PCRS = "[azure-cvm.required_pcrs]\nsha256 = [0, 7]\n"
VALUES = f'[azure-cvm.pcr_values.sha256]\n0 = ["{ONE}"]\n7 = "any"\n'
SNP = '[azure-cvm.sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\n'
TDX = "[azure-cvm.tdx]\nminimum_tcb_evaluation = 17\n" + "".join(
    f'{name} = "any"\n'
    for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrownerconfig")
)
KEYS = f'id_key_digests = ["{"49" * 48}"]\n'


def rules(text: str) -> AzureCvmPolicy:
    found = parse_policy(f'id = "lab"\nversion = 1\n{text}', folder=Path()).azure_cvm
    assert found is not None
    return found


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        rules(text)
    return refused.value


def test_reads_a_small_policy() -> None:
    found = rules(PCRS + VALUES + SNP + KEYS)
    assert found.required_pcrs == PcrSelection.of({SHA256: [0, 7]})
    assert found.pcr_values == {SHA256: {0: {bytes.fromhex(ONE)}, 7: None}}
    assert found.sev_snp is not None and found.sev_snp.code_pinned
    assert (found.max_age_s, found.sev_snp.max_age_s) == (3_600, 3_600)
    assert not found.boot_pinned


def test_one_age_is_for_all_of_it() -> None:
    found = rules("[azure-cvm]\nmax_age_s = 60\n" + PCRS + VALUES + SNP)
    assert found.sev_snp is not None
    assert (found.max_age_s, found.sev_snp.max_age_s) == (60, 60)
    assert "max_age_s" in refusal(PCRS + VALUES + SNP + "max_age_s = 60\n").detail


def test_reads_rules_for_tds_alone() -> None:
    found = rules(PCRS + VALUES + TDX + 'mrowner = "any"\n')
    assert found.sev_snp is None and found.tdx is not None
    assert (found.tdx.minimum_tcb_evaluation, found.tdx.max_age_s) == (17, 3_600)
    assert not found.tdx.code_pinned


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (PCRS + VALUES, "azure-cvm.sev-snp"),
        (VALUES + SNP, "azure-cvm.required_pcrs"),
        (PCRS + SNP, "azure-cvm.pcr_values.sha256.0"),
        (PCRS + VALUES.replace("7 = ", "8 = ") + SNP, "azure-cvm.pcr_values.sha256.7"),
        (PCRS + VALUES.replace(f'["{ONE}"]', "[]") + SNP, "azure-cvm.pcr_values.sha256.0"),
        (PCRS + VALUES + SNP + "[azure-cvm.tdx]\n", "azure-cvm.tdx.minimum_tcb_evaluation"),
        (PCRS + VALUES + "[azure-cvm.sev-snp]\n", "azure-cvm.sev-snp.measurements"),
        (PCRS + VALUES + SNP.replace('minimum_tcb = "any"', ""), "azure-cvm.sev-snp.minimum_tcb"),
    ],
)
def test_silence_allows_nothing(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.POLICY_EMPTY
    assert refused.detail.startswith(entry)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (PCRS + VALUES.replace(ONE, ONE + "00") + SNP, "azure-cvm.pcr_values.sha256.0"),
        (PCRS.replace("sha256", "sha1") + VALUES + SNP, "azure-cvm.required_pcrs.sha1"),
        (PCRS + VALUES + "24 = " + '"any"\n' + SNP, "azure-cvm.pcr_values.sha256.24"),
        (PCRS + VALUES + "4 = " + '"any"\n' + SNP, "azure-cvm.pcr_values.sha256.4"),
        (PCRS + VALUES + SNP + 'host_data = ["00"]\n', "azure-cvm.sev-snp.host_data"),
        (PCRS + VALUES + TDX + 'mrowner = ["00"]\n', "azure-cvm.tdx.mrowner"),
        (PCRS + VALUES + TDX + "[azure-cvm.tdx.event_log]\n", "event_log"),
    ],
)
def test_a_wrong_entry_is_named(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.CONFIGURATION_INVALID
    assert entry in refused.detail
