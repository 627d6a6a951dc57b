"""Evidence as the workload's host gives it, one file a kind; ``tpm2`` is ``agent.collector``.

    collector = SevSnpCollector()
    envelope = encode_envelope(
        kind=collector.kind,
        evidence=collector.collect(key=jwk, issuer="https://keystead.example", nonce=nonce),
        nonce=nonce,
        key=jwk,
    )

A collector is told its devices, files and endpoints when it is made; the real ones are the
defaults. It asks anew each time, keeps nothing and believes nothing: the service appraises what
comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from keystead.agent.collectors.aws_nitro import AwsNitroCollector
from keystead.agent.collectors.azure_cvm import AzureCvmCollector
from keystead.agent.collectors.oidc import OidcCollector
from keystead.agent.collectors.sev_snp import SevSnpCollector
from keystead.agent.collectors.tdx import TdxCollector
from keystead.codec.json import JSON
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind


class Collector(Protocol):
    """What collects evidence of one kind."""

    @property
    def kind(self) -> EvidenceKind:
        """The kind that the envelope has to name."""
        ...

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> Mapping[str, JSON]:
        """The ``evidence`` member of an envelope that binds ``key`` for this challenge.

        ``issuer`` is the service whose challenge ``nonce`` is.

        Raises:
            Unavailable: the device or endpoint does not answer.
            Refused: hardware_refused, it says no.
            Malformed: what it said does not parse.
        """
        ...


COLLECTORS: Final[Mapping[EvidenceKind, type[Collector]]] = {
    EvidenceKind.AWS_NITRO: AwsNitroCollector,
    EvidenceKind.SEV_SNP: SevSnpCollector,
    EvidenceKind.TDX: TdxCollector,
    EvidenceKind.AZURE_CVM: AzureCvmCollector,
    EvidenceKind.OIDC: OidcCollector,
}
"""Which class collects which kind. Their arguments differ: ``docs/agent.md`` has the table."""

__all__ = [
    "COLLECTORS",
    "AwsNitroCollector",
    "AzureCvmCollector",
    "Collector",
    "OidcCollector",
    "SevSnpCollector",
    "TdxCollector",
]
