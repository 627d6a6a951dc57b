"""Many tokens or requests at once: one verdict each, the same as one at a time would give.

All signatures of a batch are verified in one call of the native engine, without the GIL. Where the
engine says no, the single path is asked again: it has the last word, and the reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Malformed, Reason, Refused
from keystead.jose import batch as engine
from keystead.jose.dpop import OpenedProof, check_proof_signature
from keystead.jose.jwk import PublicJwk
from keystead.jose.jws import CompactJws
from keystead.jose.jwt import parse_claims
from keystead.model import VerifiedToken
from keystead.relying.checks import Checks, RequestToVerify, check_signature

# A few megabytes of tokens, and under a second on one core.
MAX_BATCH = min(4_096, engine.MAX_BATCH)

Verdict: TypeAlias = VerifiedToken | KeysteadError
_A = TypeVar("_A")
_B = TypeVar("_B")
_log = logging.getLogger("keystead.relying")


class BatchResult:
    """One verdict an item, in the order of the input.

    ``ok`` holds one byte an item, 1 where it passed. ``result[i]`` is the ``VerifiedToken``, or
    raises what ``verify_request`` would have raised.
    """

    __slots__ = ("_payloads", "_verdicts", "ok")

    def __init__(self, verdicts: Sequence[Verdict], payloads: Sequence[bytes]) -> None:
        self._verdicts = tuple(verdicts)
        self._payloads = tuple(payloads)
        self.ok = bytes(isinstance(verdict, VerifiedToken) for verdict in self._verdicts)

    def __bool__(self) -> bool:
        """A batch is neither good nor bad: read ``ok``, or the items."""
        raise TypeError("a batch has one verdict for each item: use .ok or the items")

    def __len__(self) -> int:
        return len(self._verdicts)

    def __getitem__(self, index: int) -> VerifiedToken:
        verdict = self._verdicts[index]
        if isinstance(verdict, KeysteadError):
            raise verdict.with_traceback(None)
        return verdict

    def reason(self, index: int) -> Reason | None:
        """Why an item was refused; None where it was not."""
        verdict = self._verdicts[index]
        return verdict.reason if isinstance(verdict, KeysteadError) else None

    def claims(self, index: int) -> Mapping[str, JSON]:
        """All claims of an item that passed, also those that a ``VerifiedToken`` leaves out."""
        self[index]
        return parse_claims(self._payloads[index])

    def verdicts(self) -> tuple[Verdict, ...]:
        """For each item its ``VerifiedToken``, or its error, not raised."""
        return self._verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """A request whose token passed, and its opened proof, if the token is bound."""

    token: VerifiedToken
    request: RequestToVerify
    proof: OpenedProof | None


_Signature: TypeAlias = tuple[CompactJws, PublicJwk]


def check_batch(checks: Checks, tokens: Sequence[str], *, now: int, threads: int) -> BatchResult:
    """Steps 1 to 18 of many tokens."""
    decoded = _each(_bounded(tokens), checks.decode)
    verdicts = _tokens(checks, decoded, now=now, threads=threads)
    return BatchResult(verdicts, _payloads(decoded))


def check_request_batch(
    checks: Checks, requests: Sequence[RequestToVerify], *, now: int, threads: int
) -> BatchResult:
    """All twenty steps of many requests, replay inside the batch included."""
    items = _bounded(requests)
    decoded = _each([request.token for request in items], checks.decode)
    tokens = _tokens(checks, decoded, now=now, threads=threads)

    def open_proof(item: tuple[VerifiedToken, RequestToVerify]) -> _Claimed:
        token, request = item
        return _Claimed(token=token, request=request, proof=checks.open_proof(token, request))

    def finish(item: _Claimed) -> VerifiedToken:
        if item.proof is not None:
            proof = checks.check_proof(item.proof, item.token, item.request, now=now)
            checks.remember(proof, now=now)
        return item.token

    pairs = [
        token if isinstance(token, KeysteadError) else (token, request)
        for token, request in zip(tokens, items, strict=True)
    ]
    claimed = _each(pairs, open_proof)
    signed = _signed(claimed, _proof_signature, _check_proof_again, threads=threads)
    return BatchResult(_each(signed, finish), _payloads(decoded))


def _tokens(
    checks: Checks, decoded: Sequence[CompactJws | KeysteadError], *, now: int, threads: int
) -> list[Verdict]:
    _await_keys(checks, decoded, now=now)
    keyed = _each(decoded, lambda jws: checks.find_key(jws, now=now))
    signed = _signed(keyed, lambda token: (token.jws, token.key), check_signature, threads=threads)
    return _each(signed, lambda token: checks.check_token(token, now=now))


def _await_keys(checks: Checks, decoded: Sequence[CompactJws | KeysteadError], *, now: int) -> None:
    kids = {jws.kid for jws in decoded if isinstance(jws, CompactJws)}
    pending: list[Future[None] | None] = [checks.keys.refresh(kid, now=now) for kid in kids]
    wait({future for future in pending if future is not None}, timeout=checks.keys.timeout_s)


def _each(
    items: Sequence[_A | KeysteadError], stage: Callable[[_A], _B]
) -> list[_B | KeysteadError]:
    """``stage`` of every item that is still good; one item's error never touches its neighbours."""
    outcomes: list[_B | KeysteadError] = []
    for item in items:
        if isinstance(item, KeysteadError):
            outcomes.append(item)
            continue
        try:
            outcomes.append(stage(item))
        except KeysteadError as error:
            outcomes.append(_bare(error))
        except Exception:
            _log.exception("event=defect in=batch")
            outcomes.append(Malformed(Reason.MALFORMED, "a defect in Keystead; see the log"))
    return outcomes


