"""What the rows of signed documents, reports and tokens demand: nitro, snp, appattest, maa."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from keystead.appraisal import app_attest
from keystead.appraisal.app_attest_assertion import verify_assertion
from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.codec import base64url
from keystead.codec.certificate import parse_certificate
from keystead.codec.maa import parse_claims
from keystead.errors import Reason
from keystead.evidence.maa import MAX_TOKEN_BYTES
from keystead.evidence.signed_token import parse_token
from tests import published_app_attest as apple
from tests import published_maa as maa
from tests import published_nitro as nitro
from tests import published_snp as snp
from tests.manifest import VECTORS, Row
from tests.manifest_demands import MALFORMED, Demand, Neighbours, flipped, refused, told, verdict_on

SIGNATURE = Reason.EVIDENCE_SIGNATURE
UNTRUSTED = refused(Reason.CHAIN_UNTRUSTED, 2)

# --- nitro ----------------------------------------------------------------------------------------


def nitro_at_its_time(row: Row, rules: str | None = None) -> Any:
    chosen = nitro.policy() if rules is None else nitro.policy(rules)
    return nitro.saved(nitro.raw(row), policy=chosen, now=row.time)


def nitro_bent(row: Row, part: str) -> Any:
    """One bit of the document's own bytes, under a policy that would take it."""
    data, document = nitro.raw(row), nitro.read(row)
    parts = {"signature": document.sign1.signature, "PCR 4": document.pcrs[4]}
    bent = flipped(data, data.index(parts[part]))
    return nitro.saved(bent, policy=nitro.policy(nitro.DEBUG_TOO), now=row.time)


def nitro_with_anothers_signature(row: Row) -> Any:
    own = nitro.read(row).sign1.signature
    other = next(nitro.read(each) for each in nitro.DOCUMENTS if each.file != row.file)
    mixed = nitro.raw(row).replace(own, other.sign1.signature)
    return nitro.saved(mixed, policy=nitro.policy(nitro.DEBUG_TOO), now=row.time)


def nitro_facts(row: Row, result: Any) -> None:
    if result is None:  # Signature and chain of a debug document hold all the same.
        result = nitro_at_its_time(row, nitro.DEBUG_TOO)
        assert result.debug
        assert all(result.pcrs["sha384"][index] == "00" * 48 for index in range(3))
    else:
        assert result.pcrs["sha384"][0] == told(row, r"PCR0=([0-9a-f]{96})")
    assert result.anchor == "AWS Nitro Enclaves Root G1"
    document = nitro.read(row)
    for name in ("public_key", "user_data", "nonce"):
        value = getattr(document, name)
        start = nitro.field_of(row, name)
        assert start == "null" if value is None else value.hex().startswith(start)
        size = re.search(rf"{name}=[0-9a-f]+\.*\((\d+)B\)", row.expected)
        assert (value is None) is (size is None)
        assert size is None or len(value) == int(size[1])


NITRO = Demand(
    says=("sig+chain OK to G1 root", "expired at now => reject"),
    judge=nitro_at_its_time,
    facts=nitro_facts,
    neighbours={
        "now": (lambda row: nitro.saved(nitro.raw(row)), UNTRUSTED),
        "signature": (partial(nitro_bent, part="signature"), refused(SIGNATURE, 3)),
        "measurement": (partial(nitro_bent, part="PCR 4"), refused(SIGNATURE, 3)),
        "another row's signature": (nitro_with_anothers_signature, refused(SIGNATURE, 3)),
        "frame": (lambda row: nitro.saved(nitro.raw(row) + b"\x00"), MALFORMED),
    },
)
NITRO_DEBUG = replace(
    NITRO,
    says=(*NITRO.says, "REJECT by policy: PCR0-2 all zero"),
    verdict=refused(Reason.DEBUG_MODE, 6),
)


def names_the_key_of_user_data(row: Row, certificate: Any) -> None:
    owners = [each for each in nitro.DOCUMENTS if nitro.read(each).user_data == certificate.spki]
    assert [each.file for each in owners] == ["nitro/ev-ga.b64"]
    assert "ev-ga.b64" in row.what


