"""TPM2_MakeCredential against TPM2_ActivateCredential written from the specification's other side;
a real TPM opens the same credentials in tests/integration/test_tpm2_attestation.py."""

from dataclasses import replace

import pytest

from keystead.appraisal.credential import SECRET_BYTES, begin, make_credential
from keystead.appraisal.tpm_keys import Unfit
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import EccKey, SymmetricDefinition
from keystead.codec.tpm2.constants import SymmetricAlgorithm, SymmetricMode
from keystead.errors import Reason
from tests.evidence_builder import EK_TEMPLATES, Dice, Host


@pytest.mark.parametrize("kind", EK_TEMPLATES)
@pytest.mark.parametrize("secret", [b"s", b"s" * 32])
def test_the_ek_opens_its_credential(kind: str, secret: bytes) -> None:
    host = Host.make(kind)
    made = make_credential(host.ek, ak_name=host.ak.name, secret=secret, entropy=Dice())
    assert host.activate(made.blob, made.encrypted_secret) == secret


@pytest.mark.parametrize("kind", EK_TEMPLATES)
def test_another_ek_does_not(kind: str) -> None:
    host, other = Host.make(kind), Host.make(kind, name="other")
    made = make_credential(host.ek, ak_name=other.ak.name, secret=b"s", entropy=Dice())
    with pytest.raises(ValueError, match=r"integrity|Decryption"):
        other.activate(made.blob, made.encrypted_secret)


@pytest.mark.parametrize("kind", EK_TEMPLATES)
def test_every_bent_byte_is_noticed(kind: str) -> None:
    host = Host.make(kind)
    made = make_credential(host.ek, ak_name=host.ak.name, secret=b"s" * 32, entropy=Dice())
    for place in range(4, len(made.blob), 5):
        bent = bytearray(made.blob)
        bent[place] ^= 1
        with pytest.raises(ValueError, match="integrity"):
            host.activate(bytes(bent), made.encrypted_secret)


def test_a_pending_activation_accepts_its_secret_only() -> None:
    host = Host.make()
    pending = begin(ek=host.ek, ak_name=host.ak.name, entropy=Dice())
    secret = host.activate(pending.credential_blob, pending.encrypted_secret)
    assert len(secret) == SECRET_BYTES
    assert pending.accepts(secret)
    assert not pending.accepts(secret[:-1] + bytes([secret[-1] ^ 1]))
    assert not pending.accepts(b"")
    assert repr(secret) not in repr(pending)


def test_no_two_secrets_are_alike() -> None:
    host, dice = Host.make(), Dice()
    pending = [begin(ek=host.ek, ak_name=host.ak.name, entropy=dice) for _ in range(2)]
    one, two = (host.activate(each.credential_blob, each.encrypted_secret) for each in pending)
    assert one != two


def test_rejects_an_ek_that_cannot_take_credentials() -> None:
    host = Host.make()
    for ek in (
        replace(host.ek, symmetric=None),
        replace(host.ek, name_algorithm=HashAlgorithm.SHA1),
    ):
        with pytest.raises(Unfit) as refused:
            make_credential(ek, ak_name=host.ak.name, secret=b"s", entropy=Dice())
        assert refused.value.reason is Reason.WEAK_KEY


def test_rejects_an_ek_off_its_curve() -> None:
    host = Host.make()
    assert isinstance(host.ek.key, EccKey)
    off = replace(host.ek, key=replace(host.ek.key, y=host.ek.key.y ^ 1))
    with pytest.raises(Unfit):
        make_credential(off, ak_name=host.ak.name, secret=b"s", entropy=Dice())


def test_uses_the_cipher_that_the_ek_names() -> None:
    host = Host.make()
    longer = SymmetricDefinition(
        algorithm=SymmetricAlgorithm.AES, key_bits=256, mode=SymmetricMode.CFB
    )
    ek = replace(host.ek, symmetric=longer)
    made = make_credential(ek, ak_name=host.ak.name, secret=b"secret", entropy=Dice())
    assert replace(host, ek=ek).activate(made.blob, made.encrypted_secret) == b"secret"
    with pytest.raises(ValueError, match="size"):
        host.activate(made.blob, made.encrypted_secret)
