"""One good piece of evidence of every kind, for one policy, with the key that it binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keystead.appraisal import app_attest, aws_nitro, azure_cvm, maa, oidc, sev_snp, tdx, tpm2
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tdx_policy import TdLogRules
from keystead.binding import app_attest as bind_app
from keystead.binding import aws_nitro as bind_nitro
from keystead.binding import azure_cvm as bind_azure
from keystead.binding import maa as bind_maa
from keystead.binding import oidc as bind_oidc
from keystead.binding import sev_snp as bind_snp
from keystead.binding import tdx as bind_tdx
from keystead.binding.certified_key import CertifiedKey
from keystead.binding.tpm2 import certify_key
from keystead.evidence import app_attest as app_evidence
from keystead.evidence import aws_nitro as nitro_evidence
from keystead.evidence import azure_cvm as azure_evidence
from keystead.evidence import kinds
from keystead.evidence import maa as maa_evidence
from keystead.evidence import oidc as oidc_evidence
from keystead.evidence import sev_snp as snp_evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind
from tests import app_attest_builder as apps
from tests import azure_builder as azure
from tests import device_chains as devices
from tests import evidence_builder as tpms
from tests import nitro_builder as nitro
from tests import snp_builder as snp
from tests import tdx_builder as tds
from tests import workload_tokens as tokens

Path = tuple[str | int, ...]
TOKENS = {EvidenceKind.OIDC, EvidenceKind.MAA}
ISSUER = tokens.SERVICE
ENCLAVE, DEVICE, GUEST = nitro.Enclave(), apps.Device(), snp.Guest()
MACHINE, HOST, TD = azure.Machine(), tpms.Host.make(), tds.Td()
TD_EVENT = b"a service of the TD"
TD_LOG, TD_RTMRS = tds.td_log([(1, b"firmware"), (3, TD_EVENT)])
KEYS = {tokens.GITHUB: tokens.issuer_keys(), tokens.INSTANCE: tokens.issuer_keys()}
POLICY = AppraisalPolicy(
    id="test",
    version=3,
    tpm2=tpms.rules(),
    aws_nitro=ENCLAVE.policy(pcrs={0: frozenset({nitro.PCRS[0]})}).aws_nitro,
    app_attest=DEVICE.policy().app_attest,
    sev_snp=GUEST.policy(measurements=frozenset({snp.MEASUREMENT})).sev_snp,
    tdx=tds.tdx_rules(values={"mrtd": frozenset({tds.MRTD})}, event_log=TdLogRules(required=True)),
    azure_cvm=MACHINE.policy().azure_cvm,
    oidc=tokens.oidc_policy().oidc,
    maa=tokens.maa_policy().maa,
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Evidence that answers ``nonce`` and binds ``key`` at ``now``."""

    kind: EvidenceKind
    members: Mapping[str, Any]
    nonce: bytes
    now: int
    key: PublicJwk

    def envelope(self, members: Mapping[str, Any] | None = None) -> bytes:
        """The evidence in its envelope, or other members in the same."""
        evidence = self.members if members is None else members
        return encode_envelope(kind=self.kind, evidence=evidence, nonce=self.nonce, key=self.key)


APP_CLIENT_DATA = bind_app.client_data_for(tokens.KEY, issuer=ISSUER, nonce=apps.CLIENT_DATA[:32])

