"""A key that evidence vouches for: what the last step of a kind's ``bind_key`` makes."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Final

from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Jkt, Protection

_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedKey:
    """A key that passed every binding step of its kind.

    ``attester`` and ``nonce`` say which evidence (an AK's Name, or a document's SHA-256) and which
    challenge; ``policy_pcr`` whether a TPM's key stops signing when other software boots.
    """

    key: PublicJwk
    kind: EvidenceKind
    attester: bytes
    nonce: bytes
    protection: Protection
    policy_pcr: bool = False
    seal: InitVar[object] = field(repr=False)

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only a binding's steps make a CertifiedKey")

    @property
    def jkt(self) -> Jkt:
        """The key's RFC 7638 thumbprint."""
        return Jkt(self.key.thumbprint)


def affirmed_key(
    key: PublicJwk,
    *,
    kind: EvidenceKind,
    attester: bytes,
    nonce: bytes,
    protection: Protection,
    policy_pcr: bool = False,
) -> CertifiedKey:
    """The key whose last binding step has just passed: for ``binding/<kind>.py`` only."""
    return CertifiedKey(
        key=key,
        kind=kind,
        attester=attester,
        nonce=nonce,
        protection=protection,
        policy_pcr=policy_pcr,
        seal=_SEAL,
    )
