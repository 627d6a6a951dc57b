"""Real Azure Attestation tokens, as the published vectors have them."""

import json
from pathlib import Path
from typing import Any

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.appraisal.result import AttestationResult
from keystead.appraisal.verifier import appraise_saved
from keystead.evidence import maa as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.manifest import Row, manifest_rows

ROWS = manifest_rows("maa")
TOKENS = [row for row in ROWS if row.file.endswith(".jwt")]
GOOD = [row for row in TOKENS if "RS256 OK" in row.expected]
INSTANCES = ("https://sharedeus2.eus2.attest.azure.net", "https://sharedweu.weu.attest.azure.net")
KEY_SET = "jwks-sharedeus2-recovered.json"
POLICY_FILE = "midnight-policy.json"
POLICY_HASH = "QsNi9UE365SgcskuV_a4p-uFQyGlNcIlQkrsi0UIy7o"
# When this was written: long after both tokens ended.
LATER = 1_795_000_000


def named(row: Row) -> str:
    """A row's id as a case."""
    return row.file


def text(row: Row) -> str:
    return row.read().decode().strip()


def policy(vectors: Path, *, instance: str = "", **changes: str) -> AppraisalPolicy:
    """What the token's own users asked of it, with the recovered key of one instance."""
    asked = json.loads((vectors / "maa" / POLICY_FILE).read_text())
    rules = {
        "policy_hashes": f'["{POLICY_HASH}"]',
        "compliance": f'["{asked["compliance-status"]}"]',
        "measurements": f'["{asked["launch_measurement"]}"]',
        "minimum_versions": "{ boot_loader = 4, tee = 0, "
        f"snp = {asked['snpfw-svn']}, microcode = {asked['microcode-svn']} }}",
        "claims": f'{{ "x-ms-azurevm-vmid" = ["{asked["vm_id"]}"], '
        f'"x-ms-isolation-tee/x-ms-sevsnpvm-imageId" = ["{asked["imageId"]}"] }}',
        "max_token_age_s": "28800",
    } | changes
    lines = [f"{name} = {value}" for name, value in rules.items()]
    for issuer in INSTANCES:
        lines += [
            "[[maa.instances]]",
            f'issuer = "{issuer}"',
            f'jwks_file = "{KEY_SET}"',
            'class = "tee"',
            instance,
        ]
    head = 'id = "test"\nversion = 3\n[maa]\n'
    return parse_policy(head + "\n".join(lines) + "\n", folder=vectors / "maa")


def saved(
    token: str, at: int, rules: AppraisalPolicy, *, jwks: Any = None, nonce: bytes | None = None
) -> AttestationResult:
    envelope = encode_envelope(
        kind=EvidenceKind.MAA, evidence=evidence.encode(token=token, jwks=jwks), nonce=nonce
    )
    return appraise_saved(parse_envelope(envelope), policy=rules, now=at)
