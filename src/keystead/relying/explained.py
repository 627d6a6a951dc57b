"""The errors of what the engine refused: class, reason and step are its own, the detail is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from keystead._native import token as _native
from keystead.errors import (
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Replayed,
    TokenRejected,
    Unavailable,
)
from keystead.relying.checks import Checks, RequestToVerify
from keystead.relying.steps import Step

_log = logging.getLogger("keystead.relying")

_CLASSES: Mapping[str, type[KeysteadError]] = {
    "malformed": Malformed,
    "token": TokenRejected,
    "proof": ProofRejected,
    "replayed": Replayed,
    "unavailable": Unavailable,
}
ERRORS = {number: _CLASSES[name] for number, name in _native.REFUSED_AS.items()}
REASONS = {number: Reason(value) for number, value in _native.REASONS.items()}


class Explanation:
    """The error of an item that the engine refused, with the readable path's detail.

    What nobody signed is read no further than to what the engine refused in it, and nobody is asked
    for anything: no keys, no status lists, no nonces, no memory.
    """

    __slots__ = ("_batch", "_checks", "_now", "_requests", "_scopes", "_tokens")

    def __init__(
        self,
        batch: _native.TokenBatch,
        checks: Checks,
        tokens: Sequence[str],
        requests: Sequence[RequestToVerify] | None,
        scopes: frozenset[str],
        now: int,
    ) -> None:
        self._batch = batch
        self._checks = checks
        self._tokens = tokens
        self._requests = requests
        self._scopes = scopes
        self._now = now

    def error(self, index: int) -> KeysteadError:
        error = error_of(self._batch, index)
        try:
            self._check_again(index, _stage(error))
        except KeysteadError as found:
            if _outcome(found) == _outcome(error):
                return bare(found)
        except Exception:
            # What the readable path cannot read at all, the engine has refused.
            _log.debug("event=unreadable in=batch", exc_info=True)
        return error

    def _check_again(self, index: int, stage: Step | None) -> None:
        """Every step up to ``stage``, where the engine refused the item."""
        if stage in _NOT_EXPLAINED:
            return
        checks, now = self._checks, self._now
        payload = checks.decode(self._tokens[index]).payload
        # The engine reads a payload once its signature is good; so does this.
        token = checks.check_payload(payload, now=now, scopes=self._scopes).token
        if self._requests is None or stage not in (Step.CONFIRMATION, Step.PROOF):
            return
        request = self._requests[index]
        opened = checks.open_proof(token, request)
        if opened is not None:
            checks.check_proof(opened, token, request, None, now=now)


# Nothing more is to be said of these: the reason says it.
_NOT_EXPLAINED = (None, Step.KEY, Step.SIGNATURE, Step.REPLAY)


def _stage(error: KeysteadError) -> Step | None:
    """The verifier's step; that of a proof is a number in the list of RFC 9449 §4.3."""
    if error.step is None:
        return None
    if isinstance(error, ProofRejected) and error.step < Step.PROOF:
        return Step.PROOF
    return Step(error.step)


def error_of(batch: _native.TokenBatch, index: int) -> KeysteadError:
    refused_as, reason, step = batch.refusal(index)
    return ERRORS[refused_as](REASONS[reason], step=step or None)


def _outcome(error: KeysteadError) -> tuple[type, Reason, int | None]:
    return type(error), error.reason, error.step


def bare(error: KeysteadError) -> KeysteadError:
    """Without what it was raised in: a result that is kept must not keep frames alive."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
