"""The verifier's side of ``verify-issuer``: an issuer proves that its keys are in its TPM.

    published = parse_published_key(entry)           # of /.well-known/keystead/keys
    challenge = challenge_issuer(published, issuer=…, anchors=…, now=now, entropy=entropy)
    # send challenge.nonce, .credential_blob and .encrypted_secret to the issuer's prove_uri
    proved = conclude(challenge, answer=parse_answer(body))

An EK cannot sign, and credential activation convinces only its challenger, so this is interactive:

 1. The published entry has an EK with its certificate, an AK and the key's public area.
 2. The EK certificate chains, at ``now``, to one of the verifier's own roots.
 3. It keeps the TCG EK profile.
 4. The EK's public area has the certificate's key and the attributes of an EK.
 5. The AK can sign only what its TPM made, cannot leave it, and is not weak.
 6. The TPM returned the secret of our credential: AK and EK are in one TPM.
 7. That AK signed the certification that was sent back.
 8. It is a certification.
 9. It was made for our nonce, this issuer and this ``kid``.
10. It is for an object with the Name of the key's public area.
11. The key was made in the TPM, cannot leave it, and signs.
12. Its public key is the published JWK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.appraisal import credential, endorsement
from keystead.appraisal.anchors import Anchor, AnchorSet
from keystead.appraisal.chain import verify_chain
from keystead.appraisal.credential import PendingActivation
from keystead.appraisal.tpm2 import check_ak_attributes
from keystead.appraisal.tpm_keys import Unfit
from keystead.binding import tpm2 as binding
from keystead.codec import json
from keystead.codec.certificate import Certificate
from keystead.codec.json import JSON
from keystead.codec.tpm2 import PublicArea
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence import tpm2 as evidence
from keystead.evidence.tpm2 import SignedAttest
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import AnchorClass, EkId, EvidenceKind, Protection
from keystead.ports import Entropy

NONCE_BYTES: Final = 32

_LABEL: Final = b"keystead issuer proof v1"
_MAX_NAME_CHARS: Final = 256
_MAX_SECRET_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """An entry of the issuer's keys document, parsed and not believed."""

    kid: str
    purpose: str
    key: PublicJwk
    ek_public: PublicArea
    ek_certificate: Certificate
    ek_certificate_chain: tuple[Certificate, ...]
    ak_public: PublicArea
    key_public: PublicArea


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerChallenge:
    """Steps 1 to 5 passed; ``nonce``, ``credential_blob`` and ``encrypted_secret`` go out."""

    published: PublishedKey
    issuer: str
    anchor: Anchor
    nonce: bytes
    activation: PendingActivation
    asked_at: int

    @property
    def credential_blob(self) -> bytes:
        """A TPM2B_ID_OBJECT."""
        return self.activation.credential_blob

    @property
    def encrypted_secret(self) -> bytes:
        """A TPM2B_ENCRYPTED_SECRET."""
        return self.activation.encrypted_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerAnswer:
    """What came back: the secret, and a certification made for our nonce."""

    secret: bytes = field(repr=False)
    certify: SignedAttest


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedIssuerKey:
    """An issuer's key that is in the TPM of ``ek``, as of ``verified_at``."""

    kid: str
    purpose: str
    key: PublicJwk
    ek: EkId
    anchor: str
    anchor_class: AnchorClass
    protection: Protection
    verified_at: int

    @property
    def hardware(self) -> bool:
        """Whether the root vouches for real hardware."""
        return self.anchor_class.hardware


def parse_published_key(entry: Mapping[str, JSON]) -> PublishedKey:
    """Step 1, for one member of the document's ``keys``. Other members are ignored.

    Raises Malformed, or EvidenceRejected (evidence_member_missing).
    """
    members = json.get_object(entry, "evidence")
    if json.get_str(members, "kind") != EvidenceKind.TPM2.value:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, "not in a TPM", step=1)
    return PublishedKey(
        kid=json.get_str(entry, "kid", max_chars=_MAX_NAME_CHARS),
        purpose=json.get_str(entry, "purpose", max_chars=_MAX_NAME_CHARS),
        key=parse_public(json.get_object(entry, "jwk")),
        ek_public=_public(members, "ek_public"),
        ek_certificate=_ek_certificate(members),
        ek_certificate_chain=evidence.read_chain(members, "ek_certificate_chain"),
        ak_public=_public(members, "ak_public"),
        key_public=_public(members, "key_public"),
    )


