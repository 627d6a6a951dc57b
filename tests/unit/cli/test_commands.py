"""The commands of operators: what they ask for, and the shapes of what they answer."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystead.cli import main
from keystead.codec import base64url
from keystead.config import parse_config
from keystead.protocol import keystead_v1_pb2 as pb
from tests.unit.cli.conftest import Service
from tests.unit.test_config import MINIMAL

AT = 1_800_000_000
EVIL = "x\x1b[2J"
HOST = pb.Host(
    ek="ek-1",
    ek_name="000b",
    spiffe_id="spiffe://example.org/host",
    labels={"rack": "7"},
    enrolled_at=AT,
    enrolled_by="olga",
)
ENTRY = pb.Entry(
    id="e-1",
    spiffe_id="spiffe://example.org/agent",
    parent="spiffe://example.org/host",
    kind="tpm2",
    ek="ek-1",
    pcrs=[pb.PcrReference(bank="sha256", index=7, values=["00" * 32])],
    labels={"rack": "7"},
    binding_ttl_s=600,
    created_at=AT,
    created_by="olga",
)
KEY = pb.Key(
    kid="k-1",
    purpose="external",
    algorithm="ES256",
    state="active",
    tier="tpm",
    owner="o",
    allow_digest=True,
    jwk=b'{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}',
    created_at=AT,
    activates_at=AT,
    evidence=pb.KeyEvidence(ek_public=b"ek", ek_certificate_chain=[b"ca"], ak_public=b"ak"),
)
GRANT = pb.Grant(
    id="g-1",
    sub="alice",
    subject_issuer="https://idp.example",
    agent="spiffe://example.org/agent",
    jkt="j",
    audience="https://api.example",
    scopes=["read", "write"],
    created_at=AT,
    expires_at=AT + 60,
)


@pytest.fixture
def ask(service: Service, run: Callable[..., Any]) -> Callable[..., Any]:
    """Run with ``--json`` against one answer: what was asked, and the document that came."""

    def command(method: str, answer: Any, *arguments: str) -> tuple[Any, Any]:
        service.answers = {method: answer}
        status, out, err = run(*arguments, "--json")
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        return service.asked[-1][1], json.loads(out)

    return command


def test_hosts_list(ask: Callable[..., Any]) -> None:
    _, document = ask("ListHosts", pb.ListHostsResponse(hosts=[HOST]), "hosts", "list")
    assert document == {
        "hosts": [
            {
                "ek": "ek-1",
                "ek_name": "000b",
                "spiffe_id": "spiffe://example.org/host",
                "labels": {"rack": "7"},
                "enrolled_at": AT,
                "enrolled_by": "olga",
            }
        ]
    }


def test_hosts_enrol(ask: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "ek").write_bytes(b"public")
    (tmp_path / "crt").write_bytes(b"certificate")
    asked, document = ask(
        "EnrolHost",
        HOST,
        *("hosts", "enrol", "spiffe://example.org/host"),
        *("--ek-public", str(tmp_path / "ek"), "--ek-certificate", str(tmp_path / "crt")),
        *("--label", "rack=7", "--label", "room=a=b"),
    )
    assert (asked.spiffe_id, asked.ek_public, asked.ek_certificate) == (
        "spiffe://example.org/host",
        b"public",
        b"certificate",
    )
    assert dict(asked.labels) == {"rack": "7", "room": "a=b"}
    assert document["ek"] == "ek-1"


def test_hosts_remove(ask: Callable[..., Any]) -> None:
    asked, document = ask("RemoveHost", pb.RemoveHostResponse(), "hosts", "remove", "ek-1")
    assert (asked.ek, document) == ("ek-1", {"removed": "ek-1"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("hosts", "enrol", "spiffe://a/h"),
        ("hosts", "enrol", "spiffe://a/h", "--ek-public", "/no/such/file"),
        ("hosts", "enrol", "spiffe://a/h", "--ek-public", "/dev/null", "--label", "rack"),
        ("hosts", "enrol", "spiffe://a/h", "--ek-public", "/dev/null", "--label", "=7"),
        ("entries", "create", "spiffe://a/w", "--parent", "spiffe://a/h", "--pcr", "sha256:7"),
        ("entries", "create", "spiffe://a/w", "--parent", "spiffe://a/h", "--pcr", "sha256=00"),
        ("entries", "create", "spiffe://a/w", "--parent", "spiffe://a/h", "--pcr", "sha256:x=00"),
        ("entries", "create", "spiffe://a/w", "--parent", "spiffe://a/h", "--pcr", "s:-1=00"),
        ("entries", "create", "spiffe://a/w", "--kind", "oidc", "--select", "anchor"),
        ("entries", "create", "spiffe://a/w", "--kind", "oidc", "--select", "anchor="),
        ("entries", "create", "spiffe://a/w", "--kind", "oidc", "--select", "=x"),
        (
            *("entries", "create", "spiffe://a/w", "--parent", "spiffe://a/h"),
            *("--pcr", f"sha256:{'9' * 6_000}=00"),
        ),
    ],
)
def test_wrong_arguments_are_wrong_use_and_nothing_is_asked(
    service: Service, run: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and err.startswith("keystead: parameter_")
    assert service.asked == []


def test_entries_list_and_remove(ask: Callable[..., Any]) -> None:
    _, document = ask("ListEntries", pb.ListEntriesResponse(entries=[ENTRY]), "entries", "list")
    assert document["entries"][0] == {
        "id": "e-1",
        "spiffe_id": "spiffe://example.org/agent",
        "parent": "spiffe://example.org/host",
        "kind": "tpm2",
        "ek": "ek-1",
        "pcrs": [{"bank": "sha256", "index": 7, "values": ["00" * 32]}],
        "labels": {"rack": "7"},
        "selectors": {},
        "binding_ttl_s": 600,
        "created_at": AT,
        "created_by": "olga",
    }
    asked, document = ask("RemoveEntry", pb.RemoveEntryResponse(), "entries", "remove", "e-1")
    assert (asked.id, document) == ("e-1", {"removed": "e-1"})


def test_entries_create(ask: Callable[..., Any]) -> None:
    asked, document = ask(
        "CreateEntry",
        ENTRY,
        *("entries", "create", "spiffe://example.org/agent", "--parent", "spiffe://a/h"),
        *("--pcr", "sha256:7=AA,bb", "--label", "rack=7", "--ttl", "600"),
    )
    assert (asked.kind, asked.binding_ttl_s, asked.parent) == ("tpm2", 600, "spiffe://a/h")
    (pcr,) = asked.pcrs
    assert (pcr.bank, pcr.index, list(pcr.values)) == ("sha256", 7, ["aa", "bb"])
    assert document["id"] == "e-1"


def test_entries_create_by_selectors(ask: Callable[..., Any]) -> None:
    asked, _ = ask(
        "CreateEntry",
        ENTRY,
        *("entries", "create", "spiffe://example.org/ci/{sub}", "--kind", "oidc"),
        *("--select", "anchor=https://ci.example/a=b", "--select", "claims.ref=a"),
        *("--select", "claims.ref=b"),
    )
    assert (asked.kind, asked.parent) == ("oidc", "")
    assert {each.name: list(each.values) for each in asked.selectors} == {
        "anchor": ["https://ci.example/a=b"],
        "claims.ref": ["a", "b"],
    }


def test_keys(ask: Callable[..., Any]) -> None:
    plain = {
        "kid": "k-1",
        "purpose": "external",
        "algorithm": "ES256",
        "state": "active",
        "tier": "tpm",
        "owner": "o",
        "allow_digest": True,
        "jwk": {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"},
        "created_at": AT,
        "activates_at": AT,
        "retired_at": 0,
    }
    asked, document = ask(
        "ListKeys", pb.ListKeysResponse(keys=[KEY]), "keys", "list", "--purpose", "external"
    )
    assert asked.purpose == "external"
    assert document == {"keys": [plain]}
    asked, document = ask("GetKey", KEY, "keys", "show", "k-1")
    evidence = document.pop("evidence")
    assert (asked.kid, document) == ("k-1", plain)
    assert evidence["ek_public"] == base64url.encode(b"ek")
    assert evidence["ek_certificate_chain"] == [base64url.encode(b"ca")]
    asked, _ = ask(
        "CreateKey",
        KEY,
        *("keys", "create", "--algorithm", "RS256", "--owner", "o", "--allow-digest"),
    )
    assert (asked.purpose, asked.algorithm, asked.owner, asked.allow_digest) == (
        "external",
        "RS256",
        "o",
        True,
    )
    asked, _ = ask("Rotate", KEY, "keys", "rotate", "token")
    assert (asked.purpose, asked.owner) == ("token", "")


def test_grants(ask: Callable[..., Any]) -> None:
    asked, document = ask(
        "ListGrants",
        pb.ListGrantsResponse(grants=[GRANT]),
        *("grants", "list", "--sub", "alice", "--agent", "spiffe://example.org/agent"),
    )
    assert (asked.sub, asked.agent) == ("alice", "spiffe://example.org/agent")
    assert document == {
        "grants": [
            {
                "id": "g-1",
                "sub": "alice",
                "subject_issuer": "https://idp.example",
                "agent": "spiffe://example.org/agent",
                "jkt": "j",
                "audience": "https://api.example",
                "scopes": ["read", "write"],
                "created_at": AT,
                "expires_at": AT + 60,
                "revoked_at": 0,
                "parent": "",
            }
        ]
    }
    asked, document = ask("RevokeGrant", pb.RevokeResponse(), "grants", "revoke", "g-1")
    assert (asked.id, document) == ("g-1", {"revoked": "g-1"})


@pytest.mark.parametrize(
    ("method", "answer", "arguments"),
    [
        (
            "ListHosts",
            pb.ListHostsResponse(hosts=[pb.Host(spiffe_id=EVIL, enrolled_by=EVIL)]),
            ("hosts", "list"),
        ),
        (
            "ListEntries",
            pb.ListEntriesResponse(entries=[pb.Entry(spiffe_id=EVIL)]),
            ("entries", "list"),
        ),
        ("ListKeys", pb.ListKeysResponse(keys=[pb.Key(owner=EVIL)]), ("keys", "list")),
        ("GetKey", pb.Key(owner=EVIL), ("keys", "show", "k")),
        ("ListGrants", pb.ListGrantsResponse(grants=[pb.Grant(sub=EVIL)]), ("grants", "list")),
    ],
)
def test_no_stored_value_steers_a_terminal(
    service: Service,
    run: Callable[..., Any],
    method: str,
    answer: Any,
    arguments: tuple[str, ...],
) -> None:
    service.answers = {method: answer}
    status, out, _ = run(*arguments)
    assert status == 0
    assert "\x1b" not in out and "x\\x1b[2J" in out


def test_a_new_operators_credential_is_shown_once_with_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["operators", "new", 'o"l\\ga', "--role", "administrator"]) == 0
    shown = capsys.readouterr().out
    _, _, table = shown.partition("For keystead.toml:")
    config = parse_config(MINIMAL + table.replace("    ", ""))
    (operator,) = config.authorization.operators
    assert (operator.name, operator.role) == ('o"l\\ga', "administrator")
    assert operator.credential_sha256 not in shown.partition("For keystead.toml:")[0]
    assert main(["operators", "new", "olga", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    digest = hashlib.sha256(document["credential"].encode()).hexdigest()
    assert document["entry"] == {
        "name": "olga",
        "role": "operator",
        "credential_sha256": digest,
    }
