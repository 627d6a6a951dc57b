"""What tests of the agent need: a key holder without a TPM, and servers that check its proofs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx

from keystead.agent.auth import KeysteadAuth
from keystead.agent.endpoint import TokenEndpoint
from keystead.agent.nonces import NonceMemory
from keystead.agent.tokens import SubjectToken, Target, TokenSource
from keystead.codec import base64url
from keystead.errors import KeysteadError, ProofRejected, Reason
from keystead.jose import dpop, jws
from tests.jose_keys import private_key, public_jwk, signature

NOW = 1_790_000_000
TOKEN_URL = "https://issuer.example/token"
API_URL = "https://api.example/calendar"
LIFETIME_S = 300


class FakeClock:
    """A clock that stands until it is told."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


class SoftwareHolder:
    """A KeyHolder whose key is in memory; ``attested`` counts how often it was bound again."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.name = "holder"
        self.attested = 0
        self.signed = 0
        self.on_attest: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    @property
    def jkt(self) -> str:
        return public_jwk(name=self.name).thumbprint

    def proof(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        with self._lock:
            self.signed += 1
            jti = f"jti-{self.signed}"
        message = dpop.proof_signing_input(
            public_jwk(name=self.name),
            method=method,
            url=url.partition("?")[0],
            jti=jti,
            issued_at=self.clock.now(),
            access_token=access_token,
            nonce=nonce,
        )
        return jws.assemble(message, signature("ES256", private_key(name=self.name), message))

    async def proof_async(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        return self.proof(method, url, access_token=access_token, nonce=nonce)

    def attest(self) -> object:
        self.attested += 1
        self.on_attest()
        return None

    def attest_if_due(self) -> object:
        return None


class ProofChecker:
    """The DPoP half of a server: nonces of its own, and no proof twice."""

    def __init__(self, clock: FakeClock, *, nonce: str | None) -> None:
        self.clock = clock
        self.nonce = nonce
        self.proofs: list[dpop.Proof] = []
        self._lock = threading.Lock()

    def check(self, request: httpx.Request, *, token: str | None, jkt: str | None) -> dpop.Proof:
        proof = dpop.verify_proof(
            request.headers.get_list("DPoP"),
            method=request.method,
            url=str(request.url),
            now=self.clock.now(),
            access_token=token,
            expected_jkt=jkt,
            nonce=self._check_nonce,
        )
        with self._lock:
            assert (proof.jkt, proof.jti) not in {(p.jkt, p.jti) for p in self.proofs}
            self.proofs.append(proof)
        return proof

    def _check_nonce(self, nonce: str | None) -> None:
        if self.nonce is not None and nonce != self.nonce:
            raise ProofRejected(Reason.NONCE_REQUIRED)

    @property
    def nonce_header(self) -> dict[str, str]:
        return {} if self.nonce is None else {"DPoP-Nonce": self.nonce}


class FakeTokenServer(ProofChecker):
    """Answers token requests; ``refuse`` holds (code, reason) for the next ones."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, nonce="issuer-nonce-1")
        self.forms: list[dict[str, str]] = []
        self.refuse: list[tuple[int, str, str]] = []
        self.refresh = True
        self.lifetime_s = LIFETIME_S
        self.token_type = "DPoP"
        self.before_answer: Callable[[], None] = lambda: None
        self._issued = 0

    @property
    def grant_types(self) -> list[str]:
        return [form["grant_type"].rpartition(":")[2] for form in self.forms]

    def answer(self, request: httpx.Request) -> httpx.Response:
        try:
            proof = self.check(request, token=None, jkt=None)
        except KeysteadError as error:
            return self._no(400, "use_dpop_nonce", error.reason.value)
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert "Authorization" not in request.headers
        self.forms.append(dict(parse_qsl(request.content.decode(), strict_parsing=True)))
        self.before_answer()
        if self.refuse:
            return self._no(*self.refuse.pop(0))
        self._issued += 1
        document: dict[str, object] = {
            "access_token": f"token-{self._issued}-{proof.jkt}",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": self.token_type,
            "expires_in": self.lifetime_s,
            "scope": "calendar.read",
        }
        if self.refresh:
            document["refresh_token"] = "handle-1"
        return httpx.Response(200, json=document, headers=self.nonce_header)

    def _no(self, status: int, code: str, reason: str) -> httpx.Response:
        body = {"error": code, "error_description": reason}
        return httpx.Response(status, json=body, headers=self.nonce_header)


class FakeApi(ProofChecker):
    """A resource server; ``refused_tokens`` are what it calls invalid."""

    def __init__(self, clock: FakeClock, *, nonce: str | None = None) -> None:
        super().__init__(clock, nonce=nonce)
        self.tokens: list[str] = []
        self.bodies: list[bytes] = []
        self.refused_tokens: set[str] = set()

    def answer(self, request: httpx.Request) -> httpx.Response:
        scheme, _, token = request.headers["Authorization"].partition(" ")
        assert scheme == "DPoP"
        try:
            self.check(request, token=token, jkt=token.split("-", 2)[2])
        except KeysteadError as error:
            name = "use_dpop_nonce" if error.reason is Reason.NONCE_REQUIRED else error.reason.value
            return self._no(name)
        if token in self.refused_tokens:
            return self._no("invalid_token")
        self.tokens.append(token)
        self.bodies.append(request.content)
        return httpx.Response(200, json={"token": token}, headers=self.nonce_header)

    def _no(self, name: str) -> httpx.Response:
        challenge = f'DPoP error="{name}", algs="ES256"'
        headers = {"WWW-Authenticate": challenge, **self.nonce_header}
        return httpx.Response(401, headers=headers, content=b"{}")


class World:
    """One agent, one token server, one API, and the network between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.holder = SoftwareHolder(self.clock)
        self.issuer = FakeTokenServer(self.clock)
        self.api = FakeApi(self.clock)
        self.nonces = NonceMemory()
        self.token_http = httpx.Client(transport=httpx.MockTransport(self.issuer.answer))
        self.transport = httpx.MockTransport(self.api.answer)

    def endpoint(self, url: str = TOKEN_URL) -> TokenEndpoint:
        return TokenEndpoint(url, holder=self.holder, http=self.token_http, nonces=self.nonces)

    def tokens(self, subject_token: SubjectToken = "user-token") -> TokenSource:
        return TokenSource(
            self.endpoint(),
            holder=self.holder,
            target=Target(audience="https://api.example", scope="calendar.read"),
            subject_token=subject_token,
            clock=self.clock,
        )

    def auth(self, subject_token: SubjectToken = "user-token") -> KeysteadAuth:
        return KeysteadAuth(self.tokens(subject_token), holder=self.holder, nonces=self.nonces)

    def client(self, subject_token: SubjectToken = "user-token") -> httpx.Client:
        return httpx.Client(auth=self.auth(subject_token), transport=self.transport)


def result_id(ear: str) -> str:
    return base64url.encode(hashlib.sha256(ear.encode()).digest())
