"""The whole journey with a real (software) TPM: challenge, evidence, activation, bound key."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.policy import AppraisalPolicy, load_policy
from keystead.binding.binder import bind
from keystead.binding.issuer_proof import (
    challenge_issuer,
    conclude,
    parse_answer,
    parse_published_key,
)
from keystead.binding.issuer_proof import qualifying_data as issuer_data
from keystead.binding.tpm2 import certify_key
from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, jwk_members, parse_tpm2b_public
from keystead.errors import BindingRejected, EvidenceRejected, Reason, Refused
from keystead.evidence import kinds, tpm2
from keystead.evidence.challenge import issue_challenge
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.evidence.key_proof import key_proof_signing_input, verify_key_proof
from keystead.hardware.tpm2 import Tpm2Device
from keystead.jose import jws
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import (
    AnchorClass,
    BoundKey,
    Challenge,
    EvidenceKind,
    Protection,
    RegistrationEntry,
    ResultId,
    SpiffeId,
    WrappedKey,
)
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.evidence_builder import Dice

ISSUER = "https://issuer.example"
SHA256 = HashAlgorithm.SHA256
SELECTION = PcrSelection.of({SHA256: [0, 7, 23]})
POLICY = """
id = "lab"
version = 1
[[tpm2.anchors]]
path = "root.pem"
[tpm2.required_pcrs]
sha256 = [0, 7, 23]
[tpm2.pcr_values.sha256]
0 = ["{zeros}"]
7 = ["{zeros}"]
23 = "any"
"""
GUARDED = "[tpm2.require_key_policy]\nsha256 = [23]\n"


@pytest.fixture
def policy(tmp_path: Path, swtpm_ca: SwtpmCa, swtpm: Swtpm) -> Callable[[str], AppraisalPolicy]:
    """A policy that trusts the software TPMs' root, with more entries appended."""

    def read(more: str = "") -> AppraisalPolicy:
        chain = swtpm_ca.root_certificate_pem + swtpm_ca.issuer_certificate_pem
        (tmp_path / "root.pem").write_bytes(chain)
        (tmp_path / "policy.toml").write_text(POLICY.format(zeros="00" * 32) + more)
        return load_policy(tmp_path / "policy.toml")

    return read


@dataclass(frozen=True)
class Workload:
    """A host's AK and a workload's key, in one TPM."""

    device: Tpm2Device
    ak: WrappedKey
    key: WrappedKey
    guard: PcrSelection | None

    @classmethod
    async def start(
        cls, device: Tpm2Device, *, ak: str = "ES256", guard: PcrSelection | None = None
    ) -> "Workload":
        return cls(
            device=device,
            ak=await device.create_attestation_key(ak),
            key=await device.create_signing_key("ES256", pcr_policy=guard),
            guard=guard,
        )

    @property
    def jwk(self) -> PublicJwk:
        return parse_public(dict(jwk_members(parse_tpm2b_public(self.key.public))))

    async def envelope(self, challenge: Challenge) -> bytes:
        nonce = challenge.nonce
        quote, pcrs = await self.device.quote_with_values(self.ak, SELECTION, qualifying_data=nonce)
        certify = await self.device.certify(
            self.key, attestation_key=self.ak, qualifying_data=nonce
        )
        evidence = tpm2.encode(
            endorsement=await self.device.endorsement(),
            ak_public=self.ak.public,
            quote=quote,
            pcrs=pcrs,
            certify=certify,
            key_public=self.key.public,
        )
        return encode_envelope(kind=EvidenceKind.TPM2, nonce=nonce, key=self.jwk, evidence=evidence)

    async def proof(self, challenge: Challenge) -> str:
        signed = key_proof_signing_input(self.jwk, issuer=ISSUER, nonce=challenge.nonce)
        digest = hashlib.sha256(signed).digest()
        signature = await self.device.sign(self.key, digest, pcr_policy=self.guard)
        return jws.assemble(signed, signature)


def challenge() -> Challenge:
    return issue_challenge(issuer=ISSUER, now=int(time.time()), entropy=Dice())


async def attest(workload: Workload, policy: AppraisalPolicy) -> BoundKey:
    asked = challenge()
    now, nonce = asked.issued_at, asked.nonce
    submission = parse_envelope(await workload.envelope(asked))
    assert submission.key is not None
    proof = await workload.proof(asked)
    verify_key_proof(proof, key=submission.key, issuer=ISSUER, nonce=nonce)
    evidence = kinds.parse(submission)
    found = appraisal.appraise(evidence, policy=policy, nonce=nonce, now=now)
    certified = certify_key(evidence, found, key=submission.key, policy=policy, nonce=nonce)
    activation = appraisal.begin_activation(found, entropy=Dice(b"secret"))
    secret = await workload.device.activate_credential(
        workload.ak,
        credential_blob=activation.credential_blob,
        encrypted_secret=activation.encrypted_secret,
    )
    result = appraisal.conclude(found, activation=activation, returned_secret=secret)
    entry = RegistrationEntry(
        id="entry",
        spiffe_id=SpiffeId("spiffe://example/workload"),
        parent=SpiffeId("spiffe://example/host"),
        kind=EvidenceKind.TPM2,
        ek=found.ek,
        binding_ttl_s=600,
        created_at=now,
        created_by="operator",
    )
    return bind(
        result,
        certified,
        entry=entry,
        spiffe_id=entry.spiffe_id,
        result_id=ResultId("id"),
        now=now,
    )


