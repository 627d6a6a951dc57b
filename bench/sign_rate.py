"""Signatures a second through the TPM's queue, against the same swtpm over its bare socket."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvloop

from bench.figures import figures, ratio
from bench.progress import each_round
from keystead.audit import HashChain
from keystead.codec.json import JSON
from keystead.hardware.tpm2 import Tpm2Device
from keystead.hardware.tpm2.connection import Authorizations, Connection
from keystead.hardware.tpm2.transport import open_transport
from keystead.model import KeyPurpose, SignerTier, WrappedKey
from keystead.service.keyring import Keyring
from keystead.storage.sqlite.store import SqliteStore
from keystead.system import SystemClock, SystemEntropy
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template

question = "How much of the TPM's own speed is left to callers who queue for it?"

CALLERS = 8
SIGNATURES = 800
WARM_UP = 80
TIMEOUT_S = 5.0
DIGEST_BYTES = 32
MAX_RESPONSE_BYTES = 4096
# About as much as an access token says.
CLAIMS: dict[str, JSON] = {"iss": "https://issuer.example", "sub": "user-1", "other": "x" * 600}


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds; the ratios are those within one round.

    ``raw_socket`` is one blocking socket and a prepared TPM2_Sign; ``device`` is ``Tpm2Device``
    asked by ``CALLERS`` coroutines; ``keyring`` is the service's own way, which also writes and
    hashes the JWS. All use one loaded P-256 key.
    """
    return uvloop.run(_run(random.Random(seed), rounds))


async def _run(chance: random.Random, rounds: int) -> dict[str, object]:
    rates: dict[str, list[float]] = {"raw_socket": [], "device": [], "keyring": []}
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as name:
        folder = Path(name)
        template = make_template(folder / "tpm", ca=SwtpmCa(folder / "ca"))
        with Swtpm(template) as tpm:
            for _ in each_round(rounds):
                async with opened_keyring(folder, tpm) as (keyring, device):
                    key = keyring.active(KeyPurpose.TOKEN).wrapped
                    rates["device"].append(await queued_rate(device_signer(device, key, chance)))
                    rates["keyring"].append(await queued_rate(keyring_signer(keyring)))
                # swtpm serves one connection at a time, so the queue's is closed by now.
                rates["raw_socket"].append(raw_rate(tpm.tcti, key, chance))
    return {
        "question": question,
        "callers": CALLERS,
        "signatures_a_round": SIGNATURES,
        "wall_per_second": figures(rates, unit="per_second"),
        "to_raw_socket": {name: ratio(rates, name, "raw_socket") for name in ("device", "keyring")},
    }


# --- through the queue --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened_keyring(folder: Path, tpm: Swtpm) -> AsyncIterator[tuple[Keyring, Tpm2Device]]:
    """The service's keyring and its device, as the service puts them together."""
    store = SqliteStore.open(folder / "bench.sqlite3", chain=HashChain())
    try:
        with Tpm2Device(tpm.tcti) as device:
            keyring = Keyring(
                store=store,
                hardware=device,
                clock=SystemClock(),
                entropy=SystemEntropy(),
                tier=SignerTier.EMULATED_TPM,
                token_algorithm="ES256",
                publish_ahead_s=0,
            )
            await keyring.open()
            yield keyring, device
    finally:
        await store.close()


def device_signer(
    device: Tpm2Device, key: WrappedKey, chance: random.Random
) -> Callable[[], Awaitable[object]]:
    digest = chance.randbytes(DIGEST_BYTES)
    return lambda: device.sign(key, digest)


def keyring_signer(keyring: Keyring) -> Callable[[], Awaitable[object]]:
    return lambda: keyring.sign_own(KeyPurpose.TOKEN, typ="at+jwt", claims=CLAIMS)


async def queued_rate(sign: Callable[[], Awaitable[object]]) -> float:
    """Signatures a second for ``CALLERS`` coroutines, each waiting for its own."""

    async def caller(count: int) -> None:
        for _ in range(count):
            await sign()

    async def all_callers(count: int) -> None:
        await asyncio.gather(*(caller(count // CALLERS) for _ in range(CALLERS)))

    await all_callers(WARM_UP)
    began = time.perf_counter()
    await all_callers(SIGNATURES)
    return SIGNATURES / (time.perf_counter() - began)


# --- over the bare socket -----------------------------------------------------------------------


def raw_rate(tcti: str, key: WrappedKey, chance: random.Random) -> float:
    """Signatures a second of one caller that does nothing but send and receive."""
    command = load_and_prepare(tcti, key, chance.randbytes(DIGEST_BYTES))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(tcti.partition("path=")[2])
        for _ in range(WARM_UP):
            sign_once(connection, command)
        began = time.perf_counter()
        for _ in range(SIGNATURES):
            sign_once(connection, command)
        return SIGNATURES / (time.perf_counter() - began)


def load_and_prepare(tcti: str, key: WrappedKey, digest: bytes) -> bytes:
    """The TPM2_Sign of ``key``, which stays loaded in the TPM when this connection closes."""
    connection = Connection(
        open_transport(tcti, timeout_s=TIMEOUT_S),
        timeout_s=TIMEOUT_S,
        create_timeout_s=TIMEOUT_S,
        authorizations=Authorizations(),
    )
    try:
        connection.start()
        loaded = connection.loaded(key)
    finally:
        connection.close()
    return loaded.before_digest + digest + loaded.after_digest


def sign_once(connection: socket.socket, command: bytes) -> None:
    connection.sendall(command)
    if connection.recv(MAX_RESPONSE_BYTES)[6:10] != bytes(4):
        raise RuntimeError("TPM2_Sign failed: the figures would mean nothing")
