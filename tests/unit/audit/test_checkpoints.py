from collections.abc import Mapping

import pytest

from keystead.audit import parse_checkpoint, verify_checkpoint
from keystead.audit.checkpoints import CHECKPOINT_TYPE, parse_announced, parse_baseline
from keystead.codec import base64url
from keystead.errors import Malformed, Reason, Rejected
from keystead.jose import jws
from keystead.jose.jwk import JwkSet
from tests.audit_log import ISSUER, KEYS, KID, links, signed_checkpoint
from tests.jose_keys import compact, private_key
from tests.store_samples import NOW

HEADER = {"alg": "ES256", "kid": KID, "typ": CHECKPOINT_TYPE}
CLAIMS = {
    "iss": ISSUER,
    "iat": NOW,
    "seq": 7,
    "hash": base64url.encode(b"h" * 32),
    "counter": 3,
}


def bent(header: Mapping[str, object] | None = None, **claims: object) -> str:
    """A checkpoint with some members changed, or left out where None, signed as it stands."""
    members = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    shown = {name: value for name, value in (HEADER | dict(header or {})).items() if value}
    return compact(shown, members, key=private_key(name="audit"))


def rejected(checkpoint: str, keys: JwkSet = KEYS) -> str:
    with pytest.raises(Rejected) as caught:
        verify_checkpoint(checkpoint, keys=keys, issuer=ISSUER)
    assert caught.value.reason is Reason.CHECKPOINT_INVALID
    return caught.value.detail


def test_says_in_a_jws_what_was_signed() -> None:
    last = links(7)[-1]
    checkpoint = signed_checkpoint(last, counter=3)
    parsed = jws.parse_compact(checkpoint.jws)
    assert parsed.header == HEADER
    assert (checkpoint.sequence, checkpoint.hash) == (7, last.hash)
    assert (checkpoint.counter, checkpoint.at, checkpoint.kid) == (3, NOW, KID)


def test_accepts_what_the_audit_key_signed() -> None:
    checkpoint = signed_checkpoint(links(7)[-1], counter=3)
    assert verify_checkpoint(checkpoint.jws, keys=KEYS, issuer=ISSUER) == checkpoint
    assert verify_checkpoint(bent(), keys=KEYS, issuer=ISSUER).sequence == 7


def test_rejects_another_signer() -> None:
    forged = signed_checkpoint(links(7)[-1], counter=3, signer="thief")
    assert "signature_invalid" in rejected(forged.jws)


def test_rejects_changed_claims_under_an_old_signature() -> None:
    protected, _, signature = bent().split(".")
    other = bent(counter=4).split(".")[1]
    assert "signature_invalid" in rejected(f"{protected}.{other}.{signature}")


def test_rejects_another_issuers_checkpoint() -> None:
    assert "https://other.example" in rejected(bent(iss="https://other.example"))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"typ": "at+jwt"}, "type_mismatch"),
        ({"typ": None}, "type_mismatch"),
        ({"kid": "audit-2"}, "key_unknown"),
        ({"kid": None}, "key_unknown"),
        ({"alg": "none"}, "algorithm_not_allowed"),
        ({"alg": "HS256"}, "algorithm_not_allowed"),
        ({"crit": ["exp"]}, "critical_header_unknown"),
    ],
)
def test_rejects_a_bent_header(header: dict[str, object], why: str) -> None:
    assert why in rejected(bent(header))


def test_rejects_a_key_that_is_not_an_audit_key() -> None:
    assert "key_unknown" in rejected(bent(), keys=JwkSet([]))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": None},
        {"iat": None},
        {"seq": None},
        {"hash": None},
        {"counter": None},
        {"seq": 0},
        {"seq": "7"},
        {"seq": True},
        {"counter": -1},
        {"counter": 1.0},
        {"hash": base64url.encode(b"h" * 31)},
        {"hash": base64url.encode(b"h" * 33)},
        {"hash": "+" * 43},
        {"iat": 2**63},
        {"sub": "more"},
        {"seq": {"a": 1}},
    ],
)
def test_bent_claims_are_malformed_whoever_signed_them(claims: dict[str, object]) -> None:
    for read in (parse_checkpoint, lambda text: verify_checkpoint(text, keys=KEYS, issuer=ISSUER)):
        with pytest.raises(Malformed):
            read(bent(**claims))


def test_every_truncation_is_refused() -> None:
    whole = bent()
    for length in range(len(whole)):
        with pytest.raises((Malformed, Rejected)):
            verify_checkpoint(whole[:length], keys=KEYS, issuer=ISSUER)
    segments = whole.split(".")
    for cut in (segments[:2], segments[:1], [*segments, ""]):
        with pytest.raises(Malformed):
            verify_checkpoint(".".join(cut), keys=KEYS, issuer=ISSUER)


def test_a_flood_is_malformed() -> None:
    with pytest.raises(Malformed) as caught:
        parse_checkpoint(bent(iss="https://" + "x" * 10_000))
    assert caught.value.reason is Reason.TOO_LARGE


def test_an_unsigned_look_needs_a_kid() -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(bent({"kid": None}))
    with pytest.raises(Rejected) as caught:
        parse_checkpoint(bent({"crit": ["x"]}))
    assert caught.value.reason is Reason.CHECKPOINT_INVALID


def test_the_baseline_is_a_number_or_nothing() -> None:
    assert parse_baseline(None) is None
    assert parse_baseline(b"18446744073709551615") == 2**64 - 1
    for fact in (b"", b"-1", b"1 ", b"x", b"1" * 21, b"\xb2"):
        with pytest.raises(Malformed):
            parse_baseline(fact)


def test_what_was_announced_is_a_checkpoint_or_nothing() -> None:
    checkpoint = signed_checkpoint(links(3)[-1], counter=7)
    assert parse_announced(checkpoint.jws.encode()) == checkpoint
    for fact in (None, b"", b"7", b"\xff", checkpoint.jws.rpartition(".")[0].encode()):
        assert parse_announced(fact) is None
