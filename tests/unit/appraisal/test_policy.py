from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.policy import (
    DEFAULT_MAX_AGE_S,
    MAX_POLICY_BYTES,
    Tpm2Policy,
    load_policy,
    parse_policy,
)
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import ConfigurationError, Reason
from keystead.model import AnchorClass
from tests.evidence_builder import SHA256, SHA384, root

ZEROS = "00" * 32
ONES = "ff" * 32
HEAD = 'id = "lab"\nversion = 7\n'
ANCHORS = '[[tpm2.anchors]]\npath = "roots"\nclass = "tpm"\n'
PCRS = "[tpm2.required_pcrs]\nsha256 = [0, 7]\n"
VALUES = f'[tpm2.pcr_values.sha256]\n0 = ["{ZEROS}", "{ONES}"]\n7 = "any"\n'
WHOLE = HEAD + ANCHORS + PCRS + VALUES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("root", "stranger"):
        file = tmp_path / ("roots" if name == "root" else "others") / "root.pem"
        file.parent.mkdir()
        file.write_bytes(x509.load_der_x509_certificate(root(name)).public_bytes(Encoding.PEM))
    return tmp_path


def rules(text: str, folder: Path) -> Tpm2Policy:
    found = parse_policy(text, folder=folder).tpm2
    assert found is not None
    return found


def test_a_forbidden_digest_is_looked_for_in_every_explained_pcr(folder: Path) -> None:
    """PCR 4 is quoted in another bank than the one whose digests are forbidden."""
    both = (
        HEAD + ANCHORS + PCRS + "sha384 = [4]\n" + VALUES + '[tpm2.pcr_values.sha384]\n4 = "any"\n'
    )
    events = f'[tpm2.event_log]\nrequired = true\nforbidden_digests.sha256 = ["{ZEROS}"]\n'
    assert "forbidden_digests, for PCR 4" in refusal(both + events, folder).detail
    assert rules(both + events + "pcrs = [0, 7]\n", folder).event_log.forbidden


def refusal(text: str, folder: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        parse_policy(text, folder=folder)
    return refused.value


def test_reads_a_small_policy(folder: Path) -> None:
    policy = parse_policy(WHOLE, folder=folder)
    assert policy.name == "lab@7"
    found = rules(WHOLE, folder)
    assert [anchor.der for anchor in found.anchors.anchors] == [root()]
    assert found.allowed_anchor_classes == {AnchorClass.TPM}
    assert found.required_pcrs == PcrSelection.of({SHA256: [0, 7]})
    assert found.pcr_values == {
        SHA256: {0: frozenset({bytes(32), b"\xff" * 32}), 7: None},
    }
    assert found.max_age_s == DEFAULT_MAX_AGE_S
    assert not found.accept_ak_certificate and found.require_key_policy is None
    assert not found.event_log.required and found.event_log.pcrs == {0, 7}


def test_reads_every_entry(folder: Path) -> None:
    text = f"""
{HEAD}
[tpm2]
allowed_anchor_classes = ["tpm", "virtual-tpm"]
accept_ak_certificate = true
max_age_s = 60
{ANCHORS}
[[tpm2.anchors]]
path = "others/root.pem"
[tpm2.required_pcrs]
sha256 = [7, 0, 4]
sha384 = [7]
[tpm2.pcr_values]
sha256 = {{ 0 = "any", 4 = "any", 7 = "any" }}
sha384 = {{ 7 = ["{"ab" * 48}"] }}
[tpm2.event_log]
required = true
pcrs = [4, 7]
secure_boot = "required"
[tpm2.event_log.allowed_digests.sha256]
4 = ["{ONES}"]
[tpm2.event_log.forbidden_digests]
sha256 = ["{ZEROS}"]
[tpm2.require_key_policy]
sha256 = [7]
"""
    found = rules(text, folder)
    classes = {anchor.der: anchor.anchor_class for anchor in found.anchors.anchors}
    assert classes == {root(): AnchorClass.TPM, root("stranger"): AnchorClass.EMULATED}
    assert found.allowed_anchor_classes == {AnchorClass.TPM, AnchorClass.VIRTUAL_TPM}
    assert found.required_pcrs.as_mapping() == {SHA256: (0, 4, 7), SHA384: (7,)}
    assert found.pcr_values[SHA384] == {7: frozenset({b"\xab" * 48})}
    assert found.event_log.required and found.event_log.secure_boot_required
    assert found.event_log.pcrs == {4, 7}
    assert found.event_log.allowed == {4: {SHA256: frozenset({b"\xff" * 32})}}
    assert found.event_log.forbidden == {SHA256: frozenset({bytes(32)})}
    assert found.require_key_policy == PcrSelection.of({SHA256: [7]})
    assert found.accept_ak_certificate and found.max_age_s == 60


def test_an_anchor_without_a_class_is_emulated(folder: Path) -> None:
    found = rules(WHOLE.replace('class = "tpm"\n', ""), folder)
    assert found.anchors.classes == {AnchorClass.EMULATED}
    assert not found.anchors.anchors[0].anchor_class.hardware


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (HEAD, "tpm2"),
        (HEAD + "[tpm2]", "tpm2.anchors"),
        (HEAD + ANCHORS, "tpm2.required_pcrs"),
        (HEAD + ANCHORS + "[tpm2.required_pcrs]\nsha256 = []\n", "tpm2.required_pcrs"),
        (HEAD + ANCHORS + PCRS, "tpm2.pcr_values.sha256.0"),
        (WHOLE.replace('7 = "any"\n', ""), "tpm2.pcr_values.sha256.7"),
        (WHOLE.replace('7 = "any"', "7 = []"), "tpm2.pcr_values.sha256.7"),
        (WHOLE + "[tpm2.require_key_policy]\n", "tpm2.require_key_policy"),
    ],
)
def test_refuses_a_policy_that_asks_for_nothing(text: str, entry: str, folder: Path) -> None:
    error = refusal(text, folder)
    assert error.reason is Reason.POLICY_EMPTY
    assert error.detail.startswith(entry)


