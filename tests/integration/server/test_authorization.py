"""docs/authorization.md against a running service: every row, as every role.

The service is a process of its own with TLS on both doors and a software TPM behind it; the table
is read from the document, so that the two cannot drift apart.
"""

import hashlib
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from keystead.codec import base64url
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.testing.swtpm import Swtpm
from tests.certificates import TestAuthority

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "authorization.md"
CREDENTIALS = {"operator": "kso_" + "o" * 43, "administrator": "kso_" + "a" * 43}
HOST = "spiffe://example.org/host/one"
OTHER_HOST = "spiffe://example.org/host/two"
ISSUER = "spiffe://example.org/issuer"
IDENTITIES = {
    "host": HOST,
    "relying_party": "spiffe://example.org/api",
    "issuer": ISSUER,
}
REFUSED = "role_required"
TIMEOUT_S = 20

CONFIG = """\
development = true
issuer = "https://127.0.0.1"
trust_domain = "example.org"

[server]
admin_socket = "admin/keystead.sock"

[server.http]
port = 0
[server.http.tls]
certificate = "{tls.certificate}"
private_key = "{tls.private_key}"
client_ca = "{tls.client_ca}"

[server.grpc]
port = 0
[server.grpc.tls]
certificate = "{tls.certificate}"
private_key = "{tls.private_key}"
client_ca = "{tls.client_ca}"

[tpm2]
tcti = "{tcti}"

[storage]
folder = "store"

[attestation]
policy = "appraisal.toml"

[delegation]
policy = "delegation.cedar"

[[authorization.operators]]
name = "olga"
role = "operator"
credential_sha256 = "{operator}"

[[authorization.operators]]
name = "adam"
role = "administrator"
credential_sha256 = "{administrator}"

[[authorization.identities]]
spiffe_id = "spiffe://example.org/api"
role = "relying_party"

[[authorization.identities]]
spiffe_id = "spiffe://example.org/issuer"
role = "issuer"
"""

APPRAISAL = """\
id = "test"
version = 1

[tpm2]
allowed_anchor_classes = ["emulated"]

[[tpm2.anchors]]
path = "anchors"
class = "emulated"

[tpm2.required_pcrs]
sha256 = [0]

[tpm2.pcr_values.sha256]
0 = "any"
"""

DELEGATION = '@id("all") permit (principal, action == Action::"exchange", resource);\n'


@dataclass
class Service:
    """A running service, and the ways in."""

    authority: TestAuthority
    addresses: dict[str, str]
    external_kid: str = ""
    own_kid: str = ""
    channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def channel(self, role: str) -> grpc.Channel:
        """gRPC as that role: each shows its certificate; a stranger's names nobody."""
        if role not in self.channels:
            self.channels[role] = self._connect(role)
        return self.channels[role]

    def _connect(self, role: str) -> grpc.Channel:
        if role == "admin_socket":
            return grpc.insecure_channel(f"unix:{self.addresses['admin']}")
        uris = [IDENTITIES[role]] if role in IDENTITIES else []
        certificate, key = self.authority.client(*uris)
        credentials = grpc.ssl_channel_credentials(
            self.authority.certificate.read_bytes(), key.read_bytes(), certificate.read_bytes()
        )
        return grpc.secure_channel(self.addresses["grpc"], credentials)

    def http(self, role: str) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if role in IDENTITIES:
            context.load_cert_chain(*self.authority.client(IDENTITIES[role]))
        headers = dict(metadata(role))
        return httpx.Client(base_url=self.addresses["http"], verify=context, headers=headers)


