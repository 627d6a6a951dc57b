"""What a stored key must be before it is used: the key that this TPM certified for this purpose.

The state file has no secret that would protect it, and whoever can write it must not be able to
make a key sign for another purpose, or to publish a key of their own. So the AK certifies each new
key over a *label*, which says what the key is for, and every start checks what is stored:

1. The AK is one that can sign only what its TPM made, and signs now.
2. ``kid`` and JWK are those of the wrapped key, and ``alg`` is its algorithm.
3. That AK signed the key's certification.
4. It is a certification.
5. It is over the label of the stored purpose, owner, algorithm and right to sign digests.
6. It is for an object with the Name of the wrapped key.
7. The key was made in the TPM, cannot leave it, and signs.
"""

from __future__ import annotations

import hashlib

from keystead.appraisal.tpm2 import check_ak_attributes
from keystead.binding import tpm2 as binding
from keystead.codec import json, tpm2
from keystead.errors import ConfigurationError, Malformed, Reason, Rejected
from keystead.evidence.tpm2 import SignedAttest
from keystead.jose.algorithms import algorithm_for
from keystead.jose.jwk import parse_public
from keystead.model import KeyPurpose, SigningKey, WrappedKey
from keystead.ports import Attestation

LABEL_DOMAIN = b"keystead key label v1\0"


def label(purpose: KeyPurpose, *, owner: str, algorithm: str, allow_digest: bool) -> bytes:
    """The qualifying data of a key's certification: what the key is for, 32 bytes."""
    said = {
        "purpose": purpose.value,
        "owner": owner,
        "alg": algorithm,
        "allow_digest": allow_digest,
    }
    return hashlib.sha256(LABEL_DOMAIN + json.canonical(said)).digest()


def check_attestation_key(ak: WrappedKey, *, fresh: Attestation, nonce: bytes) -> None:
    """Step 1: ``fresh`` is what the hardware signed just now with ``ak`` over ``nonce``.

    ConfigurationError: the stored AK is not this TPM's.
    """
    try:
        area = tpm2.parse_tpm2b_public(ak.public)
        check_ak_attributes(area, step=1)
        certification = _parsed(fresh.attest, fresh.signature)
        binding.check_signature(area, certification, step=1)
        binding.check_nonce(certification, nonce, step=1)
    except (Malformed, Rejected) as error:
        raise _not_ours("the attestation key", error) from error


def check_stored_key(key: SigningKey, *, ak: WrappedKey) -> None:
    """Steps 2 to 7; ConfigurationError names the key."""
    try:
        area = tpm2.parse_tpm2b_public(key.wrapped.public)
        _check_names(key, area)
        certification = _parsed(key.evidence.certify_attest, key.evidence.certify_signature)
        binding.check_signature(tpm2.parse_tpm2b_public(ak.public), certification, step=3)
        info = binding.check_type(certification, step=4)
        binding.check_nonce(certification, _label_of(key), step=5)
        binding.check_name(info, area, step=6)
        binding.check_attributes(area, step=7)
    except (Malformed, Rejected) as error:
        raise _not_ours(f"key {key.kid}", error) from error


def _check_names(key: SigningKey, area: tpm2.PublicArea) -> None:
    """Step 2."""
    public = parse_public(tpm2.jwk_members(area))
    named = (key.kid, dict(key.jwk), key.algorithm)
    if named != (public.thumbprint, dict(public.members), algorithm_for(public)):
        raise Rejected(Reason.KEY_MISMATCH, "kid, JWK or algorithm of another key", step=2)


def _label_of(key: SigningKey) -> bytes:
    return label(
        key.purpose, owner=key.owner, algorithm=key.algorithm, allow_digest=key.allow_digest
    )


def _parsed(attest: bytes, signature: bytes) -> SignedAttest:
    return SignedAttest(attest=tpm2.parse_attest(attest), signature=tpm2.parse_signature(signature))


def _not_ours(what: str, error: Malformed | Rejected) -> ConfigurationError:
    return ConfigurationError(
        Reason.CONFIGURATION_INVALID,
        f"{what} in the state file is not what this TPM certified ({error}): "
        "somebody changed the file",
    )
