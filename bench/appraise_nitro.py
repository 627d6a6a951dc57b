"""Attestation documents a second on one core, from the envelope's bytes to the result."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA384

from keystead.appraisal.anchors import AnchorSet, from_der
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import cbor
from keystead.evidence.aws_nitro import encode
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import AnchorClass, EvidenceKind
from tests.device_chains import CA, NOW, certificate, curve_key
from tests.nitro_builder import Enclave, sign1

question = "How many Nitro documents a second does one core appraise, chain checks included?"
TARGET_PER_SECOND = 400

# As AWS does it: a root, a region's CA, a zone's and a host's, and the enclave's certificate.
AUTHORITIES = ("root", "region", "zone", "host")
DOCUMENTS = 64
NEW_CHAINS = 16
SIGNATURES = 100

Runner = Callable[[], float]


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in documents a second.

    ``remembered_chain``: documents of one enclave, whose certificates were seen before.
    ``new_chain``: each document's whole chain is verified, four signatures on P-384.
    ``one_signature``: OpenSSL verifying one such signature and nothing else, the most that any
    verifier of single documents could do.
    """
    envelopes, anchors = made_envelopes(random.Random(seed))
    policy = Enclave().policy(chains=ChainCache(anchors))
    runners: dict[str, Runner] = {
        "remembered_chain": lambda: appraise_all(envelopes, lambda: policy),
        "new_chain": lambda: appraise_all(
            envelopes[:NEW_CHAINS], lambda: without_memory(policy, ChainCache(anchors))
        ),
        "one_signature": verify_signatures,
    }
    appraise_all(envelopes[:1], lambda: policy)
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            rates[name].append(runner())
    medians = {name: statistics.median(seen) for name, seen in rates.items()}
    return {
        "question": question,
        "target": TARGET_PER_SECOND,
        "per_second": {name: round(rate) for name, rate in medians.items()},
        "to_one_signature": round(medians["remembered_chain"] / medians["one_signature"], 2),
    }


def made_envelopes(chance: random.Random) -> tuple[list[bytes], AnchorSet]:
    """Envelopes with one enclave's documents, each for another challenge; and the root."""
    bundle = [certificate("root", extensions=CA)]
    bundle += [
        certificate(name, issuer=issuer, extensions=CA) for issuer, name in pairwise(AUTHORITIES)
    ]
    enclave = Enclave()
    leaf = certificate("enclave's", issuer=AUTHORITIES[-1], key=enclave.key)
    documents = [
        sign1(
            cbor.encode(
                enclave.members(nonce=chance.randbytes(32), certificate=leaf, cabundle=bundle)
            ),
            key=enclave.key,
        )
        for _ in range(DOCUMENTS)
    ]
    envelopes = [
        encode_envelope(kind=EvidenceKind.AWS_NITRO, evidence=encode(document=document))
        for document in documents
    ]
    return envelopes, from_der(bundle[:1], anchor_class=AnchorClass.EMULATED)


def without_memory(policy: AppraisalPolicy, chains: ChainCache) -> AppraisalPolicy:
    """The policy as it was before it saw any document."""
    rules = policy.aws_nitro
    return policy if rules is None else replace(policy, aws_nitro=replace(rules, chains=chains))


def appraise_all(envelopes: list[bytes], policy: Callable[[], AppraisalPolicy]) -> float:
    """Documents a second, one after the other."""
    began = time.perf_counter()
    for envelope in envelopes:
        appraise_saved(parse_envelope(envelope), policy=policy(), now=NOW)
    return len(envelopes) / (time.perf_counter() - began)


def verify_signatures() -> float:
    """Signatures a second by one key on P-384."""
    key = curve_key("enclave")
    message = bytes(4_500)
    signature, public = key.sign(message, ECDSA(SHA384())), key.public_key()
    began = time.perf_counter()
    for _ in range(SIGNATURES):
        public.verify(signature, message, ECDSA(SHA384()))
    return SIGNATURES / (time.perf_counter() - began)
