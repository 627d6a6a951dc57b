"""Credential activation, the challenger's half: TPM2_MakeCredential in software.

An EK cannot sign. What proves that an AK is in the same TPM as an EK is that the TPM decrypts a
secret that was encrypted to the EK for an object with exactly the AK's Name (TPM 2.0 Part 1 §24,
Annex B.10.4 and C.6.1; Part 3 §12.5). Keys and seeds are OpenSSL's or the caller's entropy.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from keystead.appraisal.tpm_keys import CURVES, HASHES, Unfit, public_key
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    EccKey,
    PublicArea,
    encode_ecc_encrypted_secret,
    encode_id_object,
    encode_rsa_encrypted_secret,
    encode_tpm2b,
)
from keystead.codec.tpm2.primitives import u32
from keystead.errors import Reason
from keystead.ports import Entropy

SECRET_BYTES: Final = 32
"""No longer than the smallest nameAlg digest, which is all that a TPM returns (Part 1 §24.4)."""

_AES_BLOCK_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What TPM2_ActivateCredential takes: a TPM2B_ID_OBJECT and a TPM2B_ENCRYPTED_SECRET."""

    blob: bytes
    encrypted_secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingActivation:
    """A credential that was sent, and the secret that must come back."""

    credential: Credential
    ek_name: bytes
    ak_name: bytes
    _secret: bytes = field(repr=False)

    @property
    def credential_blob(self) -> bytes:
        """The TPM2B_ID_OBJECT."""
        return self.credential.blob

    @property
    def encrypted_secret(self) -> bytes:
        """The TPM2B_ENCRYPTED_SECRET."""
        return self.credential.encrypted_secret

    def accepts(self, returned_secret: bytes) -> bool:
        """Whether ``returned_secret`` is the secret; in constant time."""
        return hmac.compare_digest(self._secret, returned_secret)


def begin(*, ek: PublicArea, ak_name: bytes, entropy: Entropy) -> PendingActivation:
    """A fresh secret for whoever holds ``ek`` and an object of this Name; Unfit."""
    secret = entropy.token(SECRET_BYTES)
    return PendingActivation(
        credential=make_credential(ek, ak_name=ak_name, secret=secret, entropy=entropy),
        ek_name=ek.name,
        ak_name=ak_name,
        _secret=secret,
    )


def make_credential(
    ek: PublicArea, *, ak_name: bytes, secret: bytes, entropy: Entropy
) -> Credential:
    """``secret`` encrypted to ``ek`` for the object called ``ak_name``; Unfit (weak_key)."""
    symmetric = ek.symmetric
    if symmetric is None or ek.name_algorithm not in HASHES:
        raise Unfit(Reason.WEAK_KEY, "an EK without AES or with a weak nameAlg")
    seed, encrypted_secret = _share_seed(ek, entropy)
    key = _kdfa(ek.name_algorithm, seed, b"STORAGE", ak_name, bits=symmetric.key_bits)
    encryptor = Cipher(AES(key), CFB(bytes(_AES_BLOCK_BYTES))).encryptor()
    identity = encryptor.update(encode_tpm2b(secret)) + encryptor.finalize()
    bits = ek.name_algorithm.digest_size * 8
    mac_key = _kdfa(ek.name_algorithm, seed, b"INTEGRITY", b"", bits=bits)
    mac = hmac.digest(mac_key, identity + ak_name, ek.name_algorithm.digest_name)
    return Credential(
        blob=encode_id_object(integrity=mac, encrypted_identity=identity),
        encrypted_secret=encrypted_secret,
    )


def _share_seed(ek: PublicArea, entropy: Entropy) -> tuple[bytes, bytes]:
    """A seed that only ``ek`` can recover, and the TPM2B_ENCRYPTED_SECRET that carries it."""
    key = public_key(ek)
    if isinstance(key, RSAPublicKey):
        return _share_by_rsa(key, ek.name_algorithm, entropy)
    if not isinstance(ek.key, EccKey):
        raise Unfit(Reason.WEAK_KEY, "an EK of two types")
    return _share_by_ecdh(key, ek.key, ek.name_algorithm)


def _share_by_rsa(
    key: RSAPublicKey, algorithm: HashAlgorithm, entropy: Entropy
) -> tuple[bytes, bytes]:
    """OAEP with the label that Part 1 Annex B.10.4 names, its NUL included."""
    seed = entropy.token(algorithm.digest_size)
    chosen = HASHES[algorithm]
    oaep = padding.OAEP(padding.MGF1(chosen), chosen, b"IDENTITY\0")
    return seed, encode_rsa_encrypted_secret(key.encrypt(seed, oaep))


def _share_by_ecdh(
    key: ec.EllipticCurvePublicKey, point: EccKey, algorithm: HashAlgorithm
) -> tuple[bytes, bytes]:
    """One-pass ECDH with an ephemeral key (Part 1 Annex C.6.1)."""
    ephemeral = ec.generate_private_key(CURVES[point.curve])
    numbers = ephemeral.public_key().public_numbers()
    size = point.curve.coordinate_bytes
    parties = numbers.x.to_bytes(size, "big") + point.x.to_bytes(size, "big")
    shared = ephemeral.exchange(ec.ECDH(), key)
    seed = _kdfe(algorithm, shared, b"IDENTITY", parties)
    return seed, encode_ecc_encrypted_secret(curve=point.curve, x=numbers.x, y=numbers.y)


def _kdfa(
    algorithm: HashAlgorithm, key: bytes, label: bytes, context: bytes, *, bits: int
) -> bytes:
    """KDFa (Part 1 §11.4.10.2): SP 800-108 in counter mode; ``context`` is contextU ‖ contextV."""
    derived, counter = b"", 0
    while len(derived) * 8 < bits:
        counter += 1
        block = u32(counter) + label + b"\0" + context + u32(bits)
        derived += hmac.digest(key, block, algorithm.digest_name)
    return derived[: bits // 8]


def _kdfe(algorithm: HashAlgorithm, shared: bytes, label: bytes, parties: bytes) -> bytes:
    """KDFe (Part 1 §11.4.10.3) for one digest's length: SP 800-56A concatenation."""
    block = u32(1) + shared + label + b"\0" + parties
    return hashlib.new(algorithm.digest_name, block).digest()