def metadata(role: str) -> tuple[tuple[str, str], ...]:
    if role not in CREDENTIALS:
        return ()
    return (("authorization", f"Bearer {CREDENTIALS[role]}"),)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, swtpm_template: Path) -> Iterator[Service]:
    base = tmp_path_factory.mktemp("service")
    authority = TestAuthority(base / "pki")
    with Swtpm.copy_of(swtpm_template) as tpm:
        write_configuration(base, authority, tpm)
        command = ["serve", "--json", "--config", str(base / "keystead.toml")]
        process = subprocess.Popen(
            [sys.executable, "-m", "keystead", *command], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            assert "grpc" in addresses, addresses
            running = Service(authority=authority, addresses=addresses)
            furnish(running)
            yield running
            for channel in running.channels.values():
                channel.close()
            process.terminate()
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
            process.wait()


def write_configuration(base: Path, authority: TestAuthority, tpm: Swtpm) -> None:
    hashes = {
        role: hashlib.sha256(credential.encode()).hexdigest()
        for role, credential in CREDENTIALS.items()
    }
    (base / "anchors").mkdir()
    (base / "anchors" / "ca.pem").write_bytes(authority.certificate.read_bytes())
    (base / "appraisal.toml").write_text(APPRAISAL)
    (base / "delegation.cedar").write_text(DELEGATION)
    text = CONFIG.format(tls=authority.server(), tcti=tpm.tcti, **hashes)
    (base / "keystead.toml").write_text(text)


def furnish(service: Service) -> None:
    """One enrolled host (its EK is the service's own), one external key of the issuer's."""
    keys = rpc.KeyServiceStub(service.channel("administrator"))
    made = keys.CreateKey(
        pb.CreateKeyRequest(purpose="external", algorithm="ES256", owner=ISSUER),
        metadata=metadata("administrator"),
        timeout=TIMEOUT_S,
    )
    service.external_kid = made.kid
    rpc.IdentityServiceStub(service.channel("admin_socket")).EnrolHost(
        pb.EnrolHostRequest(ek_public=made.evidence.ek_public, spiffe_id=HOST), timeout=TIMEOUT_S
    )
    with service.http("anyone") as client:
        service.own_kid = client.get("/jwks").json()["keys"][0]["kid"]


def documented() -> list[tuple[str, str, str]]:
    """(call, role, cell) of every cell that says something."""
    lines = DOCUMENT.read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    header = next(row for row in rows if row[0] == "call")
    return [
        (row[0].strip("`"), role, cell)
        for row in rows
        if len(row) == len(header) and row[0].startswith("`")
        for role, cell in zip(header[1:], row[1:], strict=True)
        if cell
    ]


CELLS = documented()
NEW_KEY = pb.CreateKeyRequest(purpose="external", algorithm="ES256", owner="somebody")
UNKNOWN = base64url.encode(b"\x07" * 32)
ENTRY = pb.CreateEntryRequest(
    spiffe_id="spiffe://example.org/agent", parent=OTHER_HOST, kind="tpm2"
)

# RPC → a request, and what happens to it once the caller may make it: "ok", or a reason that only
# the use case itself can give.
RPCS: dict[str, tuple[Callable[[Service], Any], str]] = {
    "AttestationService/Attest": (
        lambda s: pb.AttestRequest(begin=pb.BeginAttestation(kind="tpm2")),
        "malformed",
    ),
    "AttestationService/GetResult": (lambda s: pb.GetResultRequest(id=UNKNOWN), "not_found"),
    "KeyService/CreateKey": (lambda s: NEW_KEY, "ok"),
    "KeyService/ListKeys": (lambda s: pb.ListKeysRequest(), "ok"),
    "KeyService/GetKey": (lambda s: pb.GetKeyRequest(kid=s.external_kid), "ok"),
    "KeyService/Sign": (
        lambda s: pb.SignRequest(kid=s.external_kid, payload=b'{"iss":"https://other.example"}'),
        "ok",
    ),
    "KeyService/Rotate": (lambda s: pb.RotateRequest(purpose="external", owner="somebody"), "ok"),
    "TokenService/Exchange": (lambda s: pb.ExchangeRequest(), "parameter_missing"),
    "TokenService/Introspect": (lambda s: pb.IntrospectRequest(token="x"), "ok"),
    "TokenService/Revoke": (lambda s: pb.RevokeRequest(token="x"), "proof_missing"),
    "TokenService/ListGrants": (lambda s: pb.ListGrantsRequest(), "ok"),
    "TokenService/RevokeGrant": (lambda s: pb.RevokeGrantRequest(id="x"), "grant_unknown"),
    "VerificationService/VerifyBatch": (
        lambda s: pb.VerifyBatchRequest(audience="a", tokens=["x"]),
        "ok",
    ),
    "VerificationService/VerifyStream": (
        lambda s: pb.VerifyBatchRequest(audience="a", tokens=["x"]),
        "ok",
    ),
    "IdentityService/EnrolHost": (
        lambda s: pb.EnrolHostRequest(ek_public=b"x", spiffe_id=OTHER_HOST),
        "malformed",
    ),
    "IdentityService/RemoveHost": (lambda s: pb.RemoveHostRequest(ek=UNKNOWN), "not_found"),
    "IdentityService/ListHosts": (lambda s: pb.ListHostsRequest(), "ok"),
    "IdentityService/CreateEntry": (lambda s: ENTRY, "ek_not_enrolled"),
    "IdentityService/RemoveEntry": (lambda s: pb.RemoveEntryRequest(id="x"), "not_found"),
    "IdentityService/ListEntries": (lambda s: pb.ListEntriesRequest(), "ok"),
    "AuditService/List": (lambda s: pb.ListEventsRequest(limit=1), "ok"),
    "AuditService/Tail": (lambda s: pb.TailRequest(), "ok"),
    "AuditService/Checkpoint": (lambda s: pb.CheckpointRequest(), "ok"),
    "AuditService/ListCheckpoints": (lambda s: pb.ListCheckpointsRequest(), "ok"),
}

PROOF_QUESTION = {
    "nonce": base64url.encode(b"n" * 32),
    "credential_blob": base64url.encode(b"x"),
    "encrypted_secret": base64url.encode(b"x"),
}

# Endpoint → the request's path and body, and what happens to it once the caller may make it.
ENDPOINTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "POST /token": ("/token", {"data": {"grant_type": "x"}}, "grant_type_unsupported"),
    "POST /introspect": ("/introspect", {"data": {"token": "x"}}, "ok"),
    "POST /revoke": ("/revoke", {"data": {"token": "x"}}, "proof_missing"),
    "GET /jwks": ("/jwks", {}, "ok"),
    "GET /jwks/{purpose}": ("/jwks/ear", {}, "ok"),
    "GET /attestation-results/{id}": (f"/attestation-results/{UNKNOWN}", {}, "not_found"),
    "GET /.well-known/oauth-authorization-server": (
        "/.well-known/oauth-authorization-server",
        {},
        "ok",
    ),
    "GET /.well-known/keystead/keys": ("/.well-known/keystead/keys", {}, "ok"),
    "POST /.well-known/keystead/keys/prove": (
        "/.well-known/keystead/keys/prove",
        {"json": {**PROOF_QUESTION, "kid": "unknown"}},
        "key_unknown",
    ),
    "GET /healthz": ("/healthz", {}, "ok"),
    "GET /metrics": ("/metrics", {}, "ok"),
}

