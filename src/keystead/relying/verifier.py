"""One call that checks a delegated token, the proof that came with it, and all that they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from keystead.codec.json import JSON
from keystead.errors import ConfigurationError
from keystead.jose.algorithms import DEFAULT_ALGORITHMS
from keystead.jose.dpop import DEFAULT_LEEWAY_S, DEFAULT_MAX_AGE_S
from keystead.model import VerifiedToken
from keystead.relying.batch import (
    BatchResult,
    check_batch,
    check_request,
    check_request_batch,
)
from keystead.relying.checks import Checks, RequestToVerify
from keystead.relying.claims import TokenRules
from keystead.relying.jwks import JwksSource, jwks_source
from keystead.relying.native import NativeRules
from keystead.relying.nonces import NonceSource
from keystead.relying.replay import ReplayMemory, ReplayStore
from keystead.relying.requirements import Requirements, ResidencyRequirement, check_configured
from keystead.relying.status import StatusListRules, StatusSource, status_source
from keystead.relying.waits import finish, finish_async

DEFAULT_TOKEN_ALGORITHMS = ("ES256",)
# What the issuer gives at most by default; longer lives need a decision here too.
DEFAULT_MAX_TOKEN_LIFETIME_S = 300
# A minute on either side is a broken clock, not skew.
MAX_LEEWAY_S = 60
# Beyond a day a "short-lived" token is a credential.
MAX_TOKEN_LIFETIME_S = 86_400
# Proofs are made for one request; ten minutes is already a bearer token.
MAX_PROOF_AGE_S = 600

_T = TypeVar("_T")


class Verifier:
    """Checks tokens of one issuer for one audience; safe to share between threads.

        verifier = Verifier(
            issuer="https://issuer.example",
            jwks="https://issuer.example/jwks",
            audience="https://api.example",
            scopes_required=["orders:read"],
            minimum_aal=2,
            require_residency=ResidencyRequirement(),
        )
        token = verifier.verify_request(
            access_token, dpop_header, "GET", "https://api.example/orders", now=now
        )
        token.user, token.agent, token.scopes, token.residency

    Times are Unix seconds, ages and lifetimes seconds. ``jwks`` is a key set, the path of one, an
    https URL or a :class:`JwksSource`. ``status_lists`` is the https URL that the issuer's lists
    stand below, the path of one list, or a :class:`StatusSource`; left out, nobody asks whether a
    token was revoked, and it is good until it expires. ``replay`` remembers proofs; left out, the
    verifier has a memory of its own, which serves one process: see ``refuse_proofs_before``. The
    first check that fails raises, with the number of the check as ``step``; nothing is returned but
    a token that passed all of them:

    1. The token is a compact JWS of at most ``MAX_TOKEN_BYTES``, without critical headers, its
       payload one strict JSON object.
    2. ``typ`` is ``at+jwt`` (RFC 9068 §4): no ID token, SVID, proof or attestation result.
    3. ``alg`` is one of ``allowed_algorithms``.
    4. ``kid`` names one of the issuer's keys.
    5. That key made the signature.
    6. ``iss`` is ``issuer``.
    7. ``aud`` names ``audience``.
    8. Now is before ``exp``, and not before ``iat`` and ``nbf``, give or take ``leeway_s``.
    9. It lives for at most ``max_token_lifetime_s``.
    10. ``sub``, ``client_id`` and ``jti`` are there.
    11. ``act``: every actor has a ``sub``, at most ``MAX_ACT_DEPTH`` of them.
    12. ``scope`` is spelled as RFC 6749 §3.3 says.
    13. ``aal``, ``acr``, ``amr`` and ``auth_time`` are what they should be.
    14. ``cnf.jkt`` is there, and no confirmation that would go unchecked.
    15. ``cnf.residency`` is complete and claims only what its kind can prove.
    16. All of ``scopes_required`` are granted.
    17. The user's sign-in has ``minimum_aal``, one of ``acr_values``, and is recent enough.
    18. The key's residency is what ``require_residency`` asks for.
    19. Where there are ``status_lists``: the token says where its status stands in one of them,
        and there it is valid.
    20. The proof passes the twelve checks of RFC 9449 §4.3, ``ath`` and ``jkt`` included; a
        ``ProofRejected`` has the number of that list.
    21. The proof was not seen before.

    Raises ``Malformed``, ``TokenRejected``, ``ProofRejected``, ``Replayed``, or ``Unavailable``
    when there are no keys, no status list or no room to remember the proof. Wrong parameters raise
    ``ConfigurationError``.
    """

    def __init__(
        self,
        *,
        issuer: str,
        jwks: Mapping[str, JSON] | str | Path | JwksSource,
        audience: str,
        allowed_algorithms: Iterable[str] = DEFAULT_TOKEN_ALGORITHMS,
        scopes_required: Iterable[str] = (),
        minimum_aal: int | None = None,
        acr_values: Iterable[str] = (),
        max_authentication_age_s: int | None = None,
        require_residency: ResidencyRequirement | None = None,
        dpop_required: bool = True,
        proof_max_age_s: int = DEFAULT_MAX_AGE_S,
        leeway_s: int = DEFAULT_LEEWAY_S,
        max_token_lifetime_s: int = DEFAULT_MAX_TOKEN_LIFETIME_S,
        replay: ReplayStore | None = None,
        nonces: NonceSource | None = None,
        status_lists: str | Path | StatusSource | None = None,
    ) -> None:
        own_memory = ReplayMemory(not_before=0)
        self._own_memory = own_memory if replay is None else None
        if replay is not None:
            _having("replay", replay, "remember")
        if nonces is not None:
            _having("nonces", nonces, "check", "current")
        self.requirements = Requirements(
            scopes=_names("scopes_required", scopes_required),
            minimum_aal=minimum_aal,
            acr_values=_names("acr_values", acr_values),
            max_authentication_age_s=max_authentication_age_s,
            residency=require_residency,
        )
        check_configured(self.requirements)
        rules = TokenRules(
            issuer=_named("issuer", issuer),
            audience=_named("audience", audience),
            leeway_s=_within("leeway_s", leeway_s, 0, MAX_LEEWAY_S),
            max_lifetime_s=_within(
                "max_token_lifetime_s", max_token_lifetime_s, 1, MAX_TOKEN_LIFETIME_S
            ),
            dpop_required=_flag("dpop_required", dpop_required),
        )
        algorithms = _algorithms(allowed_algorithms)
        _within("proof_max_age_s", proof_max_age_s, 1, MAX_PROOF_AGE_S)
        if isinstance(replay, ReplayMemory):
            replay.share(proof_max_age_s=proof_max_age_s, leeway_s=leeway_s)
        keys = _having("jwks", jwks_source(jwks), "find", "refresh")
        self._checks = Checks(
            keys=keys,
            algorithms=algorithms,
            rules=rules,
            requirements=self.requirements,
            proof_max_age_s=proof_max_age_s,
            replay=own_memory if replay is None else replay,
            nonces=nonces,
            status=None
            if status_lists is None
            else _having(
                "status_lists",
                status_source(
                    status_lists,
                    StatusListRules(
                        issuer=issuer, keys=keys, algorithms=algorithms, leeway_s=leeway_s
                    ),
                ),
                "find",
                "refresh",
            ),
            native=NativeRules(
                rules,
                self.requirements,
                algorithms=algorithms,
                proof_max_age_s=proof_max_age_s,
                status_required=status_lists is not None,
            ),
        )

    @property
    def audience(self) -> str:
        """The audience that tokens must name."""
        return self._checks.rules.audience

    @property
    def dpop_required(self) -> bool:
        """Whether tokens that are bound to no key are refused."""
        return self._checks.rules.dpop_required

    @property
    def nonces(self) -> NonceSource | None:
        """Where the nonces that proofs must carry come from, if they must."""
        return self._checks.nonces

    def verify_request(
        self,
        token: str,
        proof: str | Sequence[str] | None,
        method: str,
        url: str,
        *,
        now: int,
        scopes: Iterable[str] = (),
        explain: bool = True,
    ) -> VerifiedToken:
        """Who is behind one request, after all the checks above.

        ``proof`` is the ``DPoP`` header's value, or all its values; ``url`` is the request's own,
        as its clients see it. ``scopes`` adds to ``scopes_required`` for this request. May wait a
        few seconds for the issuer's keys and status list, where they come from a URL or file.

        A refusal says in its ``detail`` what was found, for which the readable path looks at the
        request again; a server that logs ``reason`` and ``step`` saves that with ``explain=False``.
        """
        request = RequestToVerify(token=token, proof=proof, method=method, url=url)
        return finish(check_request(self._checks, request, now=now, scopes=scopes, explain=explain))

    async def verify_request_async(
        self,
        token: str,
        proof: str | Sequence[str] | None,
        method: str,
        url: str,
        *,
        now: int,
        scopes: Iterable[str] = (),
        explain: bool = True,
    ) -> VerifiedToken:
        """As ``verify_request``; while it waits for a fetch, the event loop runs on."""
        request = RequestToVerify(token=token, proof=proof, method=method, url=url)
        return await finish_async(
            check_request(self._checks, request, now=now, scopes=scopes, explain=explain)
        )

    def verify_batch(self, tokens: Sequence[str], *, now: int, threads: int = 1) -> BatchResult:
        """Checks 1 to 19 of up to ``MAX_BATCH`` tokens: they are genuine, whoever sent them.

        Without its proof a token says nothing about who presents it. Raises ``Refused``
        (``limit_exceeded``) for too many; what is wrong with a token is in the result.
        """
        return finish(check_batch(self._checks, tokens, now=now, threads=threads))

    def verify_request_batch(
        self, requests: Sequence[RequestToVerify], *, now: int, threads: int = 1
    ) -> BatchResult:
        """What ``verify_request`` says of each of up to ``MAX_BATCH`` requests, in their order."""
        return finish(check_request_batch(self._checks, requests, now=now, threads=threads))

    def refuse_proofs_before(self, time: int) -> None:
        """Call it when the process starts, with the time: what the last one saw is unknown here.

        Proofs that could have been accepted before ``time`` are refused from now on, which lasts
        ``leeway_s`` longer for clients whose clocks are right. The ASGI and gRPC doors call it.
        Without effect where ``replay`` was given: that store knows its own beginning.
        """
        if self._own_memory is not None:
            self._own_memory.refuse_before(time)


def _named(name: str, value: str) -> str:
    if type(value) is not str or not value:
        raise ConfigurationError(detail=f"{name} is a string that is not empty")
    return value


def _names(name: str, values: Iterable[str]) -> frozenset[str]:
    # A string is an iterable of its letters, which nobody ever means.
    if isinstance(values, str):
        raise ConfigurationError(detail=f"{name} is a list of strings, not one string")
    return frozenset(_named(name, value) for value in values)


def _within(name: str, value: int, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ConfigurationError(detail=f"{name} is {least} to {most}, not {value!r}")
    return value


def _flag(name: str, value: bool) -> bool:
    if type(value) is not bool:
        raise ConfigurationError(detail=f"{name} is True or False, not {value!r}")
    return value


def _having(name: str, source: _T, *methods: str) -> _T:
    """``source``, which somebody else made, once it can be what the protocol asks for."""
    if not all(callable(getattr(source, method, None)) for method in methods):
        raise ConfigurationError(
            detail=f"{name} cannot be a {type(source).__name__}: Verifier's docstring says what it"
            f" can be, or it is an object with {' and '.join(methods)}"
        )
    return source


def _algorithms(names: Iterable[str]) -> frozenset[str]:
    allowed = _names("allowed_algorithms", names)
    if not allowed or not allowed <= DEFAULT_ALGORITHMS:
        raise ConfigurationError(
            detail=f"allowed_algorithms are some of {sorted(DEFAULT_ALGORITHMS)}"
        )
    return allowed
