"""Evidence of kind ``aws-nitro``: an attestation document from the enclave's NSM."""

from __future__ import annotations

from typing import Final

from keystead.codec.json import JSON
from keystead.codec.nitro import parse_document
from keystead.evidence import aws_nitro
from keystead.hardware.nsm import NsmDevice
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind


class AwsNitroCollector:
    """Runs in the enclave, whose code holds the key: the document names it as ``public_key``."""

    kind: Final = EvidenceKind.AWS_NITRO

    def __init__(self, *, nsm: NsmDevice | None = None) -> None:
        """``nsm`` is ``/dev/nsm`` unless given."""
        self._nsm = NsmDevice() if nsm is None else nsm

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """A document over ``key`` and ``nonce``; ``issuer`` is not part of this form.

        Raises as :class:`keystead.agent.collectors.Collector` says.
        """
        document = self._nsm.attestation(nonce=nonce, public_key=key.spki)
        parse_document(document)
        return aws_nitro.encode(document=document)