STREAMS_IN = {"AttestationService/Attest", "VerificationService/VerifyStream"}
STREAMS_OUT = {*STREAMS_IN, "AuditService/Tail"}


def call_rpc(service: Service, name: str, role: str) -> str:
    make_request, _ = RPCS[name]
    kind, method = name.split("/")
    stub = getattr(rpc, f"{kind}Stub")(service.channel(role))
    request = make_request(service)
    call = getattr(stub, method)
    argument = iter([request]) if name in STREAMS_IN else request
    try:
        answer = call(argument, metadata=metadata(role), timeout=TIMEOUT_S)
        if name == "AuditService/Tail":
            next(answer)
            answer.cancel()
        elif name in STREAMS_OUT:
            list(answer)
    except grpc.RpcError as error:
        return str(dict(error.trailing_metadata())["keystead-reason"])
    return "ok"


def call_endpoint(service: Service, name: str, role: str) -> str:
    path, body, _ = ENDPOINTS[name]
    with service.http(role) as client:
        answer = client.request(name.split()[0], path, **body)
    if answer.status_code == 200:
        return "ok"
    reason = str(answer.json()["error_description"])
    if reason == REFUSED:
        assert answer.status_code == (401 if role == "anyone" else 403)
    return reason


@pytest.mark.parametrize(("name", "role", "cell"), CELLS)
def test_the_table_is_what_the_service_does(
    service: Service, name: str, role: str, cell: str
) -> None:
    if name in RPCS:
        outcome, allowed = call_rpc(service, name, role), RPCS[name][1]
    else:
        outcome, allowed = call_endpoint(service, name, role), ENDPOINTS[name][2]
    assert cell in ("yes", "no", "own", "proof")
    assert outcome == (REFUSED if cell == "no" else allowed)


