"""Values on the wire, and what is refused of messages that come from it."""

import json

import pytest

from keystead.errors import Malformed, Reason
from keystead.model import (
    Actor,
    EnrolledHost,
    EvidenceKind,
    Grant,
    KeyEvidence,
    KeyPurpose,
    KeyState,
    RegistrationEntry,
    SignerTier,
    SigningKey,
    Subject,
    WrappedKey,
)
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.server.grpc.identity import entry_message, host_message, pcr_references
from keystead.server.grpc.keys import key_message
from keystead.server.grpc.tokens import grant_message

KEY = SigningKey(
    kid="k",
    purpose=KeyPurpose.EXTERNAL,
    algorithm="ES256",
    state=KeyState.ACTIVE,
    tier=SignerTier.TPM,
    owner="spiffe://example.org/issuer",
    allow_digest=True,
    jwk={"kty": "EC", "crv": "P-256"},
    wrapped=WrappedKey(public=b"public", private=b"PRIVATE"),
    evidence=KeyEvidence(
        ek_public=b"ek",
        ek_certificate=None,
        ek_certificate_chain=(b"ca",),
        ak_public=b"ak",
        qualifying_data=b"q",
        certify_attest=b"attest",
        certify_signature=b"signature",
    ),
    created_at=1,
    activates_at=2,
)


def test_a_key_goes_out_without_its_private_half() -> None:
    message = key_message(KEY, with_evidence=True)
    assert json.loads(message.jwk) == KEY.jwk
    assert (message.purpose, message.state, message.tier) == ("external", "active", "tpm")
    assert (message.activates_at, message.retired_at) == (2, 0)
    assert message.evidence.key_public == b"public"
    assert message.evidence.ek_certificate == b""
    assert list(message.evidence.ek_certificate_chain) == [b"ca"]
    assert b"PRIVATE" not in message.SerializeToString()


def test_evidence_goes_out_only_where_it_was_asked_for() -> None:
    assert not key_message(KEY, with_evidence=False).HasField("evidence")


def test_a_grant_goes_out_without_its_handle() -> None:
    grant = Grant(
        id="g",
        subject=Subject(
            sub="u", issuer="https://idp", client="c", aal=2, acr=None, amr=(), auth_time=None
        ),
        agent="spiffe://example.org/agent",
        jkt="j",
        actor=Actor(sub="spiffe://example.org/agent"),
        audience="https://api",
        scopes=("read", "write"),
        handle_hash=b"HANDLE-HASH",
        created_at=1,
        expires_at=2,
    )
    message = grant_message(grant)
    assert (message.sub, message.subject_issuer, message.parent) == ("u", "https://idp", "")
    assert list(message.scopes) == ["read", "write"]
    assert message.revoked_at == 0
    assert b"HANDLE-HASH" not in message.SerializeToString()


def test_entries_and_hosts_survive_the_way_out() -> None:
    entry = RegistrationEntry(
        id="e",
        spiffe_id="spiffe://example.org/agent",
        parent="spiffe://example.org/host/one",
        kind=EvidenceKind.TPM2,
        ek="ek",
        pcrs={"sha256": {0: ("aa",), 7: ("bb", "cc")}},
        labels=(("rack", "7"),),
        binding_ttl_s=60,
        created_at=1,
        created_by="olga",
    )
    message = entry_message(entry)
    assert pcr_references(message.pcrs) == entry.pcrs
    assert dict(message.labels) == {"rack": "7"}
    host = EnrolledHost(
        ek="ek", ek_public_name="00", spiffe_id=entry.parent, enrolled_at=1, enrolled_by="olga"
    )
    assert host_message(host).ek_name == "00"


def test_a_pcr_that_comes_twice_is_refused() -> None:
    twice = [pb.PcrReference(bank="sha256", index=7, values=["aa"])] * 2
    with pytest.raises(Malformed) as caught:
        pcr_references(twice)
    assert caught.value.reason is Reason.PARAMETER_REPEATED
