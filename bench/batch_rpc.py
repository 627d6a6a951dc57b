"""What a batch of tokens costs more when the service verifies it, and not one's own process."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from urllib.request import urlopen

import grpc

from bench.figures import figure, figures
from bench.installation import PLAIN, Installation, running
from bench.process import run_seconds
from bench.progress import each_round
from keystead import Verifier
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import VerificationServiceStub

question = "What does a token cost more over VerifyBatch than in one's own process?"

TOKENS = 1_024
# Proofs are good for a minute, and an emulated TPM makes some hundreds of them a second.
ASKED_AT_ONCE = 256
# So that a way takes a quarter of a second a round.
LEAST_CALLS = 4
ROUND_S = 0.25
MAX_JWKS_BYTES = 65_536


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in µs a token.

    1,024 access tokens that the service issued, each another. ``in_process``: one call of
    ``Verifier.verify_batch``. ``rpc``: one call of ``VerificationService.VerifyBatch`` by an
    operator, over gRPC on the service's administration socket, the answer read; the service is a
    process of its own. ``cpu_us`` is the CPU time of both processes together, ``wall_us`` by the
    clock on the wall, and ``more_a_token_us`` the difference of CPU time within each round;
    ``service_more_us`` is as much of it as the service's process has.
    """
    with running() as installation:
        tokens = issued(installation, random.Random(seed))
        verifier = Verifier(
            issuer=installation.issuer, jwks=published(installation), audience=PLAIN
        )
        request = pb.VerifyBatchRequest(audience=PLAIN, tokens=tokens)
        with grpc.insecure_channel(installation.admin_socket) as channel:
            call = VerificationServiceStub(channel).VerifyBatch
            credential = [("authorization", f"Bearer {installation.operator_credential}")]

            def in_process() -> bytes:
                return verifier.verify_batch(tokens, now=int(time.time())).ok

            def rpc() -> bytes:
                return bytes(call(request, metadata=credential).ok)

            return compared(in_process, rpc, installation.pid, rounds)


def compared(
    in_process: Callable[[], bytes], rpc: Callable[[], bytes], pid: int, rounds: int
) -> dict[str, object]:
    """Both in turns."""
    ways = {"in_process": in_process, "rpc": rpc}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    service: list[float] = []
    for way in ways.values():
        each_us(way, pid, calls=1)  # the first time also loads and caches
    calls = max(LEAST_CALLS, round(ROUND_S / (each_us(in_process, pid, calls=1)[2] * TOKENS / 1e6)))
    for _ in each_round(rounds):
        for name, way in ways.items():
            ours_us, theirs_us, wall_us = each_us(way, pid, calls=calls)
            cpu[name].append(ours_us + theirs_us)
            wall[name].append(wall_us)
            if name == "rpc":
                service.append(theirs_us)
    pairs = zip(cpu["rpc"], cpu["in_process"], strict=True)
    alone = zip(service, cpu["in_process"], strict=True)
    return {
        "question": question,
        "batch": TOKENS,
        "cpu_us": figures(cpu, unit="us"),
        "wall_us": figures(wall, unit="us"),
        "more_a_token_us": figure([over - own for over, own in pairs], unit="us"),
        "service_more_us": figure([over - own for over, own in alone], unit="us"),
    }


def each_us(verify: Callable[[], bytes], pid: int, *, calls: int) -> tuple[float, float, float]:
    """µs a token of CPU time: ours, and that of the process ``pid``; and of the clock."""
    cpu, theirs, wall = time.process_time(), run_seconds(pid), time.perf_counter()
    for _ in range(calls):
        if verify() != b"\x01" * TOKENS:
            raise RuntimeError("a token was refused: the figures would mean nothing")
    wall = time.perf_counter() - wall
    cpu, theirs = time.process_time() - cpu, run_seconds(pid) - theirs
    each = calls * TOKENS / 1e6
    return cpu / each, theirs / each, wall / each


def issued(installation: Installation, chance: random.Random) -> list[str]:
    """Access tokens of the service's own, signed in its TPM."""
    tokens: list[str] = []
    for _ in each_round(TOKENS // ASKED_AT_ONCE, what="tokens issued, part"):
        requests = installation.exchanges(ASKED_AT_ONCE, audience=PLAIN, chance=chance)
        answers = installation.send(requests)
        tokens += [json.get_str(json.parse_object(body), "access_token") for body in answers.bodies]
    return tokens


def published(installation: Installation) -> dict[str, JSON]:
    """The service's key set."""
    with urlopen(f"{installation.issuer}/jwks") as answer:
        return json.parse_object(answer.read(MAX_JWKS_BYTES))
