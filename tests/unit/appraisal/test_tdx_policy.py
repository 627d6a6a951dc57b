from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.policy import parse_policy
from keystead.appraisal.tdx_policy import CODE, NAMED, TdLogRules, TdxPolicy
from keystead.codec.tcb_info import TcbStatus
from keystead.errors import ConfigurationError, Reason
from keystead.model import AnchorClass
from tests.intel_builder import root

ONE = "4d" * 48
SAID = (*CODE, "mrconfigid", "mrowner", "mrownerconfig")
SMALL = "[tdx]\nminimum_tcb_evaluation = 17\n" + "".join(f'{name} = "any"\n' for name in SAID)


def rules(text: str, folder: Path = Path()) -> TdxPolicy:
    found = parse_policy(f'id = "lab"\nversion = 1\n{text}', folder=folder).tdx
    assert found is not None
    return found


def refusal(text: str, folder: Path = Path()) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        rules(text, folder)
    return refused.value


def test_reads_a_small_policy() -> None:
    found = rules(SMALL)
    assert dict(found.values) == dict.fromkeys((*CODE, *NAMED))
    assert (found.minimum_tcb_evaluation, found.max_age_s) == (17, 3_600)
    assert found.tcb_statuses == {TcbStatus.UP_TO_DATE}
    assert found.advisories == frozenset()
    assert (found.allow_debug, found.allow_migration, found.whole_image) == (False, False, False)
    assert found.event_log == TdLogRules(required=False, rtmrs=frozenset(range(4)))
    assert [anchor.name for anchor in found.memory.anchors.anchors] == ["Intel SGX Root CA"]
    assert not found.code_pinned


def test_reads_a_whole_policy(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(root().public_bytes(Encoding.PEM))
    values = "".join(f'{name} = ["{ONE}", "{"00" * 48}"]\n' for name in (*CODE, *NAMED))
    text = f"""
[tdx]
pinned_anchors = false
minimum_tcb_evaluation = "any"
tcb_statuses = ["UpToDate", "SWHardeningNeeded"]
advisories = ["INTEL-SA-00960"]
allow_debug = true
allow_migration = true
whole_image = true
max_age_s = 60
{values}
[[tdx.anchors]]
path = "root.pem"
[tdx.event_log]
required = true
rtmrs = [0, 1, 2]
"""
    found = rules(text, tmp_path)
    assert set(found.values.values()) == {frozenset({bytes.fromhex(ONE), bytes(48)})}
    assert (found.minimum_tcb_evaluation, found.max_age_s, found.code_pinned) == (None, 60, True)
    assert found.tcb_statuses == {TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}
    assert found.advisories == {"INTEL-SA-00960"}
    assert (found.allow_debug, found.allow_migration, found.whole_image) == (True, True, True)
    assert found.event_log == TdLogRules(required=True, rtmrs=frozenset({0, 1, 2}))
    assert found.memory.anchors.classes == {AnchorClass.EMULATED}


def test_any_advisory_is_allowed_by_name() -> None:
    assert rules(SMALL + 'advisories = "any"\n').advisories is None


@pytest.mark.parametrize("name", [*SAID, "minimum_tcb_evaluation"])
def test_silence_allows_nothing(name: str) -> None:
    kept = "".join(line for line in SMALL.splitlines(True) if not line.startswith(f"{name} ="))
    refused = refusal(kept)
    assert refused.reason is Reason.POLICY_EMPTY
    assert refused.detail.startswith(f"tdx.{name}:")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (SMALL.replace('mrtd = "any"', "mrtd = []"), "tdx.mrtd"),
        (SMALL + "mrseam = []\n", "tdx.mrseam"),
        (SMALL + "tcb_statuses = []\n", "tdx.tcb_statuses"),
        (SMALL + "pinned_anchors = false\n", "tdx.anchors"),
        (SMALL + "[tdx.event_log]\nrtmrs = []\n", "tdx.event_log.rtmrs"),
    ],
)
def test_an_empty_list_allows_nothing(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.POLICY_EMPTY
    assert refused.detail.startswith(entry)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (SMALL.replace('rtmr1 = "any"', f'rtmr1 = ["{ONE}00"]'), "tdx.rtmr1"),
        (SMALL.replace('rtmr1 = "any"', f'rtmr1 = ["{ONE.upper()}"]'), "rtmr1"),
        (SMALL + 'rtmr4 = "any"\n', "rtmr4"),
        (SMALL + 'tcb_statuses = ["Revoked"]\n', "tcb_statuses"),
        (SMALL + 'advisories = ["SA-1"]\n', "advisories"),
        (SMALL.replace("17", "-1"), "minimum_tcb_evaluation"),
        (SMALL.replace("17", '"none"'), "minimum_tcb_evaluation"),
        (SMALL + "whole_image = true\n", "tdx.whole_image"),
        (SMALL + "[tdx.event_log]\nrtmrs = [4]\n", "event_log.rtmrs"),
        (SMALL + "[tdx.event_log]\npcrs = [0]\n", "event_log"),
        (SMALL + 'debug = "any"\n', "debug"),
        (SMALL + '[[tdx.anchors]]\npath = "none.pem"\n', "none.pem"),
    ],
)
def test_a_wrong_entry_is_named(text: str, entry: str) -> None:
    refused = refusal(text)
    assert refused.reason is Reason.CONFIGURATION_INVALID
    assert entry in refused.detail