def test_the_table_has_a_row_for_every_rpc_and_every_endpoint() -> None:
    rows = {name for name, _, _ in CELLS}
    published = {
        f"{service.name}/{method}"
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods_by_name
    }
    assert published == RPCS.keys()
    protocol = DOCUMENT.with_name("protocol.md").read_text()
    endpoints = set(re.findall(r"^\| `((?:GET|POST) /[^`]*)` \|", protocol, re.MULTILINE))
    assert endpoints == ENDPOINTS.keys()
    assert rows == published | endpoints


def test_every_cell_of_an_rpc_says_something() -> None:
    assert len([cell for cell in CELLS if cell[0] in RPCS]) == 7 * len(RPCS)


# --- what a cell cannot show ----------------------------------------------------------------------


def reason_of(call: Callable[[], Any]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(dict(caught.value.trailing_metadata())["keystead-reason"])


def test_labels_are_not_the_sockets_to_set(service: Service) -> None:
    stub = rpc.IdentityServiceStub(service.channel("admin_socket"))
    request = pb.EnrolHostRequest(ek_public=b"x", spiffe_id=OTHER_HOST, labels={"rack": "7"})
    assert reason_of(lambda: stub.EnrolHost(request, timeout=TIMEOUT_S)) == REFUSED
    with_operator = metadata("operator")
    call = lambda: stub.EnrolHost(request, metadata=with_operator, timeout=TIMEOUT_S)  # noqa: E731
    assert reason_of(call) == "malformed"


def test_an_operator_does_not_rotate_keysteads_own_keys(service: Service) -> None:
    request = pb.RotateRequest(purpose="status")
    for role, expected in (("operator", REFUSED), ("administrator", "ok")):
        stub = rpc.KeyServiceStub(service.channel(role))
        try:
            stub.Rotate(request, metadata=metadata(role), timeout=TIMEOUT_S)
            outcome = "ok"
        except grpc.RpcError as error:
            outcome = str(dict(error.trailing_metadata())["keystead-reason"])
        assert outcome == expected


def test_an_issuer_sees_and_uses_its_own_keys_alone(service: Service) -> None:
    stub = rpc.KeyServiceStub(service.channel("issuer"))
    seen = stub.ListKeys(pb.ListKeysRequest(), timeout=TIMEOUT_S).keys
    assert {key.owner for key in seen} == {ISSUER}
    get = pb.GetKeyRequest(kid=service.own_kid)
    assert reason_of(lambda: stub.GetKey(get, timeout=TIMEOUT_S)) == REFUSED
    sign = pb.SignRequest(kid=service.own_kid, payload=b"{}")
    assert reason_of(lambda: stub.Sign(sign, timeout=TIMEOUT_S)) == "key_purpose"


def test_a_wrong_credential_is_refused_beside_a_good_certificate(service: Service) -> None:
    stub = rpc.IdentityServiceStub(service.channel("host"))
    wrong = (("authorization", "Bearer kso_" + "w" * 43),)
    call = lambda: stub.ListEntries(  # noqa: E731
        pb.ListEntriesRequest(), metadata=wrong, timeout=TIMEOUT_S
    )
    assert reason_of(call) == "credential_invalid"


def test_a_host_sees_the_entries_that_it_parents(service: Service) -> None:
    operator = rpc.IdentityServiceStub(service.channel("operator"))
    request = pb.CreateEntryRequest(
        spiffe_id="spiffe://example.org/agent", parent=HOST, kind="tpm2"
    )
    made = operator.CreateEntry(request, metadata=metadata("operator"), timeout=TIMEOUT_S)
    host = rpc.IdentityServiceStub(service.channel("host"))
    seen = host.ListEntries(pb.ListEntriesRequest(), timeout=TIMEOUT_S).entries
    assert [entry.id for entry in seen] == [made.id]


def test_the_audit_trail_names_who_did_what(service: Service) -> None:
    stub = rpc.AuditServiceStub(service.channel("operator"))
    answer = stub.List(pb.ListEventsRequest(), metadata=metadata("operator"), timeout=TIMEOUT_S)
    events = [json.loads(event.event) for event in answer.events]
    done = {(event["action"], event.get("caller", "")) for event in events}
    assert ("key.created", "adam") in done
    assert ("host.enrolled", "admin-socket") in done
