"""Many tokens or requests at once: one verdict each, the same as one at a time would give.

A batch goes through the native engine, which makes every check from the splitting of a token to the
proof's ``ath`` without the GIL. Python finds the issuer's keys, asks what only Python can be asked
(nonces, a replay store of somebody's making), and makes objects of what somebody reads.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn, TypeAlias, TypeVar

from keystead._native import token as _native
from keystead.codec.json import JSON
from keystead.errors import (
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Refused,
    TokenRejected,
)
from keystead.jose import batch as engine
from keystead.jose.dpop import open_proof
from keystead.jose.jwt import parse_claims
from keystead.model import VerifiedToken
from keystead.relying.checks import Checks, RequestToVerify
from keystead.relying.explained import ERRORS, REASONS, Explanation, bare, error_of
from keystead.relying.replay import ReplayMemory
from keystead.relying.status import MAX_LISTS, StatusSource, status_unavailable
from keystead.relying.steps import Step
from keystead.relying.verified import verified_token
from keystead.relying.waits import Waiting, wait_for

# A few megabytes of tokens, and under a second on one core.
MAX_BATCH = min(4_096, _native.MAX_TOKENS)

Verdict: TypeAlias = VerifiedToken | KeysteadError
_A = TypeVar("_A")
_log = logging.getLogger("keystead.relying")

# What RFC 9449 §4.3 checks after the nonce, its step 10: the nonce's own fault is named before.
_AFTER_NONCE = (11, 12)


class BatchResult:
    """One verdict an item, in the order of the input.

    ``ok`` holds one byte an item, 1 where it passed. ``result[i]`` is the ``VerifiedToken``, or
    raises what ``verify_request`` raises; so a loop over the result ends at the first bad item, and
    one over ``verdicts()`` does not. An index is one integer. Objects are made when they are asked
    for, and stay in their process.
    """

    __slots__ = ("_batch", "_errors", "_explain", "ok")

    def __init__(
        self,
        batch: _native.TokenBatch,
        errors: Mapping[int, KeysteadError],
        explain: Explanation,
    ) -> None:
        ok = batch.ok()
        for index in errors:
            ok[index] = 0
        self.ok = bytes(ok)
        self._batch = batch
        self._errors = errors
        self._explain = explain

    def __bool__(self) -> bool:
        """A batch is neither good nor bad: read ``ok``, or the items."""
        raise TypeError("a batch has one verdict for each item: use .ok or the items")

    def __len__(self) -> int:
        return len(self.ok)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BatchResult stays in its process: send its ok, reasons or claims")

    def __getitem__(self, index: int) -> VerifiedToken:
        index = self._at(index)
        if self.ok[index]:
            return verified_token(self.claims(index))
        raise self._detailed(index)

    def reason(self, index: int) -> Reason | None:
        """Why an item was refused; None where it was not."""
        index = self._at(index)
        if self.ok[index]:
            return None
        error = self._errors.get(index)
        return REASONS[self._batch.refusal(index)[1]] if error is None else error.reason

    def claims(self, index: int) -> dict[str, JSON]:
        """All claims of an item that passed, also those that a ``VerifiedToken`` leaves out."""
        return parse_claims(self.payload(index))

    def payload(self, index: int) -> bytes:
        """The claims of an item that passed, as the JSON that was signed."""
        index = self._at(index)
        if not self.ok[index]:
            raise self._detailed(index)
        return self._batch.payload(index)

    def error(self, index: int) -> KeysteadError | None:
        """What ``result[index]`` raises but for its detail; None where it does not raise."""
        index = self._at(index)
        if self.ok[index]:
            return None
        error = self._errors.get(index)
        return error_of(self._batch, index) if error is None else error

    def verdicts(self) -> tuple[Verdict, ...]:
        """For each item its ``VerifiedToken``, or its error, not raised."""
        return tuple(
            self[index] if good else self._detailed(index) for index, good in enumerate(self.ok)
        )

    def _at(self, index: int) -> int:
        """The same item's index from the beginning. Raises IndexError, or TypeError for a slice."""
        return range(len(self.ok))[operator.index(index)]

    def _detailed(self, index: int) -> KeysteadError:
        error = self._errors.get(index)
        return self._explain.error(index) if error is None else error.with_traceback(None)


