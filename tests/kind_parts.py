"""A workload of each kind of evidence that stands by itself, for whole attestations.

    workload = WORKLOADS["sev-snp"](folder)
    envelope = workload.envelope(nonce)          # binds workload.agent's key for ISSUER

Keys and chains are the builders' own, so everything here is emulated but says what the policy says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystead.appraisal.policy import AppraisalPolicy
from keystead.binding.app_attest import client_data_for
from keystead.binding.maa import client_nonce_for
from keystead.binding.oidc import audience_for
from keystead.evidence import app_attest, aws_nitro, azure_cvm, maa, oidc, sev_snp
from keystead.evidence.envelope import encode_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, SpiffeId
from tests import device_chains, tdx_builder, workload_tokens
from tests.app_attest_builder import APP_ID, Device
from tests.azure_builder import PCRS, Machine
from tests.evidence_builder import Host
from tests.exchange_parts import AGENT, ISSUER
from tests.nitro_builder import PCRS as NITRO_PCRS
from tests.nitro_builder import Enclave
from tests.service_parts import Agent
from tests.snp_builder import MEASUREMENT, Guest, named_key
from tests.tdx_builder import Td

Collect = Callable[[PublicJwk, bytes], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One workload: what its platform says of it, and what an entry for it selects.

    ``collect`` makes the ``evidence`` member for a key and a challenge, ``now`` is a time at which
    its chains are good.
    """

    kind: EvidenceKind
    policy: AppraisalPolicy
    now: int
    collect: Collect
    selectors: Mapping[str, tuple[str, ...]]
    agent: Agent = field(default_factory=lambda: Agent(id=SpiffeId(AGENT), host=Host.make()))

    def envelope(self, nonce: bytes, *, key: PublicJwk | None = None) -> bytes:
        """Evidence for ``nonce`` that names the agent's key, or ``key``."""
        named = key or self.agent.host.jwk
        return encode_envelope(
            kind=self.kind, evidence=self.collect(named, nonce), nonce=nonce, key=named
        )


def nitro(_: Path) -> Workload:
    enclave = Enclave()

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        return aws_nitro.encode(document=enclave.document(nonce=nonce, public_key=key.spki))

    return Workload(
        kind=EvidenceKind.AWS_NITRO,
        policy=enclave.policy(),
        now=device_chains.NOW,
        collect=collect,
        selectors={"pcrs.sha384.0": (NITRO_PCRS[0].hex(),)},
    )


def snp(_: Path) -> Workload:
    guest = Guest()

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        report = guest.report(report_data=named_key(key, issuer=ISSUER, nonce=nonce))
        return sev_snp.encode(report=report, certificates=guest.certificates())

    pinned = {"measurements": frozenset({MEASUREMENT}), "whole_image": True}
    return Workload(
        kind=EvidenceKind.SEV_SNP,
        policy=guest.policy(**pinned),
        now=device_chains.NOW,
        collect=collect,
        selectors={"measurements.measurement": (MEASUREMENT.hex(),)},
    )


def td(_: Path) -> Workload:
    domain = Td()

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        return domain.members(report_data=tdx_builder.named_key(key, issuer=ISSUER, nonce=nonce))

    return Workload(
        kind=EvidenceKind.TDX,
        policy=tdx_builder.policy(),
        now=device_chains.NOW,
        collect=collect,
        selectors={"measurements.mrtd": (tdx_builder.MRTD.hex(),)},
    )


def azure(_: Path) -> Workload:
    machine = Machine()

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        return azure_cvm.encode(
            hcl_report=machine.hcl(),
            quote=machine.quote(nonce=nonce),
            pcrs=PCRS,
            certificates=machine.guest.certificates(),
            certify=machine.certify(nonce=nonce),
            key_public=machine.host.key_area.sized,
        )

    return Workload(
        kind=EvidenceKind.AZURE_CVM,
        policy=machine.policy(),
        now=device_chains.NOW,
        collect=collect,
        selectors={"vm_configuration.vmUniqueId": (VM_ID,)},
        agent=Agent(id=SpiffeId(AGENT), host=machine.host),
    )


def app(_: Path) -> Workload:
    device = Device()

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        data = client_data_for(key, issuer=ISSUER, nonce=nonce)
        return app_attest.encode(
            attestation_object=device.attestation(client_data=data),
            key_id=device.key_id,
            client_data=data,
        )

    return Workload(
        kind=EvidenceKind.APP_ATTEST,
        policy=device.policy(),
        now=device_chains.NOW,
        collect=collect,
        selectors={"app_id": (APP_ID,)},
    )


def job(folder: Path) -> Workload:
    workload_tokens.write_keys(folder)

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        audience = audience_for(key, issuer=ISSUER, nonce=nonce)
        claims = workload_tokens.platform_claims(aud=audience)
        return oidc.encode(token=workload_tokens.sign(claims))

    return Workload(
        kind=EvidenceKind.OIDC,
        policy=workload_tokens.oidc_policy(folder=folder, keys='jwks_file = "jwks.json"'),
        now=workload_tokens.NOW,
        collect=collect,
        selectors={
            "anchor": (workload_tokens.GITHUB,),
            "claims.repository_id": (
                workload_tokens.PLATFORM_CLAIMS["github-actions"]["repository_id"],
            ),
        },
    )


def azure_token(folder: Path) -> Workload:
    workload_tokens.write_keys(folder)

    def collect(key: PublicJwk, nonce: bytes) -> Mapping[str, Any]:
        sent = client_nonce_for(key, issuer=ISSUER, nonce=nonce)
        claims = workload_tokens.maa_claims(
            **{"x-ms-runtime": workload_tokens.client_payload(sent)}
        )
        return maa.encode(token=workload_tokens.maa_token(claims))

    return Workload(
        kind=EvidenceKind.MAA,
        policy=workload_tokens.maa_policy(folder=folder, keys='jwks_file = "jwks.json"'),
        now=workload_tokens.NOW,
        collect=collect,
        selectors={"vm_id": ("00000000-0000-4000-8000-00000000FACE",)},
    )


VM_ID = "X"
WORKLOADS: Mapping[str, Callable[[Path], Workload]] = {
    "aws-nitro": nitro,
    "sev-snp": snp,
    "tdx": td,
    "azure-cvm": azure,
    "app-attest": app,
    "maa": azure_token,
    "oidc": job,
}
