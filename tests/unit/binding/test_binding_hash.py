import hashlib

from keystead.binding.binding_hash import binding_hash, padded
from keystead.model import EvidenceKind
from tests.evidence_builder import NONCE, Host

KEY = Host.make().jwk
OTHER = Host.make(name="other").jwk
ISSUER = "https://issuer.example"


def test_is_the_hash_that_the_documents_spell() -> None:
    made = binding_hash(EvidenceKind.AWS_NITRO, issuer=ISSUER, nonce=NONCE, key=KEY)
    said = b"keystead key binding v1\x00aws-nitro\x00https://issuer.example\x00" + NONCE + KEY.spki
    assert made == hashlib.sha256(said).digest()


def test_changes_with_everything_that_it_is_over() -> None:
    made = {
        binding_hash(kind, issuer=issuer, nonce=nonce, key=key)
        for kind in (EvidenceKind.TDX, EvidenceKind.SEV_SNP)
        for issuer in (ISSUER, "https://other.example")
        for nonce in (NONCE, bytes(32))
        for key in (KEY, OTHER)
    }
    assert len(made) == 16


def test_stands_at_the_left_of_a_longer_field() -> None:
    assert padded(b"\x01" * 32) == b"\x01" * 32 + bytes(32)
