"""App Attest objects a second on one core, beside what pyattest needs for the same ones."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bench.figures import figures, ratio
from bench.interleaved import measured, runner
from bench.peer import Item, Peers
from keystead.appraisal.anchors import from_der
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import cbor
from keystead.evidence.app_attest import encode
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import AnchorClass, EvidenceKind
from tests.app_attest_builder import APP_ID, Device, attested_nonce, nonce_extension
from tests.device_chains import CA, DAY_S, LEAF, certificate

question = "How many App Attest objects a second does one core appraise, beside pyattest?"

OBJECTS = 64
CLIENT_DATA_BYTES = 64


@dataclass(frozen=True)
class Attested:
    """One device's new key: its object, and what it was made for."""

    attestation: bytes
    key_id: bytes
    client_data: bytes


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in objects a second.

    ``appraise`` is from the envelope's bytes to the result, all eight steps. Every object is of
    another key, as in life: its certificate is new, so no chain is remembered. ``pyattest`` starts
    at the object, and does not look at who chose the client data.
    """
    now = int(time.time())
    authorities = made_authorities(now)
    made = made_objects(random.Random(seed), now, authorities[1])
    policy = Device().policy(
        chains=ChainCache(from_der(authorities[:1], anchor_class=AnchorClass.EMULATED), capacity=1)
    )
    with Peers() as peers:
        runners = {
            "appraise": runner(map(envelope, made), lambda data: appraise(data, policy, now))
        }
        items = [item(each, authorities[0]) for each in made]
        stranger = made_authorities(now, name="stranger")[0]
        bent = [
            {**items[0], "client_data": bytes(CLIENT_DATA_BYTES)},
            {**items[0], "root": stranger},
        ]
        runners |= peers.runners("pyattest", verifier="pyattest", items=items, bent=bent)
        rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "per_second": figures(rates, unit="per_second"),
        "to_pyattest": ratio(rates, "appraise", "pyattest"),
        "missing": peers.missing,
    }


def made_authorities(now: int, *, name: str = "root") -> list[bytes]:
    """A root and a CA like Apple's, valid today: the peer knows no other time."""
    times: dict[str, Any] = {"not_before": now - DAY_S, "not_after": now + DAY_S}
    return [
        certificate(name, extensions=CA, **times),
        certificate("CA", issuer=name, extensions=CA, serial=8, **times),
    ]


def made_objects(chance: random.Random, now: int, authority: bytes) -> list[Attested]:
    """One object each of ``OBJECTS`` devices."""
    return [made_object(chance, now, authority) for _ in range(OBJECTS)]


def made_object(chance: random.Random, now: int, authority: bytes) -> Attested:
    device = Device(key=ec.generate_private_key(ec.SECP256R1()))
    client_data = chance.randbytes(CLIENT_DATA_BYTES)
    auth_data = device.auth_data()
    leaf = certificate(
        "credential",
        issuer="CA",
        key=device.key,
        extensions=(*LEAF, nonce_extension(attested_nonce(auth_data, client_data))),
        not_before=now - DAY_S,
        not_after=now + DAY_S,
    )
    statement = {"x5c": [leaf, authority], "receipt": b"receipt"}
    attestation = {"fmt": "apple-appattest", "attStmt": statement, "authData": auth_data}
    return Attested(
        attestation=cbor.encode(attestation), key_id=device.key_id, client_data=client_data
    )


def envelope(made: Attested) -> bytes:
    """The envelope that brings it."""
    return encode_envelope(
        kind=EvidenceKind.APP_ATTEST,
        evidence=encode(
            attestation_object=made.attestation, key_id=made.key_id, client_data=made.client_data
        ),
    )


def appraise(data: bytes, policy: AppraisalPolicy, now: int) -> object:
    """Ours."""
    return appraise_saved(parse_envelope(data), policy=policy, now=now)


def item(made: Attested, root: bytes) -> Item:
    """What the peer is given."""
    return {
        "attestation": made.attestation,
        "client_data": made.client_data,
        "key_id": made.key_id,
        "app_id": APP_ID.encode(),
        "root": root,
    }