def check_batch(
    checks: Checks, tokens: Sequence[str], *, now: int, threads: int
) -> Waiting[BatchResult]:
    """Steps 1 to 19 of many tokens."""
    engine.check_threads(threads)
    items, none = _bounded(tokens), frozenset[str]()
    batch, errors = yield from _verified(checks, items, none, now=now, threads=threads)
    return BatchResult(batch, errors, Explanation(batch, checks, items, None, none, now))


def check_request_batch(
    checks: Checks, requests: Sequence[RequestToVerify], *, now: int, threads: int
) -> Waiting[BatchResult]:
    """All steps of many requests, replay inside the batch included."""
    engine.check_threads(threads)
    return _check_requests(checks, _bounded(requests), frozenset(), now=now, threads=threads)


def check_request(
    checks: Checks, request: RequestToVerify, *, now: int, scopes: Iterable[str], explain: bool
) -> Waiting[VerifiedToken]:
    """All steps of one request, which needs these scopes too. What a replay store or a nonce source
    of somebody's making raises goes to the caller."""
    added = frozenset(scopes)
    result = yield from _check_requests(checks, (request,), added, now=now, threads=1, alone=True)
    error = None if explain else result.error(0)
    if error is not None:
        raise error
    return result[0]


def _check_requests(
    checks: Checks,
    items: tuple[RequestToVerify, ...],
    scopes: frozenset[str],
    *,
    now: int,
    threads: int,
    alone: bool = False,
) -> Waiting[BatchResult]:
    tokens = [request.token for request in items]
    if checks.nonces is not None:  # Python reads the nonce: of the proof that C has looked at
        items = tuple(map(_settled, items))
    batch, errors = yield from _verified(checks, tokens, scopes, now=now, threads=threads)
    batch.prove(items, threads=threads)
    _finish(checks, batch, items, errors, now=now, alone=alone)
    return BatchResult(batch, errors, Explanation(batch, checks, tokens, items, scopes, now))


def _settled(request: RequestToVerify) -> RequestToVerify:
    """The same request, whose proofs nobody else can change meanwhile."""
    if not isinstance(request.proof, list | tuple):
        return request
    return replace(request, proof=tuple(request.proof))


# --- steps 1 to 19 ------------------------------------------------------------------------------


def _verified(
    checks: Checks, tokens: Sequence[str], scopes: frozenset[str], *, now: int, threads: int
) -> Waiting[tuple[_native.TokenBatch, dict[int, KeysteadError]]]:
    """The tokens, and the errors of those whose key or status list could not be had."""
    rules = checks.native.with_scopes(scopes)
    batch = _native.TokenBatch(tokens, rules, now=now, threads=threads)
    names = [
        (algorithm, None if kid is None else kid.decode("utf-8"))
        for algorithm, kid in batch.names()
    ]
    pending = [checks.keys.refresh(kid, now=now) for kid in {kid for _, kid in names}]
    yield from wait_for(pending, timeout_s=checks.keys.timeout_s)
    keys: list[tuple[bytes, bytes] | None] = []
    unusable: dict[int, KeysteadError] = {}
    for index, (algorithm, kid) in enumerate(names):
        try:
            keys.append(_find_key(checks, algorithm, kid, now=now))
        except KeysteadError as error:
            keys.append(None)
            unusable[index] = bare(error)
    batch.verify(keys, threads=threads)
    errors = _errors_by_index(batch, batch.name_of, unusable)
    if checks.status is not None:
        errors |= yield from _check_status(checks.status, batch, now=now)
    return batch, errors