def _signed(
    items: Sequence[_A | KeysteadError],
    signature_of: Callable[[_A], _Signature | None],
    check_again: Callable[[_A], None],
    *,
    threads: int,
) -> list[_A | KeysteadError]:
    """The items whose signatures are good, all of one algorithm in one call."""
    by_algorithm: dict[str, list[tuple[int, _Signature]]] = {}
    for index, item in enumerate(items):
        found = None if isinstance(item, KeysteadError) else signature_of(item)
        if found is not None:
            by_algorithm.setdefault(found[0].algorithm, []).append((index, found))
    refused: set[int] = set()
    for algorithm, group in by_algorithm.items():
        verdicts = engine.verify_signatures(
            algorithm,
            [key for _, (_, key) in group],
            [jws.signing_input for _, (jws, _) in group],
            [jws.signature for _, (jws, _) in group],
            threads=threads,
        )
        refused.update(index for (index, _), good in zip(group, verdicts, strict=True) if not good)

    def again(item: tuple[int, _A]) -> _A:
        index, subject = item
        if index in refused:
            check_again(subject)
        return subject

    numbered = [
        item if isinstance(item, KeysteadError) else (index, item)
        for index, item in enumerate(items)
    ]
    return _each(numbered, again)


def _proof_signature(item: _Claimed) -> _Signature | None:
    return (item.proof.jws, item.proof.key) if item.proof is not None else None


def _check_proof_again(item: _Claimed) -> None:
    if item.proof is not None:
        check_proof_signature(item.proof)


def _bounded(items: Sequence[_A]) -> tuple[_A, ...]:
    if len(items) > MAX_BATCH:
        raise Refused(Reason.LIMIT_EXCEEDED, f"a batch of more than {MAX_BATCH}")
    return tuple(items)


def _payloads(decoded: Sequence[CompactJws | KeysteadError]) -> list[bytes]:
    return [jws.payload if isinstance(jws, CompactJws) else b"" for jws in decoded]


def _bare(error: KeysteadError) -> KeysteadError:
    """Without what it was raised in: a result that is kept must not keep frames alive."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
