"""Where the time goes that ``Verifier.verify_batch`` takes for a token, stage by stage."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from unittest.mock import patch

from bench.figures import figure
from bench.progress import each_round
from bench.tokens import Issuer
from keystead import Verifier
from keystead.jose.batch import verify_signatures
from keystead.jose.jws import parse_compact

question = "Where does an access token's time go?"

TOKENS = 512
REPEATS = 4
CASES = {"es256_one_key": "ES256", "eddsa_one_key": "EdDSA", "rs256_one_key": "RS256"}
REST = "the_rest"
SIGNATURE = "signature"
SIGNATURE_AND_CLAIMS = "signature_and_claims"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the product calls, and the stage that it belongs to: ``module:function``,
    ``module:Class.method``, or ``module:Class`` for the making of one."""

    stage: str
    where: str


# In the order of a batch. What the product does not have is not measured, so that a part may move:
# into C, or to another name.
PARTS = (
    Part(stage="marshal_and_decode", where="keystead._native.token:TokenBatch"),
    Part(stage="find_key", where="keystead._native.token:TokenBatch.names"),
    Part(stage="find_key", where="keystead.relying.batch:_find_key"),
    Part(stage=SIGNATURE_AND_CLAIMS, where="keystead._native.token:TokenBatch.verify"),
    Part(stage="result", where="keystead.relying.batch:BatchResult.__init__"),
)

# One call of the engine makes signature and claims; they are told apart afterwards.
STAGES = ("marshal_and_decode", "find_key", SIGNATURE, "claims", SIGNATURE_AND_CLAIMS, "result")

clock = time.thread_time


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` rounds, in µs of CPU time a token, in batches of 512.

    The real parts of the product are timed while it verifies; what is called inside of another part
    counts once. ``the_rest`` is the whole without them. ``read_us`` is what it costs to read every
    token's ``VerifiedToken`` afterwards, and ``signature_alone_us`` the same signatures through
    ``keystead.jose.batch``; ``claims`` is the engine's call for both, without those.
    """
    chance = random.Random(seed)
    cases = {}
    for name, algorithm in CASES.items():
        issuer = Issuer.make(algorithm, chance)
        made = issuer.tokens(["A" * 43] * TOKENS, chance)
        cases[name] = measure(issuer, made.tokens, rounds)
    return {"question": question, "batch": TOKENS, "cases": cases}


def measure(issuer: Issuer, tokens: Sequence[str], rounds: int) -> dict[str, object]:
    """One issuer's tokens."""
    verifier = issuer.verifier()
    alone = signatures_alone(issuer, tokens)
    seen: defaultdict[str, list[float]] = defaultdict(list)
    stages: defaultdict[str, list[float]] = defaultdict(list)
    whole(verifier, tokens, issuer.now)  # the first time also loads and caches
    for _ in each_round(rounds):
        seen["whole"].append(whole(verifier, tokens, issuer.now))
        seen["signature_alone"].append(alone())
        seen["read"].append(read(verifier, tokens, issuer.now))
        for stage, took in taken_apart(verifier, tokens, issuer.now, seen["signature_alone"][-1]):
            stages[stage].append(took)
    return {
        **{f"{name}_us": figure(each, unit="us") for name, each in seen.items()},
        "stages_us": {stage: figure(each, unit="us") for stage, each in stages.items()},
    }


def whole(verifier: Verifier, tokens: Sequence[str], now: int) -> float:
    """µs a token."""
    began = clock()
    for _ in range(REPEATS):
        result = verifier.verify_batch(tokens, now=now)
        if not all(result.ok):
            raise RuntimeError("a token was refused: the figures would mean nothing")
    return (clock() - began) / REPEATS / len(tokens) * 1e6


def read(verifier: Verifier, tokens: Sequence[str], now: int) -> float:
    """µs a token, once it is verified."""
    result = verifier.verify_batch(tokens, now=now)
    began = clock()
    for index in range(len(tokens)):
        result[index]
    return (clock() - began) / len(tokens) * 1e6


def signatures_alone(issuer: Issuer, tokens: Sequence[str]) -> Callable[[], float]:
    """µs a token."""
    parsed = [parse_compact(token) for token in tokens]
    verify = partial(
        verify_signatures,
        issuer.algorithm,
        issuer.jwk,
        [each.signing_input for each in parsed],
        [each.signature for each in parsed],
    )

    def measure() -> float:
        verify()
        began = clock()
        for _ in range(REPEATS):
            verify()
        return (clock() - began) / REPEATS / len(tokens) * 1e6

    return measure


def taken_apart(
    verifier: Verifier, tokens: Sequence[str], now: int, signature_us: float
) -> Iterator[tuple[str, float]]:
    """Each stage's µs a token, and what is left of the whole."""
    watch = Stopwatch()
    with ExitStack() as stack:
        # Methods first: what then stands for their class is no class any more.
        for part in sorted(PARTS, key=lambda part: "." not in part.where.partition(":")[2]):
            stack.enter_context(watch.on(part))
        whole_us = whole(verifier, tokens, now)
    each_us = {
        stage: seconds / REPEATS / len(tokens) * 1e6 for stage, seconds in watch.seconds.items()
    }
    rest_us = whole_us - sum(each_us.values())
    if SIGNATURE_AND_CLAIMS in each_us:
        both_us = each_us.pop(SIGNATURE_AND_CLAIMS)
        each_us[SIGNATURE] = min(signature_us, both_us)
        each_us["claims"] = both_us - each_us[SIGNATURE]
    yield from sorted(each_us.items(), key=lambda pair: STAGES.index(pair[0]))
    yield REST, rest_us


class Stopwatch:
    """Times functions of the product where they are; what they call inside counts there alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def on(self, part: Part) -> Iterator[None]:
        """``part`` is timed until the end; nothing happens where the product has no such part."""
        module_name, _, path = part.where.partition(":")
        try:
            owner: Any = import_module(module_name)
        except ModuleNotFoundError:
            yield
            return
        *classes, name = path.split(".")
        module = owner
        for each in classes:
            owner = getattr(owner, each, None)
        if owner is None or not hasattr(owner, name):
            yield
            return
        timed = self._timed(part.stage, getattr(owner, name))
        if classes and not owner.__flags__ & _HEAP_TYPE:
            # A class in C cannot be changed, so a heir of it stands in for it.
            heir = type(owner)(owner.__name__, (owner,), {name: timed})
            with patch.object(module, classes[0], heir):
                yield
            return
        with patch.object(owner, name, timed):
            yield

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            began = clock()
            try:
                return function(*arguments, **named)
            finally:
                took = clock() - began
                inner = self._inner.pop()
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took - inner
                if self._inner:
                    self._inner[-1] += took

        return call


# Py_TPFLAGS_HEAPTYPE: made by a class statement.
_HEAP_TYPE = 1 << 9