def _find_key(checks: Checks, algorithm: str, kid: str | None, *, now: int) -> tuple[bytes, bytes]:
    key = checks.keys.find(kid, now=now)
    try:
        return engine.parameters_for(algorithm, key)
    except TokenRejected as error:
        error.step = Step.SIGNATURE
        raise


def _check_status(
    source: StatusSource, batch: _native.TokenBatch, *, now: int
) -> Waiting[dict[int, KeysteadError]]:
    """Step 19; the errors of tokens whose list could not be had."""
    uris = [uri.decode("utf-8") for uri in batch.lists()]
    pending = [source.refresh(uri, now=now) for uri in uris[:MAX_LISTS]]
    yield from wait_for(pending, timeout_s=source.timeout_s)
    lists: list[tuple[bytes, int] | None] = []
    unusable: dict[int, KeysteadError] = {}
    for index, uri in enumerate(uris):
        try:
            if index >= MAX_LISTS:
                raise status_unavailable(f"more than {MAX_LISTS} lists in one batch")
            found = source.find(uri, now=now)
            lists.append((found.statuses, found.bits))
        except KeysteadError as error:
            lists.append(None)
            unusable[index] = bare(error)
    batch.check_status(lists)
    return _errors_by_index(batch, batch.list_of, unusable)


def _errors_by_index(
    batch: _native.TokenBatch, named: Callable[[int], int], unusable: Mapping[int, KeysteadError]
) -> dict[int, KeysteadError]:
    """The error of every token that names something which could not be had."""
    if not unusable:
        return {}
    found = ((index, unusable.get(named(index))) for index in range(len(batch)))
    return {index: error for index, error in found if error is not None}


# --- steps 20 and 21 ----------------------------------------------------------------------------


def _finish(
    checks: Checks,
    batch: _native.TokenBatch,
    requests: Sequence[RequestToVerify],
    errors: dict[int, KeysteadError],
    *,
    now: int,
    alone: bool,
) -> None:
    """The nonce and the memory of proofs, in the order of the requests."""
    if checks.nonces is None and type(checks.replay) is ReplayMemory:
        batch.remember(checks.replay.table)
        return
    for index, good in enumerate(batch.ok()):
        if not good and (checks.nonces is None or not _waits_for_nonce(batch, index)):
            continue
        try:
            _check_nonce(checks, requests[index], now=now)
            if good:
                _remember(checks, batch, index, now=now)
        except KeysteadError as error:
            errors[index] = bare(error)
        except Exception:
            if alone:
                raise
            _log.exception("event=defect in=batch")
            errors[index] = Malformed(Reason.MALFORMED, "a defect in Keystead; see the log")


def _waits_for_nonce(batch: _native.TokenBatch, index: int) -> bool:
    refused_as, _, step = batch.refusal(index)
    return ERRORS.get(refused_as) is ProofRejected and step in _AFTER_NONCE


def _check_nonce(checks: Checks, request: RequestToVerify, *, now: int) -> None:
    if checks.nonces is None or not request.proof:
        return
    try:
        checks.nonces.check(open_proof(request.proof).claims.nonce, now=now)
    except Malformed as error:
        error.step = Step.PROOF
        raise


def _remember(checks: Checks, batch: _native.TokenBatch, index: int, *, now: int) -> None:
    proven = batch.proven(index)
    if proven is not None:
        jkt, jti, issued_at = proven
        checks.remember(jkt.decode("ascii"), jti.decode("utf-8"), issued_at, now=now)


def _bounded(items: Sequence[_A]) -> tuple[_A, ...]:
    if isinstance(items, (str, bytes)):  # a sequence of its letters, which nobody ever means
        raise TypeError("a batch is a sequence of tokens or requests, not one of them")
    held = tuple(items) if len(items) <= MAX_BATCH else ()
    if len(items) > MAX_BATCH or len(held) > MAX_BATCH:  # another thread may have added some
        raise Refused(Reason.LIMIT_EXCEEDED, f"a batch of more than {MAX_BATCH}")
    return held