BINDING_FIXTURE = Demand(
    says=("binding fixture",),
    judge=lambda row: parse_certificate(row.read()),
    facts=names_the_key_of_user_data,
    neighbours={"cut": (lambda row: parse_certificate(row.read()[:-1]), MALFORMED)},
)

# --- snp ------------------------------------------------------------------------------------------

VECTORS_OF_SNP = {vector.file: vector for vector in snp.REPORTS}


def snp_at_its_time(row: Row, rules: str | None = None, **changes: Any) -> Any:
    return snp.saved(VECTORS_OF_SNP[row.file], rules=rules, **changes)


def snp_bent(row: Row, at: int) -> Any:
    return snp_at_its_time(row, report=flipped(VECTORS_OF_SNP[row.file].report, at))


def snp_with_anothers_certificate(row: Row) -> Any:
    """Of another chip of AMD's, at a time at which that is valid."""
    other = snp.GSG if row.file == snp.COCO.file else snp.COCO
    start, _ = parse_certificate(other.chain[0]).valid_from_to()
    return snp_at_its_time(row, chain=other.chain, now=start)


SNP_NEIGHBOURS: Neighbours = {
    "later": (lambda row: snp_at_its_time(row, now=snp.LATER), UNTRUSTED),
    "signature": (partial(snp_bent, at=0x2A0), refused(SIGNATURE, 3)),
    "measurement": (partial(snp_bent, at=0x90), refused(SIGNATURE, 3)),
    "another row's certificate": (snp_with_anothers_certificate, refused(SIGNATURE, 3)),
}


def report_data_as_told(row: Row, result: Any) -> None:
    wanted = told(row, r'report_data "([^"]+)"').encode()
    assert bytes.fromhex(result.claims["report_data"]).rstrip(b"\x00") == wanted
    assert ("host_data set" in row.expected) is any(snp.read(VECTORS_OF_SNP[row.file]).host_data)


def debug_as_told(row: Row, result: Any) -> None:
    assert result is None
    report = snp.read(snp.GSG)
    assert report.policy == int(told(row, r"policy (0x[0-9a-f]+)"), 16)
    assert report.report_data.hex().startswith(told(row, r"report_data ([0-9a-f]+)\.\."))
    assert snp_at_its_time(row, snp.DEBUG_TOO).debug


def level_and_firmware_as_told(row: Row, result: Any) -> None:
    report = snp.read(snp.COCO)
    assert f"vmpl{result.claims['vmpl']}" in row.expected and not result.debug
    assert f"guest_svn {report.guest_svn}" in row.what