SAMPLES = {
    sample.kind: sample
    for sample in (
        Sample(
            kind=EvidenceKind.TPM2,
            members=HOST.members(),
            nonce=tpms.NONCE,
            now=tpms.NOW,
            key=HOST.jwk,
        ),
        Sample(
            kind=EvidenceKind.AWS_NITRO,
            members=nitro_evidence.encode(
                document=ENCLAVE.document(public_key=tokens.KEY.spki, user_data=b"u" * 16)
            ),
            nonce=nitro.NONCE,
            now=devices.NOW,
            key=tokens.KEY,
        ),
        Sample(
            kind=EvidenceKind.APP_ATTEST,
            members=app_evidence.encode(
                attestation_object=DEVICE.attestation(client_data=APP_CLIENT_DATA),
                key_id=DEVICE.key_id,
                client_data=APP_CLIENT_DATA,
            ),
            nonce=apps.CLIENT_DATA[:32],
            now=devices.NOW,
            key=tokens.KEY,
        ),
        Sample(
            kind=EvidenceKind.SEV_SNP,
            members=snp_evidence.encode(
                report=GUEST.report(report_data=snp.named_key(tokens.KEY, issuer=ISSUER)),
                certificates=GUEST.certificates(),
            ),
            nonce=snp.NONCE,
            now=devices.NOW,
            key=tokens.KEY,
        ),
        Sample(
            kind=EvidenceKind.TDX,
            members=TD.members(
                report_data=tds.named_key(tokens.KEY, issuer=ISSUER),
                event_log=TD_LOG,
                **{f"rtmr{index}": value for index, value in enumerate(TD_RTMRS)},
            ),
            nonce=tds.NONCE,
            now=devices.NOW,
            key=tokens.KEY,
        ),
        Sample(
            kind=EvidenceKind.AZURE_CVM,
            members=azure_evidence.encode(
                hcl_report=MACHINE.hcl(),
                quote=MACHINE.quote(),
                pcrs=azure.PCRS,
                certificates=GUEST.certificates(),
                certify=MACHINE.certify(),
                key_public=MACHINE.host.key_area.sized,
            ),
            nonce=snp.NONCE,
            now=devices.NOW,
            key=MACHINE.jwk,
        ),
        Sample(
            kind=EvidenceKind.OIDC,
            members=oidc_evidence.encode(token=tokens.sign(tokens.platform_claims())),
            nonce=tokens.NONCE,
            now=tokens.NOW,
            key=tokens.KEY,
        ),
        Sample(
            kind=EvidenceKind.MAA,
            members=maa_evidence.encode(token=tokens.maa_token()),
            nonce=tokens.NONCE,
            now=tokens.NOW,
            key=tokens.KEY,
        ),
    )
}

_STAGES: Mapping[EvidenceKind, tuple[Any, Any]] = {
    EvidenceKind.AWS_NITRO: (aws_nitro, bind_nitro),
    EvidenceKind.APP_ATTEST: (app_attest, bind_app),
    EvidenceKind.SEV_SNP: (sev_snp, bind_snp),
    EvidenceKind.TDX: (tdx, bind_tdx),
    EvidenceKind.AZURE_CVM: (azure_cvm, bind_azure),
    EvidenceKind.OIDC: (oidc, bind_oidc),
    EvidenceKind.MAA: (maa, bind_maa),
}


def attest(
    data: bytes,
    sample: Sample,
    *,
    key: PublicJwk | None = None,
    nonce: bytes | None = None,
    now: int | None = None,
    policy: AppraisalPolicy = POLICY,
) -> CertifiedKey:
    """All that a service does with an envelope, at the sample's challenge, key and time.

    ``tpm2`` has a credential to answer in between, which makes nothing that is wrong right.
    """
    submission = parse_envelope(data)
    evidence: Any = kinds.parse(submission)
    asked = sample.nonce if nonce is None else nonce
    given: dict[str, Any] = {"policy": policy, "nonce": asked, "now": now or sample.now}
    wanted = key or submission.key
    assert wanted is not None
    if submission.kind is EvidenceKind.TPM2:
        found = tpm2.appraise(evidence, **given)
        return certify_key(evidence, found, key=wanted, policy=policy, nonce=asked)
    appraisal, binding = _STAGES[submission.kind]
    keys = {"keys": KEYS} if submission.kind in TOKENS else {}
    result = appraisal.conclude(appraisal.appraise(evidence, **given, **keys))
    bound: CertifiedKey = binding.bind_key(evidence, result, key=wanted, issuer=ISSUER, nonce=asked)
    return bound


# --- the ways into evidence -----------------------------------------------------------------------


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in the evidence, with the way to it."""
    yield path, value
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from places(member, (*path, name))
    elif isinstance(value, list | tuple):
        for at, member in enumerate(value):
            yield from places(member, (*path, at))


def changed(members: Any, path: Path, value: Any) -> Any:
    """The members with that value at that place."""
    if not path:
        return value
    copy = dict(members) if isinstance(members, Mapping) else list(members)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def binaries(sample: Sample) -> list[tuple[Path, str]]:
    """The members that are base64url: all text but tokens, PCR values, which are hex, and Intel's
    collateral, which is PEM, hex and JSON."""
    if sample.kind in TOKENS:
        return []
    return [
        (path, value)
        for path, value in places(sample.members)
        if isinstance(value, str) and path[0] not in ("pcrs", "collateral")
    ]
