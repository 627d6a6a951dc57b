from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.policy import parse_policy
from keystead.appraisal.sev_snp_policy import SnpPolicy
from keystead.codec.snp import Product, TcbVersion
from keystead.errors import ConfigurationError, Reason
from tests.snp_builder import ca, revocation_list

ONE = "4d" * 48
MILAN = "[sev-snp.minimum_tcb.Milan]\nboot_loader = 4\ntee = 0\nsnp = 24\nmicrocode = 219\n"
SMALL = f'[sev-snp]\nmeasurements = ["{ONE}"]\n'


def rules(text: str, folder: Path = Path()) -> SnpPolicy:
    found = parse_policy(f'id = "lab"\nversion = 1\n{text}', folder=folder).sev_snp
    assert found is not None
    return found


def refusal(text: str, folder: Path = Path()) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        rules(text, folder)
    return refused.value


def test_reads_a_small_policy() -> None:
    found = rules(SMALL + MILAN)
    assert found.measurements == {bytes.fromhex(ONE)}
    assert found.minimum_tcb == {
        Product.MILAN: TcbVersion(boot_loader=4, tee=0, snp=24, microcode=219)
    }
    assert (found.host_data, found.id_key_digests, found.author_key_digests) == (None, None, None)
    assert (found.max_vmpl, found.allow_debug, found.allow_migration_agent) == (0, False, False)
    assert (found.whole_image, found.max_age_s, found.code_pinned) == (False, 3_600, True)


def test_reads_a_whole_policy(tmp_path: Path) -> None:
    root = x509.load_der_x509_certificate(ca("ARK-Test"))
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (tmp_path / "amd.crl").write_bytes(revocation_list())
    text = f"""
[sev-snp]
pinned_anchors = false
revocation_lists = ["amd.crl"]
measurements = ["{ONE}", "{"00" * 48}"]
whole_image = true
host_data = ["{"48" * 32}"]
id_key_digests = ["{"49" * 48}"]
author_key_digests = ["{"41" * 48}"]
max_vmpl = 3
allow_debug = true
allow_migration_agent = true
max_age_s = 60
[[sev-snp.anchors]]
path = "root.pem"
class = "tee"
[sev-snp.minimum_tcb.Turin]
fmc = 1
boot_loader = 1
tee = 1
snp = 4
microcode = 81
"""
    found = rules(text, tmp_path)
    assert found.host_data == {b"\x48" * 32}
    assert found.minimum_tcb is not None and found.minimum_tcb[Product.TURIN].fmc == 1
    assert (found.max_vmpl, found.allow_debug, found.allow_migration_agent) == (3, True, True)
    assert (found.whole_image, found.max_age_s) == (True, 60)


def test_any_is_written_out() -> None:
    found = rules('[sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\n')
    assert (found.measurements, found.minimum_tcb, found.code_pinned) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("[sev-snp]\n" + MILAN, "sev-snp.measurements"),
        ("[sev-snp]\nmeasurements = []\n" + MILAN, "sev-snp.measurements"),
        (SMALL, "sev-snp.minimum_tcb"),
        (SMALL + "host_data = []\n" + MILAN, "sev-snp.host_data"),
        (SMALL + "id_key_digests = []\n" + MILAN, "sev-snp.id_key_digests"),
        (SMALL + "pinned_anchors = false\n" + MILAN, "sev-snp.anchors"),
    ],
)
def test_silence_allows_nothing(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.POLICY_EMPTY
    assert refused.detail.startswith(entry)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (f'[sev-snp]\nmeasurements = ["{ONE[:-2]}"]\n' + MILAN, "sev-snp.measurements"),
        (f'[sev-snp]\nmeasurements = ["{ONE}00"]\n' + MILAN, "sev-snp.measurements"),
        (SMALL + f'host_data = ["{ONE}"]\n' + MILAN, "sev-snp.host_data"),
        (SMALL + f'author_key_digests = ["{"00" * 32}"]\n' + MILAN, "sev-snp.author_key_digests"),
        (SMALL + MILAN + "fmc = 1\n", "sev-snp.minimum_tcb.Milan.fmc"),
        (SMALL + MILAN.replace("Milan", "Turin"), "sev-snp.minimum_tcb.Turin.fmc"),
        (SMALL + MILAN.replace("Milan", "Naples"), "minimum_tcb"),
        (SMALL + MILAN.replace("219", "256"), "microcode"),
        (SMALL + MILAN.replace("snp = 24\n", ""), "snp"),
        (SMALL + "max_vmpl = 4\n" + MILAN, "max_vmpl"),
        (SMALL + "vmpl = 0\n" + MILAN, "vmpl"),
        (SMALL + 'revocation_lists = ["none.crl"]\n' + MILAN, "none.crl"),
        (
            '[sev-snp]\nmeasurements = "any"\nminimum_tcb = "any"\nwhole_image = true\n',
            "sev-snp.whole_image",
        ),
    ],
)
def test_a_wrong_entry_is_named(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.CONFIGURATION_INVALID
    assert entry in refused.detail
