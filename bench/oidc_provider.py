"""Another token endpoint, by npm's oidc-provider: its own process, and prepared requests for it.

    with running(chance) as provider:
        answers = provider.send(provider.by_assertion(500))

It is installed with the other peers from npm; PeerMissing says why it cannot be measured. Every
request carries a DPoP proof of its own with the server's nonce, by a key in this process.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench.load import Answers, header, send_accepted, send_all, token_request
from bench.peer import NODE_ENDPOINT, Environment
from bench.tokens import spoilt, unique
from bench.workload import make_key, sign
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError
from keystead.jose import jwk, jws
from keystead.jose.dpop import proof_signing_input

ALGORITHM = "ES256"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_S = 60
SCOPE = "events.read"
RESOURCE = "https://mail.example"
# Ours live as long.
TOKEN_S = 300
SECRET_BYTES = 32
STOP_TIMEOUT_S = 10

Form = dict[str, str]


class PeerMissing(Exception):
    """It could not be installed or started, or does not do what it is measured for."""


class Key:
    """An ES256 key in this process's memory."""

    def __init__(self, chance: random.Random) -> None:
        self._private = make_key(ALGORITHM, chance)
        self.public = jwk.from_public_key(self._private.public_key())

    def jws(self, signing_input: bytes) -> str:
        """Signed, and compact."""
        return jws.assemble(signing_input, sign(ALGORITHM, self._private, signing_input))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """What runs, and the keys that it knows."""

    pid: int
    said: Mapping[str, JSON]
    """Its first line: where it is, who its clients are, and its public key."""
    secret: str
    client: Key
    agent: Key
    chance: random.Random

    @property
    def version(self) -> str:
        """Of itself and of node."""
        return self._said("version")

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"{self._said('issuer')}/token"

    def by_assertion(self, count: int) -> list[bytes]:
        """Client credentials by ``private_key_jwt``: two signatures to verify, one to make."""
        return self._requests(count, self.assertion_form)

    def by_secret(self, count: int) -> list[bytes]:
        """Client credentials by ``client_secret_post``: the proof's signature to verify."""
        return self._requests(count, self.secret_form)

    def renewals(self, count: int) -> list[bytes]:
        """The refresh token grant of a client that has its proof alone, as Keystead's have."""
        return self._requests(count, self.renewal_form)

    def send(self, requests: list[bytes]) -> Answers:
        """Send them all; RuntimeError unless every answer is 200."""
        return send_accepted(self.token_endpoint, requests)

    def assertion_form(self, key: Key | None = None) -> Form:
        """Each has an assertion of its own, good for a minute."""
        now, name = int(time.time()), self._said("assertion_client")
        claims: dict[str, JSON] = {
            "iss": name,
            "sub": name,
            "aud": self._said("issuer"),
            "jti": unique(self.chance),
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        signing_input = jws.signing_input({"alg": ALGORITHM}, claims)
        return {
            **_CLIENT_CREDENTIALS,
            "client_assertion_type": ASSERTION,
            "client_assertion": (key or self.client).jws(signing_input),
        }

    def secret_form(self) -> Form:
        """The same each time."""
        name = self._said("secret_client")
        return {**_CLIENT_CREDENTIALS, "client_id": name, "client_secret": self.secret}

    def renewal_form(self) -> Form:
        """The same each time."""
        return {
            "grant_type": "refresh_token",
            "client_id": self._said("grant_client"),
            "refresh_token": self._said("refresh_token"),
        }

    def proof(self, *, nonce: str | None, url: str | None = None, key: Key | None = None) -> str:
        """By the agent's key for the endpoint, unless it shall be another."""
        signer = key or self.agent
        return signer.jws(
            proof_signing_input(
                signer.public,
                method="POST",
                url=url or self.token_endpoint,
                jti=unique(self.chance),
                issued_at=int(time.time()),
                nonce=nonce,
            )
        )

    def request(self, form: Form, proof: str | None) -> bytes:
        """As it goes over the wire."""
        return token_request(self.token_endpoint, form, proof=proof)

    def nonce(self) -> str:
        """The refusal of a proof without one brings it."""
        wrong = self.request(self.secret_form(), self.proof(nonce=None))
        asked = send_all(self.token_endpoint, [wrong], connections=1)
        return header(asked.last_head, b"dpop-nonce").decode()

    def _requests(self, count: int, form: Callable[[], Form]) -> list[bytes]:
        nonce = self.nonce()
        return [self.request(form(), self.proof(nonce=nonce)) for _ in range(count)]

    def _said(self, name: str) -> str:
        return json.get_str(self.said, name)


_CLIENT_CREDENTIALS: Mapping[str, str] = {
    "grant_type": "client_credentials",
    "scope": SCOPE,
    "resource": RESOURCE,
}


@contextmanager
def running(
    chance: random.Random, environment: Environment = NODE_ENDPOINT
) -> Iterator[OidcProvider]:
    """A new one, which has told good requests from bent ones; PeerMissing where there is none."""
    fault = environment.install()
    if fault:
        raise PeerMissing(fault)
    with environment.start() as process:
        try:
            provider = _told(process, chance)
            check(provider)
            yield provider
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """It does so with its standard input, or is killed."""
    try:
        process.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _told(process: subprocess.Popen[str], chance: random.Random) -> OidcProvider:
    """Whose keys are whose goes to it, and where it listens comes back."""
    client, agent = Key(chance), Key(chance)
    secret = chance.randbytes(SECRET_BYTES).hex()
    asked: dict[str, JSON] = {
        "assertion_key": dict(client.public.members),
        "secret": secret,
        "grant_jkt": agent.public.thumbprint,
    }
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.encode(asked).decode() + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise PeerMissing("the process ended") from None
    line = process.stdout.readline()
    if not line:
        raise PeerMissing("the process ended")
    said = json.parse_object(line)
    if "fault" in said:
        raise PeerMissing(f"does not start: {said['fault']}")
    return OidcProvider(
        pid=process.pid,
        said=said,
        secret=secret,
        client=client,
        agent=agent,
        chance=chance,
    )


def check(provider: OidcProvider) -> None:
    """PeerMissing unless it gives tokens for what is good, and none for what is bent."""
    try:
        nonce = provider.nonce()
    except RuntimeError as error:
        raise PeerMissing(f"gives no nonce: {error}") from None
    good = [
        provider.request(form(), provider.proof(nonce=nonce))
        for form in (provider.assertion_form, provider.secret_form, provider.renewal_form)
    ]
    for request in good:
        answers = _one(provider, request)
        if answers.statuses != {200: 1}:
            raise PeerMissing(f"refuses good requests: {answers.last_body[:300]!r}")
        _check_token(provider, answers.last_body)
    # The good ones again are replays.
    for request in [*good, *bent(provider, nonce)]:
        if 200 in _one(provider, request).statuses:
            raise PeerMissing("accepts bent requests")


def bent(provider: OidcProvider, nonce: str) -> list[bytes]:
    """What nobody may accept: no proof or another's, of another URL or signature, without a nonce;
    another client's assertion, another secret."""
    stranger = Key(provider.chance)
    good = provider.proof(nonce=nonce)
    proofs = [
        None,
        spoilt(good),
        provider.proof(nonce=None),
        provider.proof(nonce="A" * 43),
        provider.proof(nonce=nonce, url="https://other.example/token"),
    ]
    return [
        *(provider.request(provider.secret_form(), proof) for proof in proofs),
        provider.request(provider.renewal_form(), provider.proof(nonce=nonce, key=stranger)),
        provider.request(provider.assertion_form(stranger), provider.proof(nonce=nonce)),
        provider.request(
            {**provider.secret_form(), "client_secret": "A" * 64}, provider.proof(nonce=nonce)
        ),
    ]


def _check_token(provider: OidcProvider, body: bytes) -> None:
    try:
        answer = json.parse_object(body)
        token = jws.parse_compact(json.get_str(answer, "access_token"))
        key = jwk.parse_public(json.get_object(provider.said, "key"))
        claims = json.parse_object(jws.verify_compact(token, key=key))
        bound = json.get_str(json.get_object(claims, "cnf"), "jkt")
        lifetime_s = json.get_int(claims, "exp") - json.get_int(claims, "iat")
    except KeysteadError as error:
        raise PeerMissing(f"answers no signed token: {error}") from None
    if bound != provider.agent.public.thumbprint or claims.get("aud") != RESOURCE:
        raise PeerMissing("answers a token for another key or audience")
    if lifetime_s != TOKEN_S:
        raise PeerMissing(f"answers a token of {lifetime_s} s")


def _one(provider: OidcProvider, request: bytes) -> Answers:
    return send_all(provider.token_endpoint, [request], connections=1)
