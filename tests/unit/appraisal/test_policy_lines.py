"""An error in a policy's file names the line: every kind's section, however it is written."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.appraisal.policy import load_policy
from keystead.errors import ConfigurationError, Reason
from tests.evidence_builder import root

HEAD = 'id = "lab"     # HEAD\nversion = 7\n\n'
SHORT = '["00"]  # HERE'
# A whole section of each kind.
TPM2 = f"""\
[tpm2]
# A comment with [tpm2.pcr_values] and 0 = in it.
max_age_s = 60
[[tpm2.anchors]]
path = "root.pem"
class = "tpm"
[tpm2.required_pcrs]
sha256 = [0, 7]
[tpm2.pcr_values.sha256]
0 = ["{"00" * 32}"]
7 = "any"
"""
NITRO = f"""\
[aws-nitro]
[aws-nitro.pcrs]
0 = "any"
8 = ["{"00" * 48}"]
"""
APP = """\
[app-attest]
apps = [
  "TEAM123456.com.example",   # one, with "quotes" and ]
  "TEAM123456.com.example.other",
]
"""
REPORT = 'measurements = "any"\nminimum_tcb = "any"\n'
SNP = f"[sev-snp]\n{REPORT}"
AZURE = f"""\
[azure-cvm]
required_pcrs.sha256 = [0]
[azure-cvm.pcr_values.sha256]
0 = "any"
[azure-cvm.sev-snp]
{REPORT}"""
OIDC = """\
[[oidc.issuers]]
issuer = "https://one.example"
profile = "gcp"
jwks_url = "https://one.example/keys"
[[oidc.issuers.rules]]
sub = ["1"]
email = "any"
[[oidc.issuers]]
issuer = "https://two.example"
profile = "other"
freshness = "challenged"
jwks_url = "https://two.example/keys"
[[oidc.issuers.rules]]
sub = ["1"]
"""
MAA = """\
[maa]
policy_hashes = "any"
compliance = "any"
measurements = "any"
minimum_versions = "any"
[maa.claims]
"x-ms-runtime/keys" = ["one"]
[[maa.instances]]
issuer = "https://one.example"
jwks_url = "https://one.example/certs"
"""
WHOLE = {
    "tpm2": TPM2,
    "aws-nitro": NITRO,
    "app-attest": APP,
    "sev-snp": SNP,
    "azure-cvm": AZURE,
    "oidc": OIDC,
    "maa": MAA,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pem = x509.load_der_x509_certificate(root()).public_bytes(Encoding.PEM)
    (tmp_path / "root.pem").write_bytes(pem)
    return tmp_path


def refusal(text: str, folder: Path) -> tuple[Reason, str]:
    """The reason, and the message from the file's name on."""
    file = folder / "policy.toml"
    file.write_bytes(text.encode())
    with pytest.raises(ConfigurationError) as refused:
        load_policy(file)
    return refused.value.reason, refused.value.detail.removeprefix(f"{folder}/")


def line_of(mark: str, text: str) -> int:
    (line,) = [at for at, each in enumerate(text.splitlines(), 1) if mark in each]
    return line


@pytest.mark.parametrize("kind", WHOLE)
def test_the_sections_are_whole(kind: str, folder: Path) -> None:
    (folder / "policy.toml").write_text(HEAD + WHOLE[kind])
    assert load_policy(folder / "policy.toml").name == "lab@7"


