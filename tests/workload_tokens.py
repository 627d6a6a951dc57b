"""Tokens of workloads as platforms issue them, signed by keys that are no platform's."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.binding.maa import client_nonce_for
from keystead.binding.oidc import audience_for
from keystead.codec import base64url
from keystead.evidence import maa, oidc
from keystead.evidence.envelope import Submission
from keystead.evidence.maa import MaaEvidence
from keystead.evidence.oidc import OidcEvidence
from keystead.jose.jwk import JwkSet
from keystead.model import EvidenceKind
from tests.jose_keys import compact, private_key, public_jwk

NOW = 1_800_000_000
NONCE = b"\x4e" * 32
SERVICE = "https://keystead.example"
KEY = public_jwk("ES256", "workload")
OTHER_KEY = public_jwk("ES256", "thief")

GITHUB = "https://token.actions.githubusercontent.com"
CLUSTER = "https://cluster.example"
TENANT = "7f3c2b1a-0000-4000-8000-00000000abcd"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"
GOOGLE = "https://accounts.google.com"
STS = "https://0f0f0f0f-1111-4222-8333-444444444444.tokens.sts.global.api.aws"
COMPANY = "https://ci.company.example"
INSTANCE = "https://attest.example"

ANSWER = audience_for(KEY, issuer=SERVICE, nonce=NONCE)

ISSUERS: Mapping[str, str] = {
    "github-actions": GITHUB,
    "kubernetes": CLUSTER,
    "aws-eks": CLUSTER,
    "aws-sts": STS,
    "azure": ENTRA,
    "gcp": GOOGLE,
    "other": COMPANY,
}

_KUBERNETES: Mapping[str, Any] = {
    "sub": "system:serviceaccount:shop:orders",
    "kubernetes.io": {
        "namespace": "shop",
        "serviceaccount": {"name": "orders", "uid": "11111111-aaaa-4000-8000-000000000001"},
        "pod": {"name": "orders-6d5f", "uid": "11111111-aaaa-4000-8000-000000000002"},
        "node": {"name": "node-1", "uid": "11111111-aaaa-4000-8000-000000000003"},
    },
}

PLATFORM_CLAIMS: Mapping[str, Mapping[str, Any]] = {
    "github-actions": {
        "sub": "repo:acme/rocket:ref:refs/heads/main",
        "repository": "acme/rocket",
        "repository_id": "74",
        "repository_owner": "acme",
        "repository_owner_id": "65",
        "workflow_ref": "acme/rocket/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "acme/shared/.github/workflows/sign.yml@refs/tags/v1",
        "ref": "refs/heads/main",
        "environment": "production",
        "run_id": "10020030045",
        "base_ref": "",
        "actor": "octo",
    },
    "kubernetes": _KUBERNETES,
    "aws-eks": _KUBERNETES,
    "aws-sts": {
        "sub": "arn:aws:iam::123456789012:role/service/DataRole",
        "https://sts.amazonaws.com/": {
            "aws_account": "123456789012",
            "source_region": "eu-west-1",
            "principal_tags": {"team": "data"},
            "lambda_source_function_arn": ("arn:aws:lambda:eu-west-1:123456789012:function:ingest"),
        },
    },
    "azure": {
        "sub": "5b1d0000-0000-4000-8000-000000000005",
        "oid": "5b1d0000-0000-4000-8000-000000000005",
        "tid": TENANT,
        "azp": "5b1d0000-0000-4000-8000-000000000006",
        "idtyp": "app",
        "xms_mirid": (
            "/subscriptions/5b1d0000-0000-4000-8000-000000000007/resourcegroups/Shop"
            "/providers/Microsoft.Compute/virtualMachines/Orders-1"
        ),
    },
    "gcp": {
        "sub": "100000000000000000042",
        "azp": "100000000000000000042",
        "email": "orders@shop-1.iam.gserviceaccount.com",
        "email_verified": True,
        "google": {
            "compute_engine": {
                "project_id": "shop-1",
                "project_number": 424242,
                "zone": "europe-west1-b",
                "instance_id": "7000000000000000001",
                "instance_name": "orders-1",
            }
        },
    },
    "other": {"sub": "build-7", "project": "rocket", "protected": True, "groups": ["a", "b"]},
}

RULES: Mapping[str, str] = {
    "github-actions": 'repository_id = ["74"]\nref = ["refs/heads/main"]',
    "kubernetes": 'namespace = ["shop"]\nserviceaccount = ["orders"]',
    "aws-eks": 'namespace = ["shop"]\nserviceaccount = "any"',
    "aws-sts": 'sub = ["arn:aws:iam::123456789012:role/service/DataRole"]',
    "azure": 'oid = ["5b1d0000-0000-4000-8000-000000000005"]',
    "gcp": 'sub = "any"\nproject_number = ["424242"]',
    "other": 'sub = "any"\nproject = ["rocket"]',
}
"""A rule that the claims above keep, for each profile."""

_HEADER: Mapping[str, object] = {"typ": "JWT", "kid": "k1"}


def issuer_keys(algorithm: str = "RS256", kid: str = "k1") -> JwkSet:
    return JwkSet([public_jwk(algorithm, "platform", kid=kid)])


def platform_claims(profile: str = "github-actions", **changes: Any) -> dict[str, Any]:
    """What a platform says; ``...`` leaves a claim out."""
    claims = {
        "iss": ISSUERS[profile],
        "aud": "keystead" if profile == "azure" else ANSWER,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        **PLATFORM_CLAIMS[profile],
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def sign(
    claims: Mapping[str, Any],
    *,
    algorithm: str = "RS256",
    name: str = "platform",
    **header: object,
) -> str:
    members = {"alg": algorithm, **_HEADER, **header}
    return compact(
        {key: value for key, value in members.items() if value is not ...},
        claims,
        key=private_key(algorithm, name),
        algorithm=algorithm,
    )


def oidc_evidence(token: str, *, nonce: bytes | None = None) -> OidcEvidence:
    return oidc.parse(
        Submission(kind=EvidenceKind.OIDC, nonce=nonce, key=None, evidence=oidc.encode(token=token))
    )


def write_keys(folder: Path, keys: JwkSet | None = None) -> None:
    (folder / "jwks.json").write_text(json.dumps((keys or issuer_keys()).to_dict()))


def oidc_policy(
    profile: str = "github-actions",
    *,
    entries: str = "",
    rules: str | None = None,
    folder: Path = Path(),
    keys: str = 'jwks_url = "https://keys.example/jwks"',
) -> AppraisalPolicy:
    """A policy with one issuer, whose keys are given to each appraisal unless a file has them."""
    if profile == "azure" and "audiences" not in entries:
        entries += '\naudiences = ["keystead"]'
    if profile == "other" and "freshness" not in entries:
        entries += '\nfreshness = "challenged"'
    return parse_policy(
        f'id = "test"\nversion = 3\n[[oidc.issuers]]\nissuer = "{ISSUERS[profile]}"\n'
        f'profile = "{profile}"\n{keys}\n{entries}\n'
        f"[[oidc.issuers.rules]]\n{RULES[profile] if rules is None else rules}\n",
        folder=folder,
    )


# --- Microsoft Azure Attestation ------------------------------------------------------------------

POLICY_HASH = base64url.encode(b"\x0a" * 32)
_TEE: Mapping[str, Any] = {
    "x-ms-attestation-type": "sevsnpvm",
    "x-ms-compliance-status": "azure-compliant-cvm",
    "x-ms-sevsnpvm-bootloader-svn": 4,
    "x-ms-sevsnpvm-hostdata": "1d" * 32,
    "x-ms-sevsnpvm-idkeydigest": "1c" * 48,
    "x-ms-sevsnpvm-is-debuggable": False,
    "x-ms-sevsnpvm-launchmeasurement": "1a" * 48,
    "x-ms-sevsnpvm-microcode-svn": 219,
    "x-ms-sevsnpvm-migration-allowed": False,
    "x-ms-sevsnpvm-snpfw-svn": 24,
    "x-ms-sevsnpvm-tee-svn": 0,
    "x-ms-sevsnpvm-vmpl": 0,
}
_VM: Mapping[str, Any] = {
    "secureboot": True,
    "x-ms-attestation-type": "azurevm",
    "x-ms-azurevm-bootdebug-enabled": False,
    "x-ms-azurevm-kerneldebug-enabled": False,
    "x-ms-azurevm-vmid": "00000000-0000-4000-8000-00000000FACE",
}
CLIENT_NONCE = client_nonce_for(KEY, issuer=SERVICE, nonce=NONCE)


def client_payload(nonce: str) -> dict[str, Any]:
    """As the service returns it: plain base64 of the text that the client sent."""
    return {"client-payload": {"nonce": base64.b64encode(nonce.encode()).decode()}}


def maa_claims(
    *, vm: bool = True, tee: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """A token about a VM, or about a bare report; ``...`` leaves a claim out."""
    inner = {name: value for name, value in {**_TEE, **(tee or {})}.items() if value is not ...}
    claims = {
        "iss": INSTANCE,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 8 * 3_600,
        "jti": "0a0b0c",
        "x-ms-policy-hash": POLICY_HASH,
        "x-ms-runtime": client_payload(CLIENT_NONCE),
        **({**_VM, "x-ms-isolation-tee": inner} if vm else inner),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def maa_token(claims: Mapping[str, Any] | None = None, **header: Any) -> str:
    return sign(claims or maa_claims(), **{"jku": f"{INSTANCE}/certs", **header})


def maa_evidence(
    token: str, *, nonce: bytes | None = None, jwks: dict[str, Any] | None = None
) -> MaaEvidence:
    return maa.parse(
        Submission(
            kind=EvidenceKind.MAA,
            nonce=nonce,
            key=None,
            evidence=maa.encode(token=token, jwks=jwks),
        )
    )


MAA_RULES = f"""
policy_hashes = ["{POLICY_HASH}"]
compliance = ["azure-compliant-cvm"]
measurements = ["{"1a" * 48}"]
minimum_versions = {{ boot_loader = 4, tee = 0, snp = 24, microcode = 219 }}
"""


def maa_policy(
    rules: str = MAA_RULES,
    *,
    instance: str = 'class = "tee"',
    keys: str = 'jwks_url = "https://keys.example/certs"',
    folder: Path = Path(),
) -> AppraisalPolicy:
    return parse_policy(
        f'id = "test"\nversion = 3\n[maa]\n{rules}\n'
        f'[[maa.instances]]\nissuer = "{INSTANCE}"\n{keys}\n{instance}\n',
        folder=folder,
    )
