"""App Attest objects of real devices, as the published vectors have them."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from keystead.appraisal import app_attest
from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.codec.app_attest import parse_attestation
from keystead.evidence.app_attest import AppAttestEvidence
from tests.manifest import Row, manifest_rows

ROWS = manifest_rows("appattest")
# Of the JSON file's app, which only its receipt names.
APP_ID = re.compile(rb"[A-Z0-9]{10}\.[A-Za-z0-9.-]{3,80}")


def documents(row: Row) -> dict[str, dict[str, str]]:
    """The YAML documents of a file by their type: one line a member is all of YAML they use."""
    found = {}
    for text in re.split(r"^---$", row.read().decode(), flags=re.MULTILINE):
        members = dict(re.findall(r"^(\w+): '?([^'\n|]+)'?$", text, re.MULTILINE))
        if members:
            found[members["type"]] = members
    return found


def plain(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def app_id(row: Row) -> str:
    if row.file.endswith(".json"):
        attestation = evidence(row).attestation
        candidates: list[bytes] = APP_ID.findall(attestation.receipt)
        wanted = attestation.auth_data.rp_id_hash
        return next(each for each in candidates if hashlib.sha256(each).digest() == wanted).decode()
    found: dict[str, str] = documents(row)["attestation"]
    return f"{found['teamIdentifier']}.{found['bundleIdentifier']}"


def evidence(row: Row) -> AppAttestEvidence:
    if row.file.endswith(".json"):
        members = json.loads(row.read())
        parts = (members["attestation"], members["keyId"], members["challenge"])
    else:
        members = documents(row)["attestation"]
        parts = (members["attestationBase64"], members["keyIdBase64"], members["clientDataBase64"])
    attestation, key_id, client_data = (plain(each) for each in parts)
    return AppAttestEvidence(
        nonce=None,
        key=None,
        attestation=parse_attestation(attestation),
        key_id=key_id,
        client_data=client_data,
    )


def policy(app: str, environment: str = "development") -> AppraisalPolicy:
    rules = f'[app-attest]\napps = ["{app}"]\nenvironment = "{environment}"'
    return parse_policy(f'id = "test"\nversion = 3\n{rules}\n', folder=Path())


def appraised(row: Row, **changes: Any) -> app_attest.AppAttestAppraisal:
    found = replace(evidence(row), **changes.pop("evidence", {}))
    arguments: dict[str, Any] = {"policy": policy(app_id(row)), "nonce": None, "now": row.time}
    return app_attest.appraise(found, **(arguments | changes))


def assertion(row: Row) -> tuple[bytes, dict[str, Any]]:
    members = documents(row)["assertion"]
    return plain(members["assertionBase64"]), {
        "key": appraised(row).key,
        "app_id": app_id(row),
        "client_data": plain(members["clientDataBase64"]),
        "last_counter": 0,
    }
