"""Values that tests put into a store; every builder takes the fields that the test is about."""

from dataclasses import replace
from typing import Any

from keystead.model import (
    Actor,
    AuditAction,
    AuditEvent,
    BoundKey,
    Checkpoint,
    EkId,
    EnrolledHost,
    EvidenceKind,
    Freshness,
    Grant,
    GrantId,
    Jkt,
    KeptEvidence,
    KeyEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    Protection,
    RegistrationEntry,
    Residency,
    ResultId,
    SignerTier,
    SigningKey,
    SpiffeId,
    Subject,
    WrappedKey,
)
from keystead.operations import (
    UseOnce,
)

NOW = 1_790_000_000
EK = EkId("ek-1")
HOST_ID = SpiffeId("spiffe://example.org/host/1")
AGENT = SpiffeId("spiffe://example.org/agent/reports")
JKT = Jkt("a" * 43)
JWK = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}


def event(**fields: Any) -> AuditEvent:
    base = AuditEvent(
        action=AuditAction.TOKEN_ISSUED,
        at=NOW,
        caller=AGENT,
        sub="user-1",
        actors=(AGENT,),
        jkt=JKT,
        kind="tpm2",
        object="token-1",
        detail={"audience": "https://api.example", "lifetime_s": 300},
    )
    return replace(base, **fields)


def once(key: bytes, *, space: str = "proof", until: int = NOW + 300) -> UseOnce:
    return UseOnce(space=space, key=key, until=until)


def host(**fields: Any) -> EnrolledHost:
    base = EnrolledHost(
        ek=EK,
        ek_public_name="000b" + "ab" * 32,
        spiffe_id=HOST_ID,
        labels=(("rack", "7"),),
        enrolled_at=NOW,
        enrolled_by="operator",
    )
    return replace(base, **fields)


def entry(**fields: Any) -> RegistrationEntry:
    base = RegistrationEntry(
        id="entry-1",
        spiffe_id=AGENT,
        parent=HOST_ID,
        kind=EvidenceKind.TPM2,
        ek=EK,
        pcrs={"sha256": {7: ("00" * 32, "11" * 32), 11: ("22" * 32,)}},
        labels=(("rack", "7"),),
        binding_ttl_s=3600,
        created_at=NOW,
        created_by="operator",
    )
    return replace(base, **fields)


def residency() -> Residency:
    return Residency(
        kind=EvidenceKind.TPM2,
        protection=Protection.NON_EXPORTABLE,
        hardware=False,
        verified_at=NOW,
        freshness=Freshness.CHALLENGED,
        policy="hosts/1",
        result=ResultId("result-1"),
    )


def bound_key(**fields: Any) -> BoundKey:
    base = BoundKey(
        jkt=JKT,
        jwk=JWK,
        spiffe_id=AGENT,
        residency=residency(),
        ek=EK,
        entry="entry-1",
        bound_at=NOW,
        expires_at=NOW + 3600,
    )
    return replace(base, **fields)


def grant(**fields: Any) -> Grant:
    base = Grant(
        id=GrantId("grant-1"),
        subject=Subject(
            sub="user-1",
            issuer="https://idp.example",
            client="console",
            aal=3,
            acr="phrh",
            amr=("pop", "user"),
            auth_time=NOW - 60,
        ),
        agent=AGENT,
        jkt=JKT,
        actor=Actor(sub=AGENT, iss="https://issuer.example", act=Actor(sub="spiffe://a/b")),
        audience="https://api.example",
        scopes=("read", "write"),
        handle_hash=b"h" * 32,
        created_at=NOW,
        expires_at=NOW + 86_400,
    )
    return replace(base, **fields)


def signing_key(**fields: Any) -> SigningKey:
    base = SigningKey(
        kid=Kid("kid-1"),
        purpose=KeyPurpose.TOKEN,
        algorithm="ES256",
        state=KeyState.PENDING,
        tier=SignerTier.TPM,
        owner="keystead",
        allow_digest=False,
        jwk=JWK,
        wrapped=WrappedKey(public=b"\x00\x02pu", private=b"\x00\x02pr"),
        evidence=KeyEvidence(
            ek_public=b"ek",
            ek_certificate=None,
            ek_certificate_chain=(b"ca",),
            ak_public=b"ak",
            qualifying_data=b"q",
            certify_attest=b"a",
            certify_signature=b"s",
        ),
        created_at=NOW,
        activates_at=NOW + 600,
    )
    return replace(base, **fields)


def checkpoint(**fields: Any) -> Checkpoint:
    base = Checkpoint(
        sequence=10, hash=b"c" * 32, counter=1, at=NOW, kid=Kid("audit-1"), jws="e30.e30.c2ln"
    )
    return replace(base, **fields)


def kept(**fields: Any) -> KeptEvidence:
    """Evidence of a binding."""
    wanted: dict[str, Any] = {
        "kind": EvidenceKind.SEV_SNP,
        "envelope": b'{"keystead_evidence":1}',
        "nonce": bytes(range(32)),
        "appraised_at": NOW,
    }
    return KeptEvidence(**(wanted | fields))
