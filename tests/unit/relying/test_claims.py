"""Every claim: the good, and each way to be wrong with its exact reason and step."""

from collections.abc import Mapping

import pytest

from keystead.errors import (
    Malformed,
    Reason,
)
from keystead.model import EvidenceKind, Protection
from keystead.relying.claims import PROVABLE
from keystead.relying.steps import Step
from tests.jose_keys import public_jwk
from tests.relying_tokens import (
    AGENT,
    AUDIENCE,
    ISSUER,
    LEAVE_OUT,
    NOW,
    accept,
    refused,
    residency,
    token,
    verifier,
)

CLAIMS: list[tuple[str, object, Reason, Step]] = [
    ("iss", LEAVE_OUT, Reason.CLAIM_MISSING, Step.ISSUER),
    ("iss", ["x"], Reason.CLAIM_INVALID, Step.ISSUER),
    ("iss", ISSUER + "/", Reason.ISSUER_MISMATCH, Step.ISSUER),
    ("aud", LEAVE_OUT, Reason.CLAIM_MISSING, Step.AUDIENCE),
    ("aud", None, Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("aud", [], Reason.AUDIENCE_MISMATCH, Step.AUDIENCE),
    ("aud", AUDIENCE + "/", Reason.AUDIENCE_MISMATCH, Step.AUDIENCE),
    ("aud", [AUDIENCE, 7], Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("aud", [AUDIENCE] * 21, Reason.CLAIM_INVALID, Step.AUDIENCE),
    ("exp", LEAVE_OUT, Reason.CLAIM_MISSING, Step.TIMES),
    ("exp", str(NOW + 60), Reason.CLAIM_INVALID, Step.TIMES),
    ("exp", True, Reason.CLAIM_INVALID, Step.TIMES),
    ("exp", -1, Reason.CLAIM_INVALID, Step.TIMES),
    ("iat", LEAVE_OUT, Reason.CLAIM_MISSING, Step.TIMES),
    ("iat", None, Reason.CLAIM_INVALID, Step.TIMES),
    ("nbf", "soon", Reason.CLAIM_INVALID, Step.TIMES),
    ("nbf", NOW + 6, Reason.NOT_YET_VALID, Step.TIMES),
    ("iat", NOW - 101, Reason.LIFETIME_TOO_LONG, Step.LIFETIME),
    ("exp", NOW - 10, Reason.EXPIRED, Step.TIMES),
    ("sub", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("sub", "", Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("sub", 7, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("sub", "u\x00v", Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("client_id", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("client_id", {}, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("jti", LEAVE_OUT, Reason.CLAIM_MISSING, Step.IDENTITIES),
    ("jti", "j" * 257, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("txn", 1, Reason.CLAIM_INVALID, Step.IDENTITIES),
    ("act", None, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", AGENT, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", {}, Reason.CLAIM_MISSING, Step.ACTOR),
    ("act", {"sub": AGENT, "act": {"iss": "x"}}, Reason.CLAIM_MISSING, Step.ACTOR),
    ("act", {"sub": AGENT, "iss": 1}, Reason.CLAIM_INVALID, Step.ACTOR),
    ("act", {"sub": AGENT, "attestation": []}, Reason.CLAIM_INVALID, Step.ACTOR),
    ("scope", ["orders:read"], Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", "", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", "a  b", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", " a", Reason.CLAIM_INVALID, Step.SCOPE),
    ("scope", 'a"b', Reason.CLAIM_INVALID, Step.SCOPE),
    ("aal", 0, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", 4, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", "3", Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("aal", True, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("acr", 3, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("amr", "pop", Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("amr", ["x"] * 17, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("auth_time", NOW + 6, Reason.CLAIM_INVALID, Step.AUTHENTICATION),
    ("cnf", LEAVE_OUT, Reason.BINDING_MISSING, Step.CONFIRMATION),
    ("cnf", {}, Reason.BINDING_MISSING, Step.CONFIRMATION),
    ("cnf", None, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": 7}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "short"}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "A" * 42 + "B"}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
    ("cnf", {"jkt": "A" * 43, "x5t#S256": "A" * 43}, Reason.CLAIM_INVALID, Step.CONFIRMATION),
]


@pytest.mark.parametrize(("name", "value", "reason", "step"), CLAIMS)
def test_rejects_another_claim(name: str, value: object, reason: Reason, step: Step) -> None:
    assert refused(token(**{name: value})) == (reason, step)


RESIDENCIES: list[tuple[Mapping[str, object], Reason]] = [
    *[({name: LEAVE_OUT}, Reason.CLAIM_MISSING) for name in residency()],
    *[({name: 7.5}, Reason.CLAIM_INVALID) for name in residency()],
    ({"kind": "crystal"}, Reason.CLAIM_INVALID),
    ({"protection": "total"}, Reason.CLAIM_INVALID),
    ({"freshness": "stale"}, Reason.CLAIM_INVALID),
    ({"hardware": 1}, Reason.CLAIM_INVALID),
    ({"result": "A" * 44}, Reason.CLAIM_INVALID),
    ({"verified_at": NOW + 6}, Reason.CLAIM_INVALID),
    # What no evidence of that kind proves, and hardware that it cannot show.
    ({"protection": "measured-code"}, Reason.CLAIM_INVALID),
    ({"protection": "none", "hardware": True}, Reason.CLAIM_INVALID),
    ({"kind": "oidc", "protection": "none", "hardware": True}, Reason.CLAIM_INVALID),
    *[
        ({"kind": kind, "protection": claimed, "hardware": False}, Reason.CLAIM_INVALID)
        for kind in EvidenceKind
        for claimed in Protection
        if claimed not in PROVABLE[kind]
    ],
]


@pytest.mark.parametrize(("changes", "reason"), RESIDENCIES)
def test_rejects_another_residency(changes: Mapping[str, object], reason: Reason) -> None:
    cnf = {"jkt": public_jwk(name="holder").thumbprint, "residency": residency(**changes)}
    assert refused(token(cnf=cnf)) == (reason, Step.RESIDENCY)


@pytest.mark.parametrize("kind", EvidenceKind)
def test_accepts_what_each_kind_can_prove(kind: EvidenceKind) -> None:
    assert (Protection.NON_EXPORTABLE in PROVABLE[kind]) is (kind is EvidenceKind.TPM2)
    for protection in PROVABLE[kind]:
        said = residency(kind=kind, protection=protection, hardware=False)
        cnf = {"jkt": public_jwk(name="holder").thumbprint, "residency": said}
        found = accept(verifier(), token(cnf=cnf)).residency
        assert found is not None
        assert (found.kind, found.protection) == (kind, protection)


def test_rejects_a_residency_that_is_no_object() -> None:
    cnf = {"jkt": public_jwk(name="holder").thumbprint, "residency": "tpm2"}
    assert refused(token(cnf=cnf)) == (Reason.CLAIM_INVALID, Step.RESIDENCY)


def test_skew_is_forgiven_to_the_second_and_no_further() -> None:
    check = verifier(leeway_s=5)
    accept(check, token(exp=NOW - 4, iat=NOW - 100))
    assert refused(token(exp=NOW - 5, iat=NOW - 100)) == (Reason.EXPIRED, Step.TIMES)
    accept(check, token(iat=NOW + 5))
    assert refused(token(iat=NOW + 6)) == (Reason.NOT_YET_VALID, Step.TIMES)
    accept(check, token(nbf=NOW + 5))
    accept(check, token(iat=NOW - 100, exp=NOW + 200))


def test_rejects_a_life_that_ends_before_it_begins() -> None:
    assert refused(token(iat=NOW, exp=NOW)) == (Reason.CLAIM_INVALID, Step.LIFETIME)


def test_act_chains_end() -> None:
    def chain(depth: int) -> dict[str, object]:
        return {"sub": AGENT, "act": chain(depth - 1)} if depth > 1 else {"sub": AGENT}

    assert len(accept(verifier(), token(act=chain(8))).actors) == 8
    assert refused(token(act=chain(9))) == (Reason.CLAIM_INVALID, Step.ACTOR)


PAYLOADS = [
    (b"", Reason.MALFORMED),
    (b"[]", Reason.MALFORMED),
    (b'{"iss": NaN}', Reason.MALFORMED),
    (b'{"iss":"a","iss":"b"}', Reason.DUPLICATE_MEMBER),
    (b'{"act":' * 17 + b"1" + b"}" * 17, Reason.TOO_LARGE),
    (b'{"x":"' + b"y" * 8_192 + b'"}', Reason.TOO_LARGE),
]


@pytest.mark.parametrize(("payload", "reason"), PAYLOADS)
def test_rejects_a_payload_that_is_not_one_strict_object(payload: bytes, reason: Reason) -> None:
    assert refused(token(payload), error=Malformed) == (reason, Step.DECODE)
