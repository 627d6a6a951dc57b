"""The checks of :class:`keystead.relying.Verifier` in their order, to be read.

This is what the native engine has to agree with: for every input the same class, reason and step
(``docs/token-engine.md``). A verifier runs the engine, and comes here for what it cannot say: the
detail of a refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from keystead.errors import KeysteadError, Malformed, ProofRejected, Reason, TokenRejected
from keystead.jose import algorithms
from keystead.jose.dpop import (
    NonceCheck,
    OpenedProof,
    Proof,
    check_proof_signature,
    check_signed_proof,
    open_proof,
    replay_window_s,
)
from keystead.jose.jwk import PublicJwk
from keystead.jose.jws import CompactJws, check_algorithm, parse_compact
from keystead.jose.jwt import normalise_type, parse_claims
from keystead.model import VerifiedToken
from keystead.relying.claims import TokenRules, check_claims
from keystead.relying.jwks import JwksSource
from keystead.relying.native import NativeRules
from keystead.relying.nonces import NonceSource
from keystead.relying.replay import ReplayStore
from keystead.relying.requirements import Requirements, check_required
from keystead.relying.status import StatusSource
from keystead.relying.status_list import StatusReference, check_status, parse_reference
from keystead.relying.steps import Step

TOKEN_TYPE = "at+jwt"
# Delegated tokens take about 1 KiB; web servers cap all headers together at 8 to 16 KiB.
MAX_TOKEN_BYTES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestToVerify:
    """One request: its token, its ``DPoP`` header or headers, its method and its own URL."""

    token: str = field(repr=False)
    proof: str | Sequence[str] | None = field(repr=False)
    method: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedToken:
    """A decoded token and the issuer's key that must have signed it; not believed yet."""

    jws: CompactJws
    key: PublicJwk


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedToken:
    """A token that passed steps 1 to 18, and where its status stands, if anybody asks."""

    token: VerifiedToken
    status: StatusReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What one verifier was configured with, and one method a stage."""

    keys: JwksSource
    algorithms: Set[str]
    rules: TokenRules
    requirements: Requirements
    proof_max_age_s: int
    replay: ReplayStore
    nonces: NonceSource | None
    status: StatusSource | None
    native: NativeRules
    """The same rules and requirements, for the engine."""

    def request(
        self, request: RequestToVerify, *, now: int, scopes: Iterable[str] = ()
    ) -> VerifiedToken:
        """All steps of one request; waits for nothing."""
        token = self.token(request.token, now=now, scopes=scopes)
        opened = self.open_proof(token, request)
        if opened is not None:
            check_proof_signature(opened)
            nonce = self._nonce_check(now)
            proof = self.check_proof(opened, token, request, nonce, now=now)
            self.remember(proof.jkt, proof.jti, proof.issued_at, now=now)
        return token

    def token(self, token: str, *, now: int, scopes: Iterable[str] = ()) -> VerifiedToken:
        """Steps 1 to 19."""
        keyed = self.find_key(self.decode(token), now=now)
        check_signature(keyed)
        checked = self.check_payload(keyed.jws.payload, now=now, scopes=scopes)
        return self.check_status(checked, now=now)

    def decode(self, token: str) -> CompactJws:
        """Steps 1 to 3: a compact JWS that says it is an access token, by an allowed algorithm."""
        jws = _decode(token)
        if normalise_type(jws.typ) != TOKEN_TYPE:
            raise TokenRejected(Reason.TYPE_MISMATCH, f"typ {jws.typ!r}", step=Step.TYPE)
        try:
            check_algorithm(jws, self.algorithms)
        except TokenRejected as error:
            error.step = Step.ALGORITHM
            raise
        return jws

    def find_key(self, jws: CompactJws, *, now: int) -> KeyedToken:
        """Step 4: one of the issuer's keys."""
        return KeyedToken(jws=jws, key=self.keys.find(jws.kid, now=now))

    def check_payload(
        self, payload: bytes, *, now: int, scopes: Iterable[str] = ()
    ) -> CheckedToken:
        """Steps 6 to 18: what a token says, whoever signed it."""
        try:
            claims = parse_claims(payload)
        except Malformed as error:
            error.step = Step.DECODE
            raise
        verified = check_claims(claims, rules=self.rules, now=now)
        check_required(
            verified, self.requirements, scopes=scopes, now=now, leeway_s=self.rules.leeway_s
        )
        return CheckedToken(
            token=verified, status=None if self.status is None else parse_reference(claims)
        )

    def check_status(self, checked: CheckedToken, *, now: int) -> VerifiedToken:
        """Step 19: its issuer has not taken it back."""
        if self.status is not None and checked.status is not None:
            listed = self.status.find(checked.status.uri, now=now)
            check_status(listed.status(checked.status.index))
        return checked.token

    def open_proof(self, token: VerifiedToken, request: RequestToVerify) -> OpenedProof | None:
        """Step 20 up to the proof's signature; None where nothing binds the token."""
        if token.jkt is None:
            if request.proof:
                raise TokenRejected(
                    Reason.BINDING_MISSING, "a proof for an unbound token", step=Step.CONFIRMATION
                )
            return None
        if request.proof is None:
            raise ProofRejected(Reason.PROOF_MISSING, step=1)
        try:
            return open_proof(request.proof)
        except Malformed as error:
            error.step = Step.PROOF
            raise

    def check_proof(
        self,
        opened: OpenedProof,
        token: VerifiedToken,
        request: RequestToVerify,
        nonce: NonceCheck | None,
        *,
        now: int,
    ) -> Proof:
        """The rest of step 20, of a proof whose signature was checked."""
        try:
            return check_signed_proof(
                opened,
                method=request.method,
                url=request.url,
                now=now,
                access_token=request.token,
                expected_jkt=token.jkt,
                nonce=nonce,
                max_age_s=self.proof_max_age_s,
                leeway_s=self.rules.leeway_s,
            )
        except Malformed as error:
            error.step = Step.PROOF
            raise

    def remember(self, jkt: str, jti: str, issued_at: int, *, now: int) -> None:
        """Step 21: last, so that only a proof that opened something is remembered."""
        first = issued_at - self.rules.leeway_s
        window_s = replay_window_s(self.proof_max_age_s, self.rules.leeway_s)
        self.replay.remember(jkt, jti, first=first, last=first + window_s - 1, now=now)

    def _nonce_check(self, now: int) -> NonceCheck | None:
        nonces = self.nonces
        if nonces is None:
            return None
        return lambda nonce: nonces.check(nonce, now=now)


def check_signature(token: KeyedToken) -> None:
    """Step 5: the key suits the algorithm and made the signature."""
    jws = token.jws
    try:
        algorithms.verify(jws.algorithm, token.key, jws.signing_input, jws.signature)
    except TokenRejected as error:
        error.step = Step.SIGNATURE
        raise


def _decode(token: str) -> CompactJws:
    if not isinstance(token, str):
        raise Malformed(
            Reason.MALFORMED, f"a token is a str, not {type(token).__name__}", step=Step.DECODE
        )
    try:
        return parse_compact(token, max_bytes=MAX_TOKEN_BYTES)
    except KeysteadError as error:
        error.step = Step.DECODE
        raise
