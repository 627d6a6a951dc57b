"""keystead.toml: what is wrong is named with its path and what was expected; nothing is guessed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from keystead.app import process
from keystead.cli import main
from keystead.config import MAX_CONFIG_BYTES, Config, load_config, parse_config
from keystead.dev import CONFIG, TRUST_DOMAIN
from keystead.errors import ConfigurationError, Reason

MINIMAL = """\
issuer = "https://keystead.example"
trust_domain = "example.org"

[server.http.tls]
certificate = "http.pem"
private_key = "http.key"

[server.grpc.tls]
certificate = "grpc.pem"
private_key = "grpc.key"
client_ca = "clients.pem"

[tpm2]
tcti = "device:/dev/tpmrm0"

[storage]
folder = "state"

[attestation]
policy = "appraisal.toml"

[delegation]
policy = "delegation.cedar"
"""
ISSUER = """
[[subject_issuers]]
issuer = "https://idp.example"
jwks_url = "https://idp.example/jwks"
audiences = ["https://keystead.example"]
clients = ["app"]
"""
AUDIENCE = """
[[audiences]]
uri = "https://api.example"
scopes = ["read"]
"""
OPERATOR = f"""
[[authorization.operators]]
name = "olga"
role = "operator"
credential_sha256 = "{"ab" * 32}"
"""
IDENTITY = """
[[authorization.identities]]
spiffe_id = "spiffe://example.org/api"
role = "relying_party"
"""
WHOLE = MINIMAL + ISSUER + AUDIENCE + OPERATOR + IDENTITY


def changed(old: str, new: str) -> str:
    assert WHOLE.count(old) == 1, f"{old!r} stands {WHOLE.count(old)} times"
    return WHOLE.replace(old, new)


def refusal(text: str) -> str:
    """The message without its line, which tests of its own are about."""
    return re.sub(r"^keystead\.toml:\d+:", "keystead.toml:", located_refusal(text))


def located_refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text)
    assert caught.value.reason is Reason.CONFIGURATION_INVALID
    return caught.value.detail


def test_the_whole_file_is_read() -> None:
    config = parse_config(WHOLE)
    assert config.issuer == "https://keystead.example"
    assert config.server.grpc.tls is not None
    assert config.server.grpc.tls.client_ca == "clients.pem"
    assert [issuer.issuer for issuer in config.subject_issuers] == ["https://idp.example"]
    assert config.authorization.operators[0].name == "olga"
    assert not config.development


def test_the_least_file_is_strict_by_default() -> None:
    config = parse_config(MINIMAL)
    assert config.authorization.anonymous_roles == ()
    assert config.authorization.operators == ()
    assert config.subject_issuers == () and config.audiences == ()
    assert config.delegation.actor_jwks_url is None
    assert not config.development


def test_the_template_of_development_is_a_configuration() -> None:
    text = CONFIG.format(
        http_port=8440, grpc_port=8441, trust_domain=TRUST_DOMAIN, credential_sha256="0" * 64
    )
    config = parse_config(text)
    assert config.development
    assert config.issuer == "http://127.0.0.1:8440"
    assert (config.server.http.port, config.server.grpc.port) == (8440, 8441)
    assert config.authorization.anonymous_roles == ("relying_party",)
    commented = [line[2:] for line in text.splitlines() if line.startswith("# ") and "=" in line]
    assert commented, "its examples are configuration too"
    examples = text + "\n".join(
        line[2:] for line in text.splitlines() if line.startswith("# ") and line[2:3] in "[iajcus"
    )
    shown = parse_config(examples)
    assert shown.subject_issuers[0].clients == ("my-app",)
    assert shown.audiences[0].scopes == ("calendar.read",)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('trust_domain = "example.org"', 'trust_domain = "example.org"\ntypo = 1', "typo"),
        ('tcti = "device:/dev/tpmrm0"', 'tcti = "device:/dev/tpmrm0"\ntypo = 1', "tpm2"),
        ('folder = "state"', 'folder = "state"\ntypo = 1', "storage"),
        ("[storage]", "[server]\ntypo = 1\n[storage]", "server"),
        ("[storage]", "[server.http]\ntypo = 1\n[storage]", "server.http"),
        ("[storage]", "[audit]\ntypo = 1\n[storage]", "audit"),
        ("[storage]", "[limits]\ntypo = 1\n[storage]", "limits"),
        ("[storage]", "[keys]\ntypo = 1\n[storage]", "keys"),
        ('client_ca = "clients.pem"', "typo = 1", "server.grpc.tls"),
        ('clients = ["app"]', 'clients = ["app"]\ntypo = 1', "subject_issuers[0]"),
        ('scopes = ["read"]', 'scopes = ["read"]\ntypo = 1', "audiences[0]"),
        ('role = "operator"', 'role = "operator"\ntypo = 1', "authorization.operators[0]"),
        ('role = "relying_party"', 'role = "relying_party"\ntypo = 1', "authorization.identities"),
    ],
)
def test_an_unknown_entry_is_named_with_its_table(old: str, new: str, path: str) -> None:
    said = refusal(changed(old, new))
    assert "typo" in said and path in said and said.startswith("keystead.toml: ")


@pytest.mark.parametrize(
    ("old", "new", "path", "expected"),
    [
        ('tcti = "device:/dev/tpmrm0"', "", "`tpm2`", "`tcti`"),
        ('folder = "state"', "", "`storage`", "`folder`"),
        ('issuer = "https://keystead.example"', "", "", "`issuer`"),
        ('trust_domain = "example.org"', 'trust_domain = ""', "trust_domain", "length >= 1"),
        ('tcti = "device:/dev/tpmrm0"', "tcti = 5", "tpm2.tcti", "Expected `str`"),
        ("[storage]", "command_timeout_ms = 1\n[storage]", "tpm2.command_timeout_ms", ">= 10"),
        ("[storage]", 'command_timeout_ms = "5"\n[storage]', "tpm2.command", "Expected `int`"),
        ("[storage]", "queue_limit = 0\n[storage]", "tpm2.queue_limit", ">= 1"),
        ("[storage]", 'ek_order = ["p999"]\n[storage]', "tpm2.ek_order[0]", "'p999'"),
        ("[storage]", "ek_order = []\n[storage]", "tpm2.ek_order", "length >= 1"),
        ("[storage]", "counter_index = 1\n[storage]", "tpm2.counter_index", ">="),
        ("[storage]", "[server.http]\nport = 65536\n[storage]", "server.http.port", "<= 65535"),
        ("[storage]", "[server]\ndrain_s = 0\n[storage]", "server.drain_s", ">= 1"),
        ("[storage]", '[keys]\ntoken_algorithm = "HS256"\n[storage]', "keys.token_", "'HS256'"),
        ("[storage]", "[audit]\ncheckpoint_every_s = 0\n[storage]", "audit.check", ">= 1"),
        ("[storage]", "[limits]\nbody_bytes = 1\n[storage]", "limits.body_bytes", ">= 1024"),
        ("[storage]", "development = 1\n[storage]", "tpm2", "development"),
        ('clients = ["app"]', "clients = []", "subject_issuers[0].clients", "length >= 1"),
        ('clients = ["app"]', 'clients = "app"', "subject_issuers[0].clients", "`array`"),
        (
            'clients = ["app"]',
            'clients = ["app"]\nalgorithms = ["none"]',
            "subject_issuers[0].algorithms[0]",
            "'none'",
        ),
        (
            'clients = ["app"]',
            'clients = ["app"]\nalgorithms = ["HS256"]',
            "subject_issuers[0].algorithms[0]",
            "'HS256'",
        ),
        (
            'clients = ["app"]',
            'clients = ["app"]\n[subject_issuers.aal]\nphr = 4',
            "subject_issuers[0].aal",
            "<= 3",
        ),
        ('scopes = ["read"]', "scopes = []", "audiences[0].scopes", "length >= 1"),
        (
            'scopes = ["read"]',
            'scopes = ["read"]\nmax_lifetime_s = 301',
            "audiences[0].max_lifetime_s",
            "<= 300",
        ),
        ('role = "operator"', 'role = "root"', "authorization.operators[0].role", "'root'"),
        (
            'role = "relying_party"',
            'role = "admin_socket"',
            "authorization.identities[0].role",
            "'admin_socket'",
        ),
        ("ab" * 32, "AB" * 32, "credential_sha256", "[0-9a-f]"),
        ("ab" * 32, "ab" * 31, "credential_sha256", "[0-9a-f]"),
        ("ab" * 32, "kso_" + "a" * 43, "credential_sha256", "[0-9a-f]"),
    ],
)
def test_a_wrong_entry_is_named_with_what_was_expected(
    old: str, new: str, path: str, expected: str
) -> None:
    said = refusal(changed(old, new))
    assert path in said and expected in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            changed('jwks_url = "https://idp.example/jwks"', ""),
            "subject_issuers[0]: exactly one of jwks_url, jwks_file",
        ),
        (
            changed('clients = ["app"]', 'clients = ["app"]\njwks_file = "x"'),
            "subject_issuers[0]: exactly one of jwks_url, jwks_file",
        ),
        (
            changed('issuer = "https://idp.example"', 'issuer = "https://keystead.example"'),
            "subject_issuers[0].issuer: names this issuer itself",
        ),
        (
            changed('uri = "https://api.example"', 'uri = "https://keystead.example"'),
            "audiences[0].uri: names this issuer itself",
        ),
        (
            changed(
                'policy = "delegation.cedar"',
                'policy = "delegation.cedar"\nactor_jwks_url = "https://a"\nactor_jwks_file = "b"',
            ),
            "delegation: at most one of actor_jwks_url, actor_jwks_file",
        ),
        (WHOLE + ISSUER, "subject_issuers: 'https://idp.example' stands there twice"),
        (WHOLE + AUDIENCE, "audiences: 'https://api.example' stands there twice"),
        (WHOLE + OPERATOR, "authorization.operators: 'olga' stands there twice"),
        (
            WHOLE + OPERATOR.replace("olga", "oleg"),
            f"authorization.operators: {'ab' * 32!r} stands there twice",
        ),
        (
            WHOLE + IDENTITY.replace("relying_party", "administrator"),
            "authorization.identities: 'spiffe://example.org/api' stands there twice",
        ),
        (
            changed('issuer = "https://keystead.example"', 'issuer = "https://k.example/?a"'),
            "issuer: expected a URL without query and fragment",
        ),
        (
            changed('issuer = "https://keystead.example"', 'issuer = "https://k.example/#"'),
            "issuer: expected a URL without query and fragment",
        ),
    ],
)
def test_what_contradicts_itself_is_named(text: str, said: str) -> None:
    assert refusal(text) == f"keystead.toml: {said}"


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_tls_is_required_outside_development(door: str) -> None:
    lines = MINIMAL.split("\n\n")
    text = "\n\n".join(part for part in lines if not part.startswith(f"[server.{door}.tls]"))
    assert refusal(text) == f"keystead.toml: server.{door}.tls: required unless development = true"
    assert parse_config("development = true\n" + text).development


def test_an_issuer_is_https_outside_development() -> None:
    text = MINIMAL.replace('issuer = "https://', 'issuer = "http://')
    assert refusal(text).endswith("issuer: expected an https URL unless development = true")
    assert parse_config("development = true\n" + text).issuer.startswith("http://")


def test_strangers_have_roles_in_development_only() -> None:
    text = MINIMAL + '\n[authorization]\nanonymous_roles = ["relying_party"]\n'
    assert "anonymous_roles: only with development = true" in refusal(text)
    config = parse_config("development = true\n" + text)
    assert config.authorization.anonymous_roles == ("relying_party",)
    assert "anonymous_roles" in refusal(
        "development = true\n" + text.replace("relying_party", "administrator")
    )


@pytest.mark.parametrize("text", ["", "issuer", "= 1", "issuer = ", "[a]\n[a]", "issuer='a'\n" * 2])
def test_what_is_no_toml_or_nothing_is_refused(text: str) -> None:
    refusal(text)


def test_no_credential_is_in_the_message() -> None:
    """Whoever writes the credential itself in the hash's place must not find it in a log."""
    credential = "kso_" + "s" * 43
    assert credential not in refusal(changed("ab" * 32, credential))


