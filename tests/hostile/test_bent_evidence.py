"""Evidence bent at random, also by those who may sign it, raises nothing that is unforeseen."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.codec import base64url, cbor, json
from keystead.errors import KeysteadError
from keystead.evidence import oidc as oidc_evidence
from keystead.model import EvidenceKind
from tests import azure_builder as azure
from tests import evidence_builder as tpms
from tests import nitro_builder as nitro
from tests import workload_tokens as tokens
from tests.bent_bytes import bent
from tests.every_kind import (
    ENCLAVE,
    GUEST,
    HOST,
    MACHINE,
    SAMPLES,
    TOKENS,
    Sample,
    attest,
    binaries,
    changed,
    places,
)

EXAMPLES = 25

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["", "AA", "A", "any", "0", "x5c", "RSA", "\x00", "..", "/", "\ud7ff"])
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def look(data: bytes, sample: Sample) -> None:
    with suppress(KeysteadError):
        attest(data, sample)


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_members_of_any_value(kind: EvidenceKind, data: st.DataObject) -> None:
    sample = SAMPLES[kind]
    path = data.draw(st.sampled_from([path for path, _ in places(sample.members) if path]))
    look(sample.envelope(changed(sample.members, path, data.draw(JSONS))), sample)


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if kind not in TOKENS])
@settings(max_examples=EXAMPLES * 2)
@given(data=st.data())
def test_members_of_bent_bytes(kind: EvidenceKind, data: st.DataObject) -> None:
    sample = SAMPLES[kind]
    path, text = data.draw(st.sampled_from(binaries(sample)))
    put = base64url.encode(data.draw(bent(base64url.decode(text))))
    look(sample.envelope(changed(sample.members, path, put)), sample)


KEY_MEMBERS = st.sampled_from(
    ["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid", "d"]
)


@settings(max_examples=EXAMPLES)
@given(members=st.dictionaries(KEY_MEMBERS, JSONS | st.sampled_from(["EC", "P-256", "OKP", "sig"])))
def test_keys_of_any_value(members: dict[str, Any]) -> None:
    sample = SAMPLES[EvidenceKind.AWS_NITRO]
    outer = dict(json.parse_object(sample.envelope()))
    look(json.encode(outer | {"key": {**sample.key.members, **members}}), sample)


# --- by those who may sign ------------------------------------------------------------------------

CBORS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=60)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-2, 40) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
NITRO = SAMPLES[EvidenceKind.AWS_NITRO]
NITRO_MEMBERS = sorted(ENCLAVE.members())


@settings(max_examples=EXAMPLES)
@given(name=st.sampled_from(NITRO_MEMBERS), value=CBORS, more=st.booleans())
def test_signed_documents_of_any_member(name: str, value: Any, more: bool) -> None:
    members = ENCLAVE.members() | ({name: value} if not more else {f"{name}!": value})
    document = nitro.sign1(cbor.encode(members), key=ENCLAVE.key)
    look(NITRO.envelope({"document": base64url.encode(document)}), NITRO)


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_signed_documents_of_bent_certificates(data: st.DataObject) -> None:
    made = ENCLAVE.chain
    leaf = data.draw(st.just(made.leaf) | bent(made.leaf))
    bundle = data.draw(st.lists(st.sampled_from(made.bundle) | bent(made.bundle[1]), max_size=5))
    document = ENCLAVE.document(certificate=leaf, cabundle=bundle)
    look(NITRO.envelope({"document": base64url.encode(document)}), NITRO)


SNP = SAMPLES[EvidenceKind.SEV_SNP]
FIELDS = GUEST.fields()


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_signed_reports_of_any_field(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3))
    fields = {
        name: data.draw(st.binary(min_size=len(FIELDS[name]), max_size=len(FIELDS[name])))
        for name in names
    }
    report = base64url.encode(GUEST.report(**fields))
    look(SNP.envelope({**SNP.members, "report": report}), SNP)


@settings(max_examples=EXAMPLES // 3)  # An RSA signature each.
@given(data=st.data())
def test_certified_chips_of_any_extension(data: st.DataObject) -> None:
    extensions = GUEST.extensions()
    name = data.draw(st.sampled_from(sorted(extensions)))
    extensions[name] = data.draw(bent(extensions[name]) | st.binary(min_size=1, max_size=70))
    leaf = GUEST.leaf(extensions=extensions)
    certificates = [base64url.encode(leaf), SNP.members["certificates"][1]]
    look(SNP.envelope({**SNP.members, "certificates": certificates}), SNP)


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_reported_runtime_data_of_any_member(data: st.DataObject) -> None:
    sample = SAMPLES[EvidenceKind.AZURE_CVM]
    names = ["keys", "vm-configuration", "user-data", "more"]
    value = data.draw(JSONS | st.lists(st.dictionaries(KEY_MEMBERS, JSONS), max_size=3))
    runtime = azure.runtime_data(**{data.draw(st.sampled_from(names)): value})
    hcl = base64url.encode(MACHINE.hcl(runtime=runtime))
    look(sample.envelope({**sample.members, "hcl_report": hcl}), sample)


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_reported_attestation_keys_of_any_value(data: st.DataObject) -> None:
    """The runtime data are those of the report, so what is in the key is the next thing read."""
    sample = SAMPLES[EvidenceKind.AZURE_CVM]
    octets = st.binary(max_size=512)
    key = {
        "kid": "HCLAkPub",
        "kty": "RSA",
        "n": base64url.encode(data.draw(octets)),
        "e": base64url.encode(data.draw(st.binary(max_size=4))),
    }
    hcl = base64url.encode(MACHINE.hcl(runtime=azure.runtime_data(keys=[key])))
    look(sample.envelope({**sample.members, "hcl_report": hcl}), sample)


TPM2 = SAMPLES[EvidenceKind.TPM2]


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_signed_quotes_of_any_body(data: st.DataObject) -> None:
    body = data.draw(bent(tpms.quote_body()))
    kind = data.draw(st.sampled_from([tpms.QUOTE_TYPE, tpms.CERTIFY_TYPE]))
    quote = HOST.quote(body=body, kind=kind)
    look(TPM2.envelope(HOST.members(quote=quote)), TPM2)


@settings(max_examples=EXAMPLES)
@given(claims=st.dictionaries(st.sampled_from(sorted(tokens.platform_claims())), JSONS, min_size=1))
def test_signed_tokens_of_any_claim(claims: dict[str, Any]) -> None:
    sample = SAMPLES[EvidenceKind.OIDC]
    token = tokens.sign({**tokens.platform_claims(), **claims})
    look(sample.envelope(oidc_evidence.encode(token=token)), sample)


MAA_CLAIMS = tokens.maa_claims()
MAA_NAMES = sorted(MAA_CLAIMS) + sorted(MAA_CLAIMS["x-ms-isolation-tee"])


@settings(max_examples=EXAMPLES)
@given(claims=st.dictionaries(st.sampled_from(MAA_NAMES), JSONS, min_size=1), inner=st.booleans())
def test_signed_attestation_tokens_of_any_claim(claims: dict[str, Any], inner: bool) -> None:
    sample = SAMPLES[EvidenceKind.MAA]
    made = tokens.maa_claims(tee=claims) if inner else {**MAA_CLAIMS, **claims}
    look(sample.envelope({"token": tokens.maa_token(made)}), sample)


HEADERS = st.sampled_from(["alg", "typ", "kid", "jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"])


@pytest.mark.parametrize("kind", [EvidenceKind.OIDC, EvidenceKind.MAA])
@settings(max_examples=EXAMPLES)
@given(header=st.dictionaries(HEADERS, JSONS, min_size=1, max_size=3))
def test_tokens_of_any_header(kind: EvidenceKind, header: dict[str, Any]) -> None:
    sample = SAMPLES[kind]
    _, payload, signature = sample.members["token"].split(".")
    head = json.encode({"alg": "RS256", "typ": "JWT", "kid": "k1", **header})
    look(sample.envelope({"token": f"{base64url.encode(head)}.{payload}.{signature}"}), sample)
