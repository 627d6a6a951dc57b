"""Batches of tokens and proofs that somebody made to cost a verifier as much as they can.

    python -m tests.costly_tokens      # {name: {"item_us": …, "grown_bytes": …, "outcome": …}, …}

Each batch is judged in a process of its own that was forked after everything was imported and made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from keystead.codec import base64url
from keystead.errors import KeysteadError
from keystead.jose import jws
from keystead.jose.dpop import access_token_hash
from keystead.relying import MAX_BATCH, RequestToVerify
from tests.costly_evidence import resident, used_s
from tests.jose_keys import private_key, public_jwk, signature
from tests.relying_tokens import KID, LEAVE_OUT, NOW, URL, claims, verifier

# With header and signature, a token or proof of nearly 8 KiB.
PAYLOAD_BYTES = 5_900
HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": KID}
ITEMS = 512


def compact_text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def padded(start: dict[str, object], members: Iterator[str], *, size: int = PAYLOAD_BYTES) -> str:
    """An object of ``start`` and as many of ``members`` as ``size`` has room for."""
    text = compact_text(start)[:-1]
    for member in members:
        if len(text) + len(member) + 2 > size:
            break
        text += "," + member
    return text + "}"


def made(header: str, payload: str, *, key: str) -> str:
    message = f"{base64url.encode(header.encode())}.{base64url.encode(payload.encode())}".encode()
    return jws.assemble(message, signature("ES256", private_key(name=key), message))


def token(members: Iterator[str], **changes: object) -> str:
    return made(compact_text(HEADER), padded(claims(**changes), members), key="issuer")


def proof_header(jwk: object = None, **members: object) -> str:
    own = dict(public_jwk(name="holder").members)
    return compact_text({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk or own, **members})


def proof(access_token: str, members: Iterator[str], **changes: object) -> str:
    ath = access_token_hash(access_token)
    named = {"jti": "j", "htm": "GET", "htu": URL, "iat": NOW, "ath": ath}
    return made(proof_header(), padded({**named, **changes}, members), key="holder")


# --- what costs -----------------------------------------------------------------------------------

MEMBERS: dict[str, Callable[[], Iterator[str]]] = {
    "many names": lambda: (f'"{i:x}":1' for i in count()),
    "names that start alike": lambda: (f'"aaaaaa{i:x}":1' for i in count()),
    "names of one length and ends": lambda: (f'"a{i:04d}a":1' for i in count()),
    "names of escapes": lambda: (f'"\\u{i:04x}":1' for i in count(0x100)),
    "small numbers": lambda: (f'"{i:x}":0.{"1" * 50}e-300' for i in count()),
    "brackets": lambda: (f'"{i:x}":' + "[" * 14 + "]" * 14 for i in count()),
    "objects": lambda: (f'"{i:x}":[' + ",".join(['{"a":1,"b":2}'] * 9) + "]" for i in count()),
}


def requests_of(tokens: list[str], proofs: list[str], *, url: str = URL) -> list[RequestToVerify]:
    return [
        RequestToVerify(token=sent, proof=proved, method="GET", url=url)
        for sent, proved in zip(tokens, proofs, strict=True)
    ]


def long_act() -> dict[str, object]:
    many = {f"{i:x}": 1 for i in range(70)}
    link: dict[str, object] = {"sub": "s", **many}
    for _ in range(7):
        link = {"sub": "s", **many, "act": link}
    return link


def unknown_kid(index: int) -> str:
    """A token that nobody signed; they all name another key, and names differ at their ends."""
    header = compact_text({**HEADER, "kid": "k" * 250 + f"{index * 7_919 % MAX_BATCH:05d}"})
    return f"{base64url.encode(header.encode())}.{base64url.encode(b'{}')}.{'A' * 86}"


def cases() -> dict[str, list[RequestToVerify]]:
    good = token(iter(()))
    proved = proof(good, iter(()))
    batches = {"good": requests_of([good] * ITEMS, [proved] * ITEMS)}
    for name, members in MEMBERS.items():
        costly = token(members())
        batches[f"token: {name}"] = requests_of([costly] * ITEMS, [proved] * ITEMS)
        batches[f"proof: {name}"] = requests_of([good] * ITEMS, [proof(good, members())] * ITEMS)
    deep = token(iter(()), act=long_act())
    batches["token: actors"] = requests_of([deep] * ITEMS, [proved] * ITEMS)
    kids = [unknown_kid(index) for index in range(MAX_BATCH)]
    batches["token: a kid each"] = requests_of(kids, [proved] * MAX_BATCH)
    for name, path in (("dot segments", "a/../" * 400), ("escapes", "%61" * 660)):
        url = "https://api.example/" + path
        batches[f"proof: {name}"] = requests_of(
            [good] * ITEMS, [proof(good, iter(()), htu=url)] * ITEMS, url=url
        )
    # Its `kid` is malformed as well, so the point is looked at for its fault's sake.
    off_curve = {"kty": "EC", "crv": "P-521", "x": "A" * 88, "y": "A" * 88, "kid": ""}
    claimed = compact_text({"jti": "j", "htm": "GET", "htu": URL, "iat": NOW})
    bent = made(proof_header(off_curve, alg="ES512"), claimed, key="holder")
    batches["proof: off its curve"] = requests_of([good] * ITEMS, [bent] * ITEMS)
    return batches


def largest() -> list[RequestToVerify]:
    """As many as a batch takes, each with a token and a proof of nearly 8 KiB, and all are read."""
    members = MEMBERS["many names"]
    sent = token(members(), act=LEAVE_OUT)
    proved = proof(sent, members())
    return requests_of([sent] * MAX_BATCH, [proved] * MAX_BATCH)


# --- measuring ------------------------------------------------------------------------------------


def outcome_of(error: KeysteadError) -> str:
    return f"{error.reason}@{error.step}"


def measured(requests: list[RequestToVerify]) -> dict[str, Any]:
    check = verifier()
    check.verify_request_batch(requests[:1], now=NOW)
    memory, cpu_s = resident("VmRSS"), used_s()
    result = check.verify_request_batch(requests, now=NOW)
    spent_s, grown = used_s() - cpu_s, resident("VmHWM") - memory
    last = len(requests) - 1
    return {
        "item_us": spent_s / len(requests) * 1e6,
        "grown_bytes": grown,
        "outcome": "accepted" if result.ok[last] else outcome_of(result.error(last)),
        "token_bytes": len(requests[0].token),
        "proof_bytes": len(str(requests[0].proof)),
    }


def in_a_process(requests: list[RequestToVerify]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(measured(requests)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return dict(json.loads(text))


def main() -> int:
    costs = {name: in_a_process(requests) for name, requests in cases().items()}
    costs["the largest batch"] = in_a_process(largest())
    json.dump(costs, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
