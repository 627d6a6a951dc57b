"""Attestation documents a second on one core, from the envelope's bytes to the result."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from bench.figures import figures, ratio
from bench.interleaved import Runner, measured, runner
from bench.peer import Item, Peers
from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import cbor
from keystead.evidence.aws_nitro import encode
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import AnchorClass, EvidenceKind
from tests.device_chains import CA, DAY_S, certificate, curve_key
from tests.nitro_builder import PCRS, Enclave, sign1

question = "How many Nitro documents a second does one core appraise, chain checks included?"

# As AWS does it: a root, a region's CA, a zone's and a host's, and the enclave's certificate.
AUTHORITIES = ("root", "region", "zone", "host")
DOCUMENTS = 64
NEW_CHAINS = 16
SIGNATURES = 100
PEER = "epsilon-attestation-verifier"


@dataclass(frozen=True)
class Documents:
    """One enclave's documents, each for another challenge, and the root's certificate."""

    documents: list[bytes]
    root: bytes
    now: int

    @property
    def anchors(self) -> AnchorSet:
        return from_der([self.root], anchor_class=AnchorClass.EMULATED)

    @property
    def envelopes(self) -> list[bytes]:
        return [
            encode_envelope(kind=EvidenceKind.AWS_NITRO, evidence=encode(document=document))
            for document in self.documents
        ]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in documents a second.

    ``remembered_chain``: documents of one enclave, whose certificates were seen before.
    ``new_chain``: each document's whole chain is verified, four signatures on P-384.
    ``one_signature``: OpenSSL verifying one such signature and nothing else, the most that any
    verifier of single documents could do.
    The peer starts at the document, verifies the whole chain each time, and looks at no challenge.
    """
    made = made_documents(random.Random(seed), int(time.time()))
    anchors = made.anchors
    policy = Enclave().policy(chains=ChainCache(anchors))
    envelopes = made.envelopes
    with Peers() as peers:
        runners: dict[str, Runner] = {
            "remembered_chain": appraiser(envelopes, lambda: policy, made.now),
            "new_chain": appraiser(
                envelopes[:NEW_CHAINS],
                lambda: without_memory(policy, ChainCache(anchors)),
                made.now,
            ),
            "one_signature": signatures(),
        }
        runners["remembered_chain"]()
        items = [item(document, made.root) for document in made.documents]
        bent = [item(bend(made.documents[0]), made.root), item(made.documents[0], stranger(made))]
        runners |= peers.runners(PEER, verifier=PEER, items=items, bent=bent)
        rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "per_second": figures(rates, unit="per_second"),
        "to_one_signature": ratio(rates, "remembered_chain", "one_signature"),
        "to_peer": ratio(rates, "remembered_chain", PEER),
        "new_chain_to_peer": ratio(rates, "new_chain", PEER),
        "missing": peers.missing,
    }


def bend(document: bytes) -> bytes:
    """The same with another signature."""
    return document[:-1] + bytes([document[-1] ^ 1])


def made_documents(chance: random.Random, now: int) -> Documents:
    """Valid today, since the peer knows no other time."""
    times: dict[str, Any] = {"not_before": now - DAY_S, "not_after": now + DAY_S}
    bundle = [certificate("root", extensions=CA, **times)]
    bundle += [
        certificate(name, issuer=issuer, extensions=CA, **times)
        for issuer, name in pairwise(AUTHORITIES)
    ]
    enclave = Enclave()
    leaf = certificate("enclave's", issuer=AUTHORITIES[-1], key=enclave.key, **times)
    fixed = {"timestamp": now * 1_000, "certificate": leaf, "cabundle": bundle}
    documents = [
        sign1(cbor.encode(enclave.members(nonce=chance.randbytes(32), **fixed)), key=enclave.key)
        for _ in range(DOCUMENTS)
    ]
    return Documents(documents=documents, root=bundle[0], now=now)


def stranger(made: Documents) -> bytes:
    """A root that made none of it."""
    times: dict[str, Any] = {"not_before": made.now - DAY_S, "not_after": made.now + DAY_S}
    return certificate("stranger", extensions=CA, **times)


def without_memory(policy: AppraisalPolicy, chains: ChainCache) -> AppraisalPolicy:
    """The policy as it was before it saw any document."""
    rules = policy.aws_nitro
    return policy if rules is None else replace(policy, aws_nitro=replace(rules, chains=chains))


def appraiser(envelopes: list[bytes], policy: Callable[[], AppraisalPolicy], now: int) -> Runner:
    """Documents, one after the other."""
    return runner(
        envelopes, lambda data: appraise_saved(parse_envelope(data), policy=policy(), now=now)
    )


def signatures() -> Runner:
    """Signatures by one key on P-384."""
    key = curve_key("enclave")
    message = bytes(4_500)
    signature, public = key.sign(message, ECDSA(SHA384())), key.public_key()
    return runner(
        [message] * SIGNATURES, lambda each: public.verify(signature, each, ECDSA(SHA384()))
    )


def item(document: bytes, root: bytes) -> Item:
    """What the peer is given."""
    pem = load_der_x509_certificate(root).public_bytes(Encoding.PEM)
    return {"document": document, "root": pem, "pcr0": PCRS[0]}
