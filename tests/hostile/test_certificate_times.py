"""Each certificate of each kind's chain at the edges of its time: both ends belong to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from keystead.appraisal import anchors, app_attest, aws_nitro, azure_cvm, sev_snp, tpm2
from keystead.appraisal.amd_chain import build_amd_path
from keystead.appraisal.chain_cache import ChainCache, PathCache
from keystead.codec import cbor
from keystead.codec.app_attest import parse_attestation
from keystead.errors import EvidenceRejected, Reason
from keystead.model import AnchorClass
from keystead.ports import Endorsement
from tests import app_attest_builder as apps
from tests import evidence_builder as tpms
from tests.device_chains import CA, LEAF, NOW, Extensions, certificate
from tests.every_kind import DEVICE, ENCLAVE, GUEST, HOST, MACHINE
from tests.snp_builder import ca, endorsement

Look = Callable[[int], object]
PLACES = ("leaf", "CA", "root")
HALF_S = 10


def window(place: str, short: str, at: int) -> dict[str, int]:
    """A few seconds for the certificate that is asked about, and a year or a day for the others."""
    if place != short:
        return {}
    return {"not_before": at - HALF_S, "not_after": at + HALF_S}


def device_chain(key: Any, short: str, extensions: Extensions = LEAF) -> tuple[bytes, bytes, bytes]:
    within = partial(window, short=short, at=NOW)
    names = {"issuer": "edge CA", "key": key, "extensions": extensions}
    return (
        certificate("edge leaf", **names, **within("leaf")),
        certificate("edge CA", issuer="edge root", extensions=CA, **within("CA")),
        certificate("edge root", extensions=CA, **within("root")),
    )


def trusted(root: bytes) -> anchors.AnchorSet:
    return anchors.from_der([root], anchor_class=AnchorClass.TEE)


def nitro(short: str) -> Look:
    """The document's own time is what its chain is checked at, and it is made now."""
    leaf, authority, root = device_chain(ENCLAVE.key, short)
    policy = ENCLAVE.policy(chains=ChainCache(trusted(root)))

    def look(now: int) -> object:
        evidence = ENCLAVE.evidence(
            certificate=leaf, cabundle=[root, authority], timestamp=now * 1_000
        )
        return aws_nitro.appraise(evidence, policy=policy, nonce=None, now=now)

    return look


def app(short: str) -> Look:
    auth_data = DEVICE.auth_data()
    digest = hashlib.sha256(apps.CLIENT_DATA).digest()
    certified = apps.nonce_extension(hashlib.sha256(auth_data + digest).digest())
    leaf, authority, root = device_chain(DEVICE.key, short, (*LEAF, certified))
    statement = {"x5c": [leaf, authority], "receipt": b"receipt"}
    made = {"fmt": "apple-appattest", "attStmt": statement, "authData": auth_data}
    evidence = replace(DEVICE.evidence(), attestation=parse_attestation(cbor.encode(made)))
    policy = DEVICE.policy(chains=ChainCache(trusted(root)))
    return lambda now: app_attest.appraise(evidence, policy=policy, nonce=None, now=now)


def amd_chain(short: str) -> tuple[tuple[bytes, bytes], dict[str, Any]]:
    """Certificates, and rules that trust their root."""
    within = partial(window, short=short, at=NOW)
    leaf = endorsement(extensions=GUEST.extensions(), **within("leaf"))
    authority = ca("SEV-Test", issuer="ARK-Test", **within("CA"))
    root = ca("ARK-Test", **within("root"))
    build = partial(build_amd_path, anchors=trusted(root), revocations=())
    return (leaf, authority), {"chains": PathCache(build)}


def snp(short: str) -> Look:
    certificates, rules = amd_chain(short)
    evidence, policy = GUEST.evidence(certificates=certificates), GUEST.policy(**rules)
    return lambda now: sev_snp.appraise(evidence, policy=policy, nonce=None, now=now)


def azure(short: str) -> Look:
    certificates, rules = amd_chain(short)
    evidence = MACHINE.evidence(certificates=certificates)
    policy = MACHINE.policy(snp=rules)
    return lambda now: azure_cvm.appraise(evidence, policy=policy, nonce=None, now=now)


def tpm(short: str) -> Look:
    within = partial(window, short=short, at=tpms.NOW)
    signer = {name: tpms.private_key("p256", f"edge {name}") for name in ("root", "CA")}
    root = tpms.certificate(
        "edge root",
        signer["root"],
        issuer="edge root",
        issuer_key=signer["root"],
        extensions=tpms.ca_extensions(),
        **within("root"),
    )
    authority = tpms.certificate(
        "edge CA",
        signer["CA"],
        issuer="edge root",
        issuer_key=signer["root"],
        extensions=tpms.ca_extensions(path_length=0),
        **within("CA"),
    )
    leaf = tpms.ek_certificate(
        "p256", HOST.ek_key, issuer="edge CA", issuer_key=signer["CA"], **within("leaf")
    )
    endorsed = Endorsement(public=HOST.ek.sized, certificate=leaf, chain=(authority,))
    evidence = HOST.evidence(endorsement=endorsed)
    policy = tpms.appraisal_policy(anchors=anchors.from_der([root], anchor_class=AnchorClass.TPM))
    return lambda now: tpm2.appraise(evidence, policy=policy, nonce=None, now=now)


KINDS: dict[str, tuple[Callable[[str], Look], int, tuple[Reason, int]]] = {
    "aws-nitro": (nitro, NOW, (Reason.CHAIN_UNTRUSTED, 2)),
    "app-attest": (app, NOW, (Reason.CHAIN_UNTRUSTED, 2)),
    "sev-snp": (snp, NOW, (Reason.CHAIN_UNTRUSTED, 2)),
    "azure-cvm": (azure, NOW, (Reason.CHAIN_UNTRUSTED, 3)),
    "tpm2": (tpm, tpms.NOW, (Reason.EK_CHAIN_UNTRUSTED, 2)),
}


def outcome(look: Look, now: int) -> tuple[Reason, int | None] | None:
    try:
        look(now)
    except EvidenceRejected as error:
        return error.reason, error.step
    return None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_certificate_is_valid_from_its_first_second_to_its_last(
    kind: str, place: str
) -> None:
    make, middle, refusal = KINDS[kind]
    look = make(place)
    for edge in (middle - HALF_S, middle, middle + HALF_S):
        assert outcome(look, edge) is None, edge - middle
    # The path is remembered by now, and not believed for longer.
    for beyond in (middle - HALF_S - 1, middle + HALF_S + 1):
        assert outcome(look, beyond) == refusal, beyond - middle
    assert outcome(look, middle) is None


@pytest.mark.parametrize("place", PLACES)
def test_a_nitro_path_that_has_ended_since_is_refused(place: str) -> None:
    """The document is made within the certificate's time, and looked at after it."""
    leaf, authority, root = device_chain(ENCLAVE.key, place)
    policy = ENCLAVE.policy(chains=ChainCache(trusted(root)))
    evidence = ENCLAVE.evidence(
        certificate=leaf, cabundle=[root, authority], timestamp=(NOW + HALF_S) * 1_000
    )

    def look(now: int) -> object:
        return aws_nitro.appraise(evidence, policy=policy, nonce=None, now=now)

    assert outcome(look, NOW + HALF_S) is None
    assert outcome(look, NOW + HALF_S + 1) == (Reason.CHAIN_UNTRUSTED, 2)