def test_an_empty_policy_is_empty_from_its_first_line(folder: Path) -> None:
    wanted = "policy.toml:1: tpm2: no kind of evidence has rules"
    assert refusal(HEAD, folder) == (Reason.POLICY_EMPTY, wanted)
    _, told = refusal("# nothing\n\n", folder)
    assert told == "policy.toml:1: Object missing required field `id`"


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("[tpm2] # HERE\n", "tpm2.anchors: no trust anchor"),
        ("[aws-nitro] # HERE\n", "aws-nitro.pcrs.0: expected values"),
        ("[app-attest] # HERE\n", "app-attest.apps: no app may attest"),
        ("[sev-snp] # HERE\n", "sev-snp.measurements: expected values"),
        ("[azure-cvm] # HERE\n", "azure-cvm.sev-snp: no hardware has rules"),
        ("[azure-cvm.sev-snp] # HERE\n" + REPORT, "azure-cvm.required_pcrs: no PCR is required"),
        ("[oidc] # HERE\n", "oidc.issuers: "),
        ("[maa] # HERE\n", "maa.policy_hashes: expected values"),
        (TPM2.replace('7 = "any"', "7 = [] # HERE"), "tpm2.pcr_values.sha256.7: expected values"),
        (
            OIDC.replace('email = "any"', "email = [] # HERE"),
            "oidc.issuers[0].rules[0].email: expected values",
        ),
        (MAA.replace('["one"]', "[] # HERE"), "maa.claims.x-ms-runtime/keys: expected values"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_empty_section_or_entry_is_named_with_its_line(
    section: str, entry: str, end: str, folder: Path
) -> None:
    text = (HEAD + section).replace("\n", end)
    reason, told = refusal(text, folder)
    assert reason is Reason.POLICY_EMPTY
    assert told.startswith(f"policy.toml:{line_of('HERE', text)}: {entry}")


UNKNOWN = "unknown = 1 # HERE\n"


@pytest.mark.parametrize(
    "section",
    [
        *(f"[{kind}]\n{UNKNOWN}" for kind in WHOLE if kind not in ("tpm2", "oidc")),
        TPM2.replace("max_age_s", "max_aeg_s").replace("= 60", "= 60 # HERE"),
        TPM2.replace('class = "tpm"', 'klass = "tpm" # HERE'),
        "[tpm2.event_log]\n" + UNKNOWN,
        "[sev-snp.minimum_tcb.Milan]\nboot_loader = 1\ntee = 1\nsnp = 1\nmicrocode = 1\n" + UNKNOWN,
        AZURE + UNKNOWN,
        OIDC.replace('profile = "other"', 'profil = "other" # HERE'),
        "oidc = { issuers = [\n], other = 2 } # HERE\n",
        MAA + UNKNOWN,
        'maa."unknown" = 1 # HERE\n',
        "[maa.minimum_versions]\n" + UNKNOWN,
        "[gpu-tee] # HERE\n",
        "gpu-tee.on = true # HERE\n",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_unknown_key_is_named_with_its_line(section: str, end: str, folder: Path) -> None:
    text = (HEAD + section).replace("\n", end)
    reason, told = refusal(text, folder)
    assert reason is Reason.CONFIGURATION_INVALID
    assert "unknown field" in told or "missing required" in told  # Of a name that is misspelt.
    assert told.startswith(f"policy.toml:{line_of('HERE', text)}: ")


@pytest.mark.parametrize(
    "section",
    [
        TPM2.replace('7 = "any"', f"7 = {SHORT}"),
        TPM2.replace(f'["{"00" * 32}"]', SHORT),
        TPM2.replace("[tpm2.pcr_values.sha256]\n0 = ", "[tpm2.pcr_values]\nsha256.0 = ")
        .replace("7 =", 'sha256."7" =')
        .replace('"any"', SHORT),
        TPM2 + f"[tpm2.event_log]\nrequired = true\nforbidden_digests.sha256 = {SHORT}\n",
        TPM2 + f"[tpm2.event_log]\nrequired = true\nallowed_digests.sha256.7 = {SHORT}\n",
        NITRO.replace('"any"', SHORT),
        NITRO + f"3 = {SHORT}\n",
        "aws-nitro = { pcrs = { 0 = 'any', 4 = ['00'] } } # HERE\n",
        APP.replace("TEAM123456.com.example.other", "TEAM.com").replace('.com",', '.com", # HERE'),
        SNP.replace('"any"', SHORT, 1),
        SNP + f"host_data = {SHORT}\n",
        SNP + f"id_key_digests = {SHORT}\n",
        AZURE.replace('measurements = "any"', f"measurements = {SHORT}"),
        AZURE.replace('0 = "any"', f"0 = {SHORT}"),
        MAA.replace('measurements = "any"', f"measurements = {SHORT}"),
        MAA.replace('policy_hashes = "any"', f"policy_hashes = {SHORT}"),
        MAA.replace("[maa.claims]", f"host_data = {SHORT}\n[maa.claims]"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_value_of_the_wrong_length_is_named_with_its_line(
    section: str, end: str, folder: Path
) -> None:
    text = (HEAD + section).replace("\n", end)
    reason, told = refusal(text, folder)
    assert reason is Reason.CONFIGURATION_INVALID
    assert told.startswith(f"policy.toml:{line_of('HERE', text)}: ")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (TPM2.replace('7 = "any"', '7 = "all" # HERE'), "[...][...]"),
        (TPM2.replace('7 = "any"', '7 = ["GG"] # HERE'), "[...][...]"),
        (TPM2.replace("[0, 7]", "[\n 0,\n 24, # HERE\n]"), "<= 23"),
        (NITRO + '9 = ["xx"] # HERE\n', "[...]"),
        (OIDC.replace('email = "any"', "email = [7] # HERE"), "[...]"),
        (MAA.replace('"one"', '"" # HERE\n'), "[...]"),
        ("[sev-snp.minimum_tcb.Rome] # HERE\n", "`key` in"),
        (
            "[sev-snp]\n[sev-snp.minimum_tcb.Milan]\nboot_loader = 1\ntee = 1\nsnp = 1\n"
            "microcode = 1\n[sev-snp.minimum_tcb.Genoa] # HERE\nboot_loader = 1\n",
            "[...]",
        ),
    ],
)
def test_a_member_that_msgspec_does_not_name_is_found(
    section: str, said: str, folder: Path
) -> None:
    _, told = refusal(HEAD + section, folder)
    assert said in told
    assert told.startswith(f"policy.toml:{line_of('HERE', HEAD + section)}: ")


def test_a_syntax_error_has_the_parsers_own_line(folder: Path) -> None:
    _, told = refusal(HEAD + "[tpm2]\nmax_age_s = \n", folder)
    assert told.startswith("policy.toml: Invalid value (at line 5")


def test_what_is_wrong_outside_of_the_file_has_no_line_of_it(folder: Path) -> None:
    _, told = refusal(HEAD + TPM2.replace("root.pem", "absent.pem"), folder)
    assert told.startswith(f"policy.toml: {folder}/absent.pem: ")


def test_a_file_nested_too_deeply_is_an_error_like_another(folder: Path) -> None:
    reason, told = refusal(HEAD + "a = " + "[" * 5_000, folder)
    assert (reason, told) == (Reason.CONFIGURATION_INVALID, "policy.toml: nested too deeply")
