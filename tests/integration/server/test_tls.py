"""TLS at both doors: whose certificate opens what."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from keystead.errors import ConfigurationError
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server import Doors, Listener, TlsFiles
from tests.certificates import TestAuthority
from tests.doors import HOST_ID, OPERATOR, RELYING_PARTY_ID, make_use_cases, open_doors

BEARER = (("authorization", f"Bearer {OPERATOR}"),)


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "pki")


@asynccontextmanager
async def tls_doors(
    authority: TestAuthority, use_cases: Any = None, **changed: Any
) -> AsyncIterator[Doors]:
    listener = Listener(tls=authority.server())
    settings = {"http": listener, "grpc": listener, "development": False, **changed}
    async with open_doors(use_cases, **settings) as doors:
        yield doors


def http_client(
    doors: Doors, authority: TestAuthority, client: tuple[Path, Path] | None
) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if client is not None:
        context.load_cert_chain(*client)
    return httpx.AsyncClient(base_url=doors.http_address, verify=context)


def channel(
    doors: Doors, authority: TestAuthority, client: tuple[Path, Path] | None
) -> grpc.aio.Channel:
    key, chain = (client[1].read_bytes(), client[0].read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, chain)
    return grpc.aio.secure_channel(doors.grpc_address, credentials)


async def introspect(doors: Doors, authority: TestAuthority, *uris: str, **options: Any) -> int:
    async with http_client(doors, authority, authority.client(*uris, **options)) as client:
        return (await client.post("/introspect", data={"token": "t"})).status_code


async def list_entries(doors: Doors, authority: TestAuthority, *uris: str, **options: Any) -> Any:
    async with channel(doors, authority, authority.client(*uris)) as open_channel:
        stub = rpc.IdentityServiceStub(open_channel)
        return await stub.ListEntries(pb.ListEntriesRequest(), timeout=10, **options)


async def test_http_takes_a_certificates_spiffe_id(authority: TestAuthority) -> None:
    async with tls_doors(authority) as doors:
        assert doors.http_address.startswith("https://")
        assert await introspect(doors, authority, RELYING_PARTY_ID) == 200
        assert await introspect(doors, authority, HOST_ID) == 403
        assert await introspect(doors, authority, "spiffe://example.org/nobody") == 403
        assert await introspect(doors, authority, RELYING_PARTY_ID, HOST_ID) == 401
        assert await introspect(doors, authority) == 401


async def test_http_serves_strangers_without_a_certificate(authority: TestAuthority) -> None:
    async with tls_doors(authority) as doors, http_client(doors, authority, None) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/introspect", data={"token": "t"})).status_code == 401
        headers = {"authorization": f"Bearer {OPERATOR}"}
        answer = await client.post("/introspect", data={"token": "t"}, headers=headers)
        assert answer.status_code == 200


async def test_http_refuses_a_certificate_of_another_authority(
    authority: TestAuthority, tmp_path: Path
) -> None:
    other = TestAuthority(tmp_path / "other", name="other")
    async with (
        tls_doors(authority) as doors,
        http_client(doors, authority, other.client(RELYING_PARTY_ID)) as client,
    ):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            await client.post("/introspect", data={"token": "t"})


async def test_http_refuses_a_servers_certificate_as_a_clients(authority: TestAuthority) -> None:
    async with tls_doors(authority) as doors:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            await introspect(doors, authority, RELYING_PARTY_ID, server_only=True)


async def test_grpc_takes_a_certificates_spiffe_id(authority: TestAuthority) -> None:
    use_cases = make_use_cases()
    async with tls_doors(authority, use_cases) as doors:
        await list_entries(doors, authority, HOST_ID)
    [(_, (caller,), _)] = use_cases.identities.calls
    assert caller.spiffe_id == HOST_ID


async def test_grpc_adds_a_credential_to_a_certificate(authority: TestAuthority) -> None:
    use_cases = make_use_cases()
    async with tls_doors(authority, use_cases) as doors:
        await list_entries(doors, authority, HOST_ID, metadata=BEARER)
    [(_, (caller,), _)] = use_cases.identities.calls
    assert (caller.name, caller.spiffe_id) == ("olga", HOST_ID)
    assert len(caller.roles) == 2


async def test_grpc_names_nobody_after_two_uri_names(authority: TestAuthority) -> None:
    use_cases = make_use_cases()
    async with tls_doors(authority, use_cases) as doors:
        await list_entries(doors, authority, HOST_ID, RELYING_PARTY_ID)
    [(_, (caller,), _)] = use_cases.identities.calls
    assert (caller.spiffe_id, caller.roles) == (None, frozenset())


async def test_grpc_wants_a_certificate_where_there_is_a_client_ca(
    authority: TestAuthority, tmp_path: Path
) -> None:
    other = TestAuthority(tmp_path / "other", name="other")
    async with tls_doors(authority) as doors:
        for client in (None, other.client(HOST_ID)):
            async with channel(doors, authority, client) as open_channel:
                stub = rpc.IdentityServiceStub(open_channel)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.ListEntries(pb.ListEntriesRequest(), timeout=10)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_grpc_serves_without_client_certificates_where_there_is_no_client_ca(
    authority: TestAuthority,
) -> None:
    files = authority.server()
    listener = Listener(tls=TlsFiles(certificate=files.certificate, private_key=files.private_key))
    async with (
        tls_doors(authority, grpc=listener) as doors,
        channel(doors, authority, None) as open_channel,
    ):
        stub = rpc.IdentityServiceStub(open_channel)
        await stub.ListEntries(pb.ListEntriesRequest(), metadata=BEARER, timeout=10)


@pytest.mark.parametrize("door", ["http", "grpc"])
@pytest.mark.parametrize("missing", ["certificate", "private_key", "client_ca"])
async def test_a_missing_file_is_a_configuration_error(
    authority: TestAuthority, door: str, missing: str
) -> None:
    files = authority.server()
    getattr(files, missing).unlink()
    with pytest.raises(ConfigurationError):
        async with open_doors(**{door: Listener(tls=files)}):
            pass


async def test_a_file_that_is_no_key_is_a_configuration_error(authority: TestAuthority) -> None:
    files = authority.server()
    files.private_key.write_text("no key")
    for door in ("http", "grpc"):
        with pytest.raises(ConfigurationError):
            async with open_doors(**{door: Listener(tls=files)}):
                pass