def cloud_key_as_told(row: Row, result: Any) -> None:
    assert result is None
    result = snp_at_its_time(row, snp.VMPL_1)
    assert result.claims["vmpl"] == int(told(row, r"VMPL=(\d)"))
    assert snp.read(snp.VLEK).chip_id == bytes(64)
    times = parse_certificate(snp.VLEK.chain[0]).valid_from_to()
    days = [datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d") for each in times]
    assert "..".join(days) in row.expected


def host_data_as_told(row: Row, result: Any) -> None:
    started = base64.b64decode((VECTORS / "snp/aci-uvm_security_policy.base64").read_bytes())
    assert result.measurements["host_data"] == hashlib.sha256(started).hexdigest()
    reference = (VECTORS / "snp/aci-body.uvm_reference_info.bin").read_bytes()
    _, _, after = reference.partition(b"x-ms-sevsnpvm-launchmeasurement")
    assert result.measurements["measurement"].encode() in after[:200]


def tampered(row: Row, **changes: Any) -> Any:
    chain = [*snp.certificates(row.file), *snp.certificates(snp.MILAN)]
    return snp.saved(snp.COCO, chain=chain, **({"now": row.time} | changes))


def is_another_key(row: Row, result: Any) -> None:
    assert result is None
    (bent,) = snp.certificates(row.file)
    assert parse_certificate(bent).spki != parse_certificate(snp.COCO.chain[0]).spki
    assert snp.saved(snp.COCO, now=row.time).hardware


TAMPERED = Demand(
    says=("REJECT (not issued by ASK, wrong key)",),
    judge=tampered,
    verdict=UNTRUSTED,
    facts=is_another_key,
    neighbours={"later": (partial(tampered, now=snp.LATER), UNTRUSTED)},
)

# --- appattest ------------------------------------------------------------------------------------


def apple_at_its_time(row: Row) -> Any:
    return app_attest.conclude(apple.appraised(row))


def apple_bent(row: Row, **changes: Any) -> Any:
    return apple.appraised(row, evidence=changes)


def apple_with_other_client_data(row: Row) -> Any:
    return apple_bent(row, client_data=apple.evidence(row).client_data + b"x")


def apple_with_anothers_certificate(row: Row) -> Any:
    other = next(each for each in apple.ROWS if each.file != row.file)
    x5c = apple.evidence(other).attestation.x5c
    mixed = replace(apple.evidence(row).attestation, x5c=x5c)
    return apple.appraised(row, evidence={"attestation": mixed}, now=other.time)


def apple_for_production(row: Row) -> Any:
    return apple.appraised(row, policy=apple.policy(apple.app_id(row), "production"))


def apple_with_bent_assertion(row: Row) -> Any:
    data, good = apple.assertion(row)
    return verify_assertion(data, **(good | {"client_data": b"other"}))


def counts_as_told(row: Row, result: Any) -> None:
    data, good = apple.assertion(row)
    assert verify_assertion(data, **good).counter == int(told(row, r"assertion sig OK ctr (\d+)"))
    assert apple.evidence(row).attestation.auth_data.counter == int(told(row, r"ctr(\d)"))


def is_for_development(row: Row, result: Any) -> None:
    credential = apple.evidence(row).attestation.auth_data.credential
    assert credential is not None
    assert credential.aaguid == told(row, r"aaguid (\w+)").encode()
    assert result.debug


APPLE_NEIGHBOURS: Neighbours = {
    "later": (lambda row: apple.appraised(row, now=2_000_000_000), UNTRUSTED),
    "client data": (apple_with_other_client_data, refused(Reason.NONCE_MISMATCH, 3)),
    "another row's certificate": (
        apple_with_anothers_certificate,
        refused(Reason.NONCE_MISMATCH, 3),
    ),
    "key id": (partial(apple_bent, key_id=bytes(32)), refused(Reason.KEY_MISMATCH, 4)),
    "production": (apple_for_production, refused(Reason.ENVIRONMENT_MISMATCH, 7)),
}
WITH_ASSERTION = Demand(
    says=("OK chain/nonce/keyId/rpId/ctr0",),
    judge=apple_at_its_time,
    facts=counts_as_told,
    neighbours={
        **APPLE_NEIGHBOURS,
        "assertion": (apple_with_bent_assertion, refused(SIGNATURE, 16)),
    },
)

# --- maa ------------------------------------------------------------------------------------------


def maa_at_its_time(row: Row, token: str | None = None, at: int | None = None) -> Any:
    now = row.time if at is None else at
    assert now is not None
    return maa.saved(maa.text(row) if token is None else token, now, maa.policy(VECTORS))


def maa_bent(row: Row) -> Any:
    head, _, signature = maa.text(row).rpartition(".")
    bent = base64url.encode(flipped(base64url.decode(signature), 100))
    return maa_at_its_time(row, token=f"{head}.{bent}")


def maa_claims_as_told(row: Row, result: Any) -> None:
    assert told(row, r"(azure-compliant-\w+)") == result.claims["compliance"]
    assert int(told(row, r"vmpl (\d)")) == result.claims["vmpl"] and not result.debug


def maa_parses(row: Row, result: Any) -> None:
    """The key is nobody's to find, so all that can be held to is what the token says."""
    assert result is None
    token = parse_token(maa.text(row), max_bytes=MAX_TOKEN_BYTES)
    assert parse_claims(token.claims).snp is not None and token.kid is not None
    assert token.kid.startswith(told_of_file(row, r"kid (\w+)\.\."))


def told_of_file(row: Row, pattern: str) -> str:
    found = re.search(pattern, row.what)
    assert found is not None
    return found[1]


def is_no_published_key(row: Row, keys: Any) -> None:
    """One key without a certificate; beside a token it counts only where the policy names it."""
    (entry,) = json.loads(row.read())["keys"]
    (key,) = keys
    assert "x5c" not in entry and key.kid == entry["kid"]
    (token,) = maa.GOOD
    assert token.time is not None
    nobodys = maa.policy(VECTORS, instance=f'saved_keys = ["{"A" * 43}"]')
    _, verdict = verdict_on(
        lambda each: maa.saved(maa.text(each), each.time, nobodys, jwks=json.loads(row.read())),
        token,
    )
    assert verdict == refused(Reason.KEY_UNKNOWN, 3)


DOCUMENTS = {
    "nitro/blindai-valid.cbor": NITRO_DEBUG,
    "nitro/dstack-attest.bin": NITRO,
    "nitro/dstack-nsmqvl.bin": NITRO,
    "nitro/ev-ga.b64": NITRO_DEBUG,
    "nitro/ev-ga-cert.der": BINDING_FIXTURE,
    "nitro/op-sample1.cbor": NITRO,
    snp.GSG.file: Demand(
        says=("VCEK sig OK", "DEBUG allowed => REJECT by policy"),
        judge=partial(snp_at_its_time, rules=snp.PLAIN),
        verdict=refused(Reason.DEBUG_MODE, 7),
        facts=debug_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    snp.COCO.file: Demand(
        says=("sig OK with coco-vcek.der", "TCB+HWID match", "non-debug"),
        judge=snp_at_its_time,
        facts=level_and_firmware_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    **dict.fromkeys(snp.TAMPERED, TAMPERED),
    snp.VLEK.file: Demand(
        says=("sig OK with coco-vlek.der", "reject if policy wants 0", "chip_id masked zero"),
        judge=partial(snp_at_its_time, rules=snp.PLAIN),
        verdict=refused(Reason.VMPL_REFUSED, 8),
        facts=cloud_key_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    snp.GENOA.file: Demand(
        says=("sig OK with ars-genoa-vcek.der",),
        judge=snp_at_its_time,
        facts=report_data_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    snp.ACI.file: Demand(
        says=("sig OK with VCEK", "host_data==sha256", "measurement==x-ms-sevsnpvm"),
        judge=snp_at_its_time,
        facts=host_data_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    snp.DSTACK.file: Demand(
        says=("sig OK with dstack-vcek.pem", "host_data set"),
        judge=snp_at_its_time,
        facts=report_data_as_told,
        neighbours=SNP_NEIGHBOURS,
    ),
    "appattest/vee-ios-14.2.yaml": WITH_ASSERTION,
    "appattest/vee-ios-14.3.yaml": WITH_ASSERTION,
    "appattest/vee-ios-14.3-beta-2.yaml": WITH_ASSERTION,
    "appattest/vee-ios-14.4-beta-1.yaml": WITH_ASSERTION,
    "appattest/ueb-development.json": Demand(
        says=("OK", "reject if production required"),
        judge=apple_at_its_time,
        facts=is_for_development,
        neighbours=APPLE_NEIGHBOURS,
    ),
    "maa/midnight.jwt": Demand(
        says=("RS256 OK with jwks-sharedeus2-recovered.json", "not debuggable", "expired now"),
        judge=maa_at_its_time,
        facts=maa_claims_as_told,
        neighbours={
            "now": (partial(maa_at_its_time, at=maa.LATER), refused(Reason.EXPIRED, 5)),
            "signature": (maa_bent, refused(Reason.SIGNATURE_INVALID, 4)),
        },
    ),
    "maa/azure-weu-2023.jwt": Demand(
        says=("signing key not found: parse-only",),
        judge=maa_at_its_time,
        verdict=refused(Reason.KEY_UNKNOWN, 3),
        facts=maa_parses,
        neighbours={
            "cut": (lambda row: maa_at_its_time(row, maa.text(row).rpartition(".")[0]), MALFORMED),
        },
    ),
    "maa/jwks-sharedeus2-recovered.json": Demand(
        says=("CI key only", "x5c"),
        judge=lambda row: parse_maa_keys(row.read()),
        facts=is_no_published_key,
        neighbours={"cut": (lambda row: parse_maa_keys(row.read().rstrip()[:-1]), MALFORMED)},
    ),
}