EVENTS = WHOLE + "[tpm2.event_log]\n"


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("", "id"),
        ('id = "lab"\n', "version"),
        (WHOLE.replace("version = 7", "version = 0"), "version"),
        (WHOLE.replace("version = 7", 'version = "7"'), "version"),
        (WHOLE.replace('"lab"', '"a lab"'), "id"),
        (WHOLE + "[nitro]\n", "nitro"),
        (WHOLE + "[tpm2]\nextra = 1\n", "extra"),
        (WHOLE.replace('class = "tpm"', 'class = "tee"'), "anchors[0].class"),
        (WHOLE.replace('class = "tpm"', 'klass = "tpm"'), "klass"),
        (WHOLE.replace('"roots"', '"absent"'), "absent"),
        (WHOLE.replace("sha256 = [0, 7]", "sha1 = [0, 7]"), "required_pcrs.sha1"),
        (WHOLE.replace("sha256 = [0, 7]", "sha256 = [0, 24]"), "required_pcrs"),
        (WHOLE.replace("sha256 = [0, 7]", "sha256 = [0, 7, 7]"), "required_pcrs"),
        (WHOLE.replace("sha256 = [0, 7]", 'sha256 = "all"'), "required_pcrs"),
        (WHOLE.replace('7 = "any"', '7 = "all"'), "pcr_values"),
        (WHOLE.replace('7 = "any"', '7 = ["00"]'), "pcr_values.sha256.7"),
        (WHOLE.replace('7 = "any"', f'7 = ["{"AB" * 32}"]'), "pcr_values"),
        (WHOLE.replace('7 = "any"', '7 = "any"\n8 = "any"'), "pcr_values.sha256.8"),
        (WHOLE.replace('7 = "any"', '7 = "any"\n07 = "any"'), "pcr_values.sha256.07"),
        (WHOLE + "[tpm2]\nmax_age_s = 0\n", "max_age_s"),
        (EVENTS + "pcrs = [1]\nrequired = true\n", "event_log.pcrs"),
        (EVENTS + 'secure_boot = "required"\n', "event_log.required"),
        (EVENTS + 'required = true\npcrs = [0]\nsecure_boot = "required"\n', "secure_boot"),
        (EVENTS + 'secure_boot = "on"\n', "secure_boot"),
        (
            EVENTS + f'required = true\nallowed_digests.sha256.4 = ["{ZEROS}"]\n',
            "event_log.allowed_digests",
        ),
        (
            EVENTS + 'required = true\nforbidden_digests.sha256 = ["00"]\n',
            "forbidden_digests.sha256",
        ),
        (
            EVENTS + f'required = true\nallowed_digests.sha384.7 = ["{ZEROS + "00" * 16}"]\n',
            "event_log.allowed_digests.sha384.7",
        ),
        (
            EVENTS + f'required = true\nforbidden_digests.sha384 = ["{ZEROS + "00" * 16}"]\n',
            "event_log.forbidden_digests.sha384",
        ),
        (
            EVENTS + 'required = true\nforbidden_digests.sha1 = ["00"]\n',
            "forbidden_digests.sha1",
        ),
        (WHOLE + "[tpm2.require_key_policy]\nsha256 = [4]\n", "require_key_policy"),
        ("id = [", "Invalid value"),
        ("\xff\xfe", ""),
    ],
)
def test_names_the_entry_that_is_wrong(text: str, entry: str, folder: Path) -> None:
    # TOML tables may be given once: what is added to [tpm2] goes in front of its sub-tables.
    if "[tpm2]\n" in text and text.startswith(WHOLE):
        added = text.removeprefix(WHOLE)
        text = HEAD + added + ANCHORS + PCRS + VALUES
    error = refusal(text, folder)
    assert error.reason is Reason.CONFIGURATION_INVALID
    assert entry in error.detail


def test_loads_a_file_and_names_it_in_errors(folder: Path) -> None:
    file = folder / "policy.toml"
    file.write_text(WHOLE)
    assert load_policy(file).name == "lab@7"
    file.write_text(HEAD)
    with pytest.raises(ConfigurationError, match=r"policy\.toml:1: tpm2: no kind"):
        load_policy(file)
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        load_policy(folder / "absent.toml")


def test_refuses_a_file_over_the_bound(folder: Path) -> None:
    file = folder / "policy.toml"
    file.write_text(WHOLE + "#" * MAX_POLICY_BYTES)
    with pytest.raises(ConfigurationError, match="more than"):
        load_policy(file)


def test_a_class_that_no_anchor_has_allows_nothing(folder: Path) -> None:
    text = HEAD + '[tpm2]\nallowed_anchor_classes = ["emulated"]\n' + ANCHORS + PCRS + VALUES
    error: Any = refusal(text, folder)
    assert error.reason is Reason.POLICY_EMPTY