def challenge_issuer(
    published: PublishedKey, *, issuer: str, anchors: AnchorSet, now: int, entropy: Entropy
) -> IssuerChallenge:
    """Steps 2 to 5, and a fresh credential and nonce for ``issuer``'s TPM. EvidenceRejected."""
    anchor = verify_chain(
        published.ek_certificate.raw,
        intermediates=[each.raw for each in published.ek_certificate_chain],
        anchors=anchors,
        now=now,
        step=2,
    )
    endorsement.check_profile(published.ek_certificate, step=3)
    endorsement.check_public(published.ek_public, published.ek_certificate, step=4)
    check_ak_attributes(published.ak_public, step=5)
    return IssuerChallenge(
        published=published,
        issuer=issuer,
        anchor=anchor,
        nonce=entropy.token(NONCE_BYTES),
        activation=_activation(published, entropy),
        asked_at=now,
    )


def parse_answer(body: Mapping[str, JSON]) -> IssuerAnswer:
    """The issuer's answer: ``secret``, and ``certify`` with ``attest`` and ``signature``.

    Raises Malformed, or EvidenceRejected (evidence_member_missing).
    """
    certify = evidence.read_attestation(body, "certify")
    if certify is None:
        raise EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, "certify", step=6)
    secret = json.get_bytes(body, "secret", max_bytes=_MAX_SECRET_BYTES)
    return IssuerAnswer(secret=secret, certify=certify)


def conclude(challenge: IssuerChallenge, *, answer: IssuerAnswer) -> ProvedIssuerKey:
    """Steps 6 to 12. Raises EvidenceRejected (activation_failed) or BindingRejected."""
    published = challenge.published
    if not challenge.activation.accepts(answer.secret):
        raise EvidenceRejected(Reason.ACTIVATION_FAILED, step=6)
    binding.check_signature(published.ak_public, answer.certify, step=7)
    info = binding.check_type(answer.certify, step=8)
    expected = qualifying_data(challenge.issuer, kid=published.kid, nonce=challenge.nonce)
    binding.check_nonce(answer.certify, expected, step=9)
    binding.check_name(info, published.key_public, step=10)
    binding.check_attributes(published.key_public, step=11)
    binding.check_same_key(published.key_public, published.key, step=12)
    return ProvedIssuerKey(
        kid=published.kid,
        purpose=published.purpose,
        key=published.key,
        ek=endorsement.ek_id(published.ek_public),
        anchor=challenge.anchor.name,
        anchor_class=challenge.anchor.anchor_class,
        protection=Protection.NON_EXPORTABLE,
        verified_at=challenge.asked_at,
    )


def qualifying_data(issuer: str, *, kid: str, nonce: bytes) -> bytes:
    """What the fresh certification is over: of no use to another verifier, issuer or key."""
    parts = (_LABEL, issuer.encode(), kid.encode(), nonce)
    return hashlib.sha256(b"\0".join(parts)).digest()


def _activation(published: PublishedKey, entropy: Entropy) -> PendingActivation:
    try:
        return credential.begin(
            ek=published.ek_public, ak_name=published.ak_public.name, entropy=entropy
        )
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=4) from error


def _ek_certificate(members: Mapping[str, JSON]) -> Certificate:
    """The document says ``null`` where the TPM holds no certificate."""
    named = members if members.get("ek_certificate") is not None else {}
    found = evidence.read_certificate(named, "ek_certificate")
    if found is None:
        raise EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, "ek_certificate", step=1)
    return found


def _public(members: Mapping[str, JSON], name: str) -> PublicArea:
    area = evidence.read_public(members, name)
    if area is None:
        raise EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, name, step=1)
    return area
