"""Access tokens and DPoP proofs as Keystead makes them, from a seed, for benches to verify."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.peer import Item
from bench.workload import PrivateKey, Workload, make_key, sign, signed
from keystead import Verifier
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.jose import jwk, jws
from keystead.jose.dpop import proof_signing_input
from keystead.relying import RequestToVerify

ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example"
URL = "https://api.example/orders"
METHOD = "GET"
AGENT = "spiffe://example.org/agent/mail"
KID = "token-1"
# A whole run of one bench; the default of a verifier is what the issuer gives, five minutes.
LIFETIME_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs access tokens, by one key."""

    algorithm: str
    key: PrivateKey
    now: int

    @classmethod
    def make(cls, algorithm: str, chance: random.Random) -> Issuer:
        """A new one, today: peers know no other time."""
        return cls(algorithm=algorithm, key=make_key(algorithm, chance), now=int(time.time()))

    @property
    def jwk(self) -> dict[str, JSON]:
        """The key as the issuer publishes it."""
        members = jwk.from_public_key(self.key.public_key()).members
        return {**members, "kid": KID, "alg": self.algorithm, "use": "sig"}

    def verifier(self, **options: object) -> Verifier:
        """Ours, with its defaults where a bench needs no other."""
        wanted: dict[str, object] = {
            "issuer": ISSUER,
            "jwks": {"keys": [self.jwk]},
            "audience": AUDIENCE,
            "allowed_algorithms": [self.algorithm],
            "max_token_lifetime_s": LIFETIME_S,
        }
        return Verifier(**{**wanted, **options})  # type: ignore[arg-type]

    def tokens(self, thumbprints: Iterable[str], chance: random.Random) -> Workload:
        """One token for each key that it is bound to, all of one length."""
        header = {"typ": "at+jwt", "alg": self.algorithm, "kid": KID}
        messages = [
            jws.signing_input(header, claims(jkt, chance, now=self.now)) for jkt in thumbprints
        ]
        return signed(self.algorithm, [self.key], messages)

    def item(self, token: str, **more: str) -> Item:
        """What a peer is given for one token."""
        texts = {
            "token": token,
            "algorithm": self.algorithm,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            **more,
        }
        encoded = {name: text.encode() for name, text in texts.items()}
        return {**encoded, "key": json.encode(self.jwk)}

    def bent(self, token: str, chance: random.Random) -> list[Item]:
        """What nobody may accept: another signature, issuer, audience, time, and none of one."""
        header = {"typ": "at+jwt", "alg": self.algorithm, "kid": KID}
        good = claims("A" * 43, chance, now=self.now)
        wrong: list[dict[str, JSON]] = [
            {**good, "iss": "https://other.example"},
            {**good, "aud": "https://other.example"},
            {**good, "iat": self.now - LIFETIME_S, "exp": self.now - LIFETIME_S // 2},
            {name: value for name, value in good.items() if name != "exp"},
        ]
        messages = [jws.signing_input(header, each) for each in wrong]
        texts = [spoilt(token), *signed(self.algorithm, [self.key], messages).tokens]
        return [self.item(text) for text in texts]


def claims(jkt: str, chance: random.Random, *, now: int) -> dict[str, JSON]:
    """What an agent's token says: about 880 bytes, once it is signed by ES256."""
    return {
        "iss": ISSUER,
        "sub": f"user-{chance.randrange(100_000, 1_000_000)}",
        "aud": AUDIENCE,
        "client_id": AGENT,
        "scope": "orders:read orders:list",
        "iat": now - 10,
        "exp": now + LIFETIME_S - 10,
        "jti": unique(chance),
        "txn": unique(chance),
        "auth_time": now - 600,
        "acr": "phrh",
        "amr": ["pop", "user", "hwk"],
        "aal": 3,
        "act": {"sub": AGENT, "iss": ISSUER, "attestation": "tpm2"},
        "cnf": {
            "jkt": jkt,
            "residency": {
                "kind": "tpm2",
                "protection": "non-exportable",
                "hardware": False,
                "verified_at": now - 30,
                "freshness": "challenged",
                "policy": "servers/3",
                "result": "A" * 43,
            },
        },
    }


def unique(chance: random.Random) -> str:
    """A ``jti``."""
    return base64url.encode(chance.randbytes(16))


def spoilt(token: str) -> str:
    """The same with one bit of the signature changed."""
    parsed = jws.parse_compact(token)
    signature = bytes([parsed.signature[0] ^ 1]) + parsed.signature[1:]
    return jws.assemble(parsed.signing_input, signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Tokens, each bound to an agent's key, and the proofs of these agents."""

    tokens: Workload
    proofs: Workload
    items: tuple[RequestToVerify, ...]


def agents(count: int, chance: random.Random) -> list[PrivateKey]:
    """That many agents' keys."""
    return [make_key("ES256", chance) for _ in range(count)]


def requests(issuer: Issuer, keys: Sequence[PrivateKey], chance: random.Random) -> Requests:
    """A request of each agent."""
    public = [jwk.from_public_key(key.public_key()) for key in keys]
    tokens = issuer.tokens([key.thumbprint for key in public], chance)
    messages = [
        proof_signing_input(
            key,
            method=METHOD,
            url=URL,
            jti=unique(chance),
            issued_at=issuer.now,
            access_token=token,
        )
        for key, token in zip(public, tokens.tokens, strict=True)
    ]
    signatures = [sign("ES256", key, message) for key, message in zip(keys, messages, strict=True)]
    proofs = Workload(
        algorithm="ES256",
        keys=tuple(public),
        messages=tuple(messages),
        signatures=tuple(signatures),
    )
    return Requests(
        tokens=tokens,
        proofs=proofs,
        items=tuple(
            RequestToVerify(token=token, proof=proof, method=METHOD, url=URL)
            for token, proof in zip(tokens.tokens, proofs.tokens, strict=True)
        ),
    )


def bent_requests(made: Requests) -> list[RequestToVerify]:
    """What nobody may accept: another's proof, another URL or method, another signature."""
    first, second = made.items[:2]
    return [
        replace(first, proof=second.proof),
        replace(first, url="https://api.example/others"),
        replace(first, method="POST"),
        replace(first, proof=spoilt(str(first.proof))),
    ]