@pytest.mark.parametrize("ak", ["ES256", "RS256"])
@pytest.mark.parametrize("ek", ["p256", "rsa2048", "p384"])
async def test_binds_a_key_of_every_kind_of_ek_and_ak(
    swtpm: Swtpm, policy: Callable[[str], AppraisalPolicy], ek: str, ak: str
) -> None:
    with Tpm2Device(swtpm.tcti, ek_order=[ek]) as device:
        workload = await Workload.start(device, ak=ak)
        bound = await attest(workload, policy(""))
    assert bound.jkt == workload.jwk.thumbprint
    assert bound.residency.protection is Protection.NON_EXPORTABLE
    assert bound.residency.hardware is False, "a software TPM is never hardware"


async def test_a_key_under_pcr_policy_signs_until_other_software_boots(
    tpm_device: Tpm2Device, policy: Callable[[str], AppraisalPolicy]
) -> None:
    guard = PcrSelection.of({SHA256: [23]})
    workload = await Workload.start(tpm_device, guard=guard)
    assert (await attest(workload, policy(GUARDED))).jkt == workload.jwk.thumbprint
    await tpm_device.extend_pcr(23, {SHA256: b"\x01" * 32})
    with pytest.raises(Refused):
        await workload.proof(challenge())


async def test_a_key_without_the_wanted_policy_is_refused(
    tpm_device: Tpm2Device, policy: Callable[[str], AppraisalPolicy]
) -> None:
    with pytest.raises(BindingRejected) as refused:
        await attest(await Workload.start(tpm_device), policy(GUARDED))
    assert (refused.value.reason, refused.value.step) == (Reason.KEY_POLICY_REQUIRED, 23)


async def test_another_boot_is_refused_by_its_pcrs(
    tpm_device: Tpm2Device, policy: Callable[[str], AppraisalPolicy]
) -> None:
    await tpm_device.extend_pcr(7, {SHA256: b"\x01" * 32})
    with pytest.raises(EvidenceRejected) as refused:
        await attest(await Workload.start(tpm_device), policy(""))
    assert (refused.value.reason, refused.value.step) == (Reason.PCR_VALUE_MISMATCH, 11)


async def test_no_other_tpm_opens_the_credential(
    tpm_device: Tpm2Device,
    other_tpm_device: Tpm2Device,
    policy: Callable[[str], AppraisalPolicy],
) -> None:
    here, there = await Workload.start(tpm_device), await Workload.start(other_tpm_device)
    asked = challenge()
    evidence = kinds.parse(parse_envelope(await here.envelope(asked)))
    found = appraisal.appraise(evidence, policy=policy(""), nonce=asked.nonce, now=asked.issued_at)
    activation = appraisal.begin_activation(found, entropy=Dice())
    for ak in (here.ak, there.ak):
        with pytest.raises(Refused):
            await other_tpm_device.activate_credential(
                ak,
                credential_blob=activation.credential_blob,
                encrypted_secret=activation.encrypted_secret,
            )


async def test_an_issuer_proves_its_key_to_a_stranger(
    tpm_device: Tpm2Device, policy: Callable[[str], AppraisalPolicy]
) -> None:
    issuer = await Workload.start(tpm_device)
    endorsement = await tpm_device.endorsement()
    assert endorsement.certificate is not None
    jwk = issuer.jwk
    published = parse_published_key(
        {
            "kid": jwk.thumbprint,
            "purpose": "token",
            "jwk": jwk.to_dict(),
            "evidence": {
                "kind": "tpm2",
                "ek_public": base64url.encode(endorsement.public),
                "ek_certificate": base64url.encode(endorsement.certificate),
                "ek_certificate_chain": [base64url.encode(each) for each in endorsement.chain],
                "ak_public": base64url.encode(issuer.ak.public),
                "key_public": base64url.encode(issuer.key.public),
            },
        }
    )
    rules = policy("").tpm2
    assert rules is not None
    asked = challenge_issuer(
        published, issuer=ISSUER, anchors=rules.anchors, now=int(time.time()), entropy=Dice()
    )
    secret = await tpm_device.activate_credential(
        issuer.ak,
        credential_blob=asked.credential_blob,
        encrypted_secret=asked.encrypted_secret,
    )
    certified = await tpm_device.certify(
        issuer.key,
        attestation_key=issuer.ak,
        qualifying_data=issuer_data(ISSUER, kid=jwk.thumbprint, nonce=asked.nonce),
    )
    answer = parse_answer(
        {
            "secret": base64url.encode(secret),
            "certify": {
                "attest": base64url.encode(certified.attest),
                "signature": base64url.encode(certified.signature),
            },
        }
    )
    proved = conclude(asked, answer=answer)
    assert proved.kid == jwk.thumbprint and proved.anchor_class is AnchorClass.EMULATED
    assert not proved.hardware