# --- from a file, and through the command ---------------------------------------------------------


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "keystead.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, WHOLE)) == parse_config(WHOLE)


def test_paths_stay_relative_to_the_file(tmp_path: Path) -> None:
    """The configuration does not resolve them: who reads it says where it stood."""
    config = load_config(write(tmp_path, WHOLE))
    assert config.attestation.policy == "appraisal.toml"
    assert config.storage.folder == "state"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not UTF-8"),
        (b"#" * (MAX_CONFIG_BYTES + 1), f"larger than {MAX_CONFIG_BYTES} bytes"),
        (WHOLE.encode()[:-40], "not TOML"),
    ],
)
def test_what_is_no_file_of_ours_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(ConfigurationError) as refused:
        load_config(path)
    assert refused.value.detail.startswith(f"{path}: {said}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config(tmp_path / "none.toml")
    assert (
        refused.value.detail == f"{tmp_path}/none.toml: cannot be read: No such file or directory"
    )
    with pytest.raises(ConfigurationError):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed('folder = "state"', 'floder = "state"'), "floder"),
        (changed('folder = "state"', "folder = 5"), "storage.folder"),
        (MINIMAL.replace("[server.http.tls]", "[server.http.tsl]"), "tsl"),
        (WHOLE + AUDIENCE, "stands there twice"),
        ("issuer", "not TOML"),
    ],
)
def test_the_command_says_it_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = write(tmp_path, text)
    assert main(["serve", "--config", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("keystead: configuration_invalid: ")
    assert said in shown.err and str(path) in shown.err
    assert main(["serve", "--config", str(path), "--json"]) == 2
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["error"] == "configuration_invalid" and said in document["detail"]


def test_a_policy_that_is_missing_ends_the_command_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_log_to_stderr", lambda: None)  # it would outlive this test
    path = write(tmp_path, WHOLE)
    assert main(["serve", "--config", str(path)]) == 2
    assert str(tmp_path / "delegation.cedar") in capsys.readouterr().err
    (tmp_path / "delegation.cedar").write_text("")
    assert main(["serve", "--config", str(path)]) == 2
    capsys.readouterr()
    (tmp_path / "delegation.cedar").write_text('@id("x") permit(principal, action, resource);')
    assert main(["serve", "--config", str(path)]) == 2
    assert str(tmp_path / "appraisal.toml") in capsys.readouterr().err


def test_the_configuration_cannot_be_changed() -> None:
    config = parse_config(WHOLE)
    with pytest.raises(AttributeError):
        config.development = True  # type: ignore[misc]
    assert isinstance(config, Config)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (changed("[storage]", "[storage]\nfolders = 1"), "folders = 1"),
        (changed('tcti = "device:/dev/tpmrm0"', "tcti = 5"), "tcti = 5"),
        (changed('tcti = "device:/dev/tpmrm0"\n', ""), "[tpm2]"),
        (WHOLE + "extra = 1\n", "extra = 1"),
        (WHOLE + ISSUER.replace("idp.example", "other.example") + "aal.x = 9\n", "aal.x = 9"),
        (WHOLE + AUDIENCE.replace("api.example", "b.example").replace("read", ""), 'scopes = [""]'),
        (
            WHOLE + ISSUER.replace('https://idp.example"\n', 'https://keystead.example"\n'),
            'issuer = "https://keystead.example"',
        ),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_wrong_is_named_with_its_line(text: str, place: str, end: str) -> None:
    lines = text.split("\n")
    line = len(lines) - lines[::-1].index(place)
    assert located_refusal(text.replace("\n", end)).startswith(f"keystead.toml:{line}: ")


def test_what_is_missing_from_the_whole_file_is_missing_from_its_first_line() -> None:
    assert located_refusal("") == "keystead.toml:1: Object missing required field `issuer`"


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "a =", "a = 1\na = 2"])
def test_what_is_no_toml_has_no_line_of_ours(text: str) -> None:
    assert located_refusal(text).startswith("keystead.toml: not TOML: ")
