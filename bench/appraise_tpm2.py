"""TPM quotes a second on one core: by an AK that is known, and with all that makes an AK known."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.figures import figures, ratio
from bench.interleaved import Runner, measured, runner
from bench.peer import Item, Peers
from keystead.appraisal import tpm2
from keystead.appraisal.credential import SECRET_BYTES
from keystead.appraisal.policy import AppraisalPolicy
from keystead.binding.tpm2 import certify_key
from keystead.codec import json
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrValues
from keystead.evidence import tpm2 as evidence
from keystead.evidence.envelope import parse_envelope
from keystead.ports import Attestation
from tests.evidence_builder import NOW, PCRS, SHA256, Dice, Host, appraisal_policy, document

question = "How many TPM quotes a second does one core appraise, beside keylime?"

QUOTES = 128
ENVELOPES = 32
NONCE_BYTES = 32
# An AK signs by one of these two nearly everywhere.
KINDS = {"ES256": "p256", "RS256": "rsa2048"}

# What tpm2-tools write: 16 banks, and digests in groups of eight, each in room for a SHA-512.
_BANKS = 16
_GROUP = 8
_DIGEST_BYTES = 64


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in quotes a second.

    ``known_ak_*``: an AK that step 5 and step 15 passed before signs another quote. From the JSON
    members ``quote`` and ``pcrs`` to the end of step 11: parsed, signature, type, nonce, selection,
    digest, reference values. ``keylime_*`` starts at what its agents send, and checks signature,
    nonce, digest and values; PCRs that the quote has beyond those of the policy it lets pass.
    ``envelope``: the whole envelope, steps 1 to 14 with the EK's chain, for a P-256 EK and AK.
    ``bound``: the same, the credential that is sent, step 15, and the key's certification, which
    are steps 16 to 23.
    """
    chance = random.Random(seed)
    with Peers() as peers:
        runners: dict[str, Runner] = {}
        for algorithm, kind in KINDS.items():
            host = Host.make("p256", kind)
            quotes = made_quotes(host, chance)
            runners[f"known_ak_{algorithm}"] = known_ak(host, quotes)
            name, items = f"keylime_{algorithm}", [item(host, *each) for each in quotes]
            bent = [
                {**items[0], "nonce": items[1]["nonce"]},
                {**items[0], "policy": json.encode({0: ["00" * 32]})},
                item(host, quotes[0][0], replace(quotes[0][1], signature=quotes[1][1].signature)),
            ]
            runners |= peers.runners(name, verifier="keylime", items=items, bent=bent)
        runners |= whole(Host.make(), chance)
        rates = measured(runners, rounds=rounds)
    return {
        "question": question,
        "per_second": figures(rates, unit="per_second"),
        "to_keylime": {
            algorithm: ratio(rates, f"known_ak_{algorithm}", f"keylime_{algorithm}")
            for algorithm in KINDS
        },
        "missing": peers.missing,
    }


def made_quotes(host: Host, chance: random.Random) -> list[tuple[bytes, Attestation]]:
    """Challenges, and the quotes that answer them."""
    nonces = [chance.randbytes(NONCE_BYTES) for _ in range(QUOTES)]
    return [(nonce, host.quote(nonce=nonce)) for nonce in nonces]


def known_ak(host: Host, quotes: Sequence[tuple[bytes, Attestation]]) -> Runner:
    """Ours, from the two members that every new quote brings."""
    policy = appraisal_policy()
    members = [
        (
            nonce,
            json.encode(
                {"quote": evidence.encode_attestation(quote), "pcrs": evidence.encode_pcrs(PCRS)}
            ),
        )
        for nonce, quote in quotes
    ]
    return runner(members, lambda each: check_quote(host, policy, *each))


def check_quote(host: Host, policy: AppraisalPolicy, nonce: bytes, members: bytes) -> None:
    """Steps 6 to 11, as ``appraisal.tpm2.appraise`` makes them."""
    parsed = json.parse_object(members)
    quote, values = evidence.read_attestation(parsed, "quote"), evidence.read_pcrs(parsed)
    assert quote is not None and values is not None and policy.tpm2 is not None
    tpm2.check_quote_signature(host.ak, quote)
    info = tpm2.check_quote_type(quote)
    tpm2.check_nonce(quote, nonce)
    tpm2.check_selection(info, values, policy.tpm2.required_pcrs)
    tpm2.check_pcr_digest(host.ak, info, values)
    tpm2.check_pcr_values(values, policy.tpm2.pcr_values)


def whole(host: Host, chance: random.Random) -> dict[str, Runner]:
    """Ours, from the envelope's bytes."""
    nonces = [chance.randbytes(NONCE_BYTES) for _ in range(ENVELOPES)]
    envelopes = [(nonce, document(host, nonce=nonce)) for nonce in nonces]
    policy = appraisal_policy()
    return {
        "envelope": runner(envelopes, lambda each: appraise(policy, *each)),
        "bound": runner(envelopes, lambda each: bind(policy, *each)),
    }


def appraise(policy: AppraisalPolicy, nonce: bytes, data: bytes) -> object:
    """Steps 1 to 14."""
    return tpm2.appraise(evidence.parse(parse_envelope(data)), policy=policy, nonce=nonce, now=NOW)


def bind(policy: AppraisalPolicy, nonce: bytes, data: bytes) -> object:
    """Steps 1 to 23; the TPM that opens the credential is not here, so its answer is known."""
    arrived = evidence.parse(parse_envelope(data))
    appraisal = tpm2.appraise(arrived, policy=policy, nonce=nonce, now=NOW)
    secret = Dice(nonce).token(SECRET_BYTES)
    activation = tpm2.begin_activation(appraisal, entropy=Dice(nonce))
    result = tpm2.conclude(appraisal, activation=activation, returned_secret=secret)
    assert arrived.key is not None
    key = certify_key(arrived, appraisal, key=arrived.key, policy=policy, nonce=nonce)
    return result, key


def item(host: Host, nonce: bytes, quote: Attestation) -> Item:
    """What the peer is given."""
    parts = (b64encode(part) for part in (quote.attest, quote.signature, pcr_file(PCRS)))
    return {
        "ak": b64encode(host.ak.sized),
        "nonce": b64encode(nonce),
        "quote": b"r" + b":".join(parts),
        "policy": json.encode({index: [value.hex()] for index, value in PCRS[SHA256].items()}),
    }


def pcr_file(values: PcrValues) -> bytes:
    """The values of the SHA-256 bank as tpm2-tools write them: C structures, little-endian."""
    little = partial(int.to_bytes, byteorder="little")
    chosen = sorted(values[SHA256].items())
    mask = sum(1 << index for index, _ in chosen)
    bank = little(HashAlgorithm.SHA256, 2) + b"\x03" + little(mask, 3) + bytes(2)
    digests = [little(len(value), 2) + value.ljust(_DIGEST_BYTES, b"\0") for _, value in chosen]
    room = [*digests, *[bytes(2 + _DIGEST_BYTES)] * (_GROUP - len(digests))]
    group = little(len(digests), 4) + b"".join(room)
    return little(1, 4) + bank + bytes(8 * (_BANKS - 1)) + little(1, 4) + group
