from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.aws_nitro_policy import NitroPolicy
from keystead.appraisal.policy import parse_policy
from keystead.codec.nitro import DocumentType
from keystead.errors import ConfigurationError, Reason
from tests.nitro_builder import Enclave

VALUE = "ab" * 48
ZEROS = "00" * 48


def rules(text: str, folder: Path = Path()) -> NitroPolicy:
    found = parse_policy(f'id = "x"\nversion = 1\n{text}', folder=folder).aws_nitro
    assert found is not None
    return found


def refusal(text: str, folder: Path = Path()) -> tuple[Reason, str]:
    with pytest.raises(ConfigurationError) as refused:
        rules(text, folder)
    return refused.value.reason, refused.value.detail


def test_reads_every_entry() -> None:
    found = rules(
        f"[aws-nitro]\nallow_debug = true\nmax_document_age_s = 5\nmax_age_s = 6\n"
        f'[aws-nitro.pcrs]\n0 = ["{VALUE}"]\n8 = "any"\n31 = ["{VALUE}", "{ZEROS}"]'
    )
    assert found.pcrs == {
        0: frozenset({bytes.fromhex(VALUE)}),
        8: None,
        31: frozenset({bytes.fromhex(VALUE), bytes(48)}),
    }
    assert (found.document, found.allow_debug) == (DocumentType.ENCLAVE, True)
    assert (found.max_document_age_s, found.max_age_s) == (5, 6)
    assert found.image_pinned


def test_defaults_are_the_strict_ones() -> None:
    found = rules('[aws-nitro.pcrs]\n0 = "any"')
    assert (found.document, found.allow_debug) == (DocumentType.ENCLAVE, False)
    assert (found.max_document_age_s, found.max_age_s) == (300, 3_600)
    assert not found.image_pinned


def test_an_instance_needs_its_own_pcrs() -> None:
    text = '[aws-nitro]\ndocument = "nitrotpm"\n[aws-nitro.pcrs]\n'
    found = rules(f'{text}4 = ["{VALUE}"]\n7 = ["{VALUE}"]')
    assert found.document is DocumentType.NITROTPM and found.image_pinned
    assert not rules(f'{text}4 = ["{VALUE}"]\n7 = "any"').image_pinned
    assert refusal(f'{text}4 = "any"') == (
        Reason.POLICY_EMPTY,
        'aws-nitro.pcrs.7: expected values, or "any" written out',
    )


@pytest.mark.parametrize(
    ("text", "reason", "entry"),
    [
        ("[aws-nitro]", Reason.POLICY_EMPTY, "aws-nitro.pcrs.0"),
        ('[aws-nitro.pcrs]\n8 = "any"', Reason.POLICY_EMPTY, "aws-nitro.pcrs.0"),
        ("[aws-nitro.pcrs]\n0 = []", Reason.POLICY_EMPTY, "aws-nitro.pcrs.0"),
        (
            '[aws-nitro]\npinned_anchors = false\n[aws-nitro.pcrs]\n0 = "any"',
            Reason.POLICY_EMPTY,
            "aws-nitro.anchors",
        ),
        ('[aws-nitro.pcrs]\n0 = ["ab"]', Reason.CONFIGURATION_INVALID, "aws-nitro.pcrs.0"),
        (f'[aws-nitro.pcrs]\n0 = ["{VALUE}00"]', Reason.CONFIGURATION_INVALID, "pcrs.0"),
        (f'[aws-nitro.pcrs]\n0 = ["{VALUE[:-2]}"]', Reason.CONFIGURATION_INVALID, "pcrs.0"),
        ('[aws-nitro.pcrs]\n32 = "any"', Reason.CONFIGURATION_INVALID, "aws-nitro.pcrs.32"),
        ('[aws-nitro.pcrs]\n00 = "any"', Reason.CONFIGURATION_INVALID, "aws-nitro.pcrs.00"),
        (f'[aws-nitro.pcrs]\n0 = ["{ZEROS}"]', Reason.CONFIGURATION_INVALID, "debug"),
        ('[aws-nitro.pcrs]\n0 = "all"', Reason.CONFIGURATION_INVALID, "pcrs"),
        ("[aws-nitro]\nother = 1", Reason.CONFIGURATION_INVALID, "other"),
        ('[aws-nitro]\ndocument = "tpm"', Reason.CONFIGURATION_INVALID, "document"),
        ("[aws-nitro]\nmax_document_age_s = 0", Reason.CONFIGURATION_INVALID, "max_document_age"),
        ("[aws-nitro]\nmax_document_age_s = 10801", Reason.CONFIGURATION_INVALID, "max_document"),
        ("[aws-nitro]\nmax_age_s = 0", Reason.CONFIGURATION_INVALID, "max_age_s"),
        ('[aws-nitro]\nallow_debug = "yes"', Reason.CONFIGURATION_INVALID, "allow_debug"),
        ('[[aws-nitro.anchors]]\npath = ""', Reason.CONFIGURATION_INVALID, "path"),
        ('[[aws-nitro.anchors]]\npath = "x"\nclass = "tpm"', Reason.CONFIGURATION_INVALID, "class"),
    ],
)
def test_what_is_wrong_or_left_open_is_named(text: str, reason: Reason, entry: str) -> None:
    told = refusal(text)
    assert told[0] is reason and entry in told[1]


def test_an_operators_root_is_emulated_unless_declared(tmp_path: Path) -> None:
    root = x509.load_der_x509_certificate(Enclave().chain.root)
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    text = '[aws-nitro.pcrs]\n0 = "any"\n[[aws-nitro.anchors]]\npath = "root.pem"\n'
    chain = Enclave().chain
    for declared, name in (("", "emulated"), ('class = "tee"', "tee")):
        chains = rules(text + declared, tmp_path).chains
        found = chains.path(chain.leaf, intermediates=chain.bundle, at=1_790_000_000)
        assert found.anchor.anchor_class == name


def test_a_root_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    text = '[aws-nitro.pcrs]\n0 = "any"\n[[aws-nitro.anchors]]\npath = "missing.pem"'
    reason, detail = refusal(text, tmp_path)
    assert reason is Reason.CONFIGURATION_INVALID and "missing.pem" in detail
