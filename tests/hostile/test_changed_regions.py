"""Each part of good evidence of each kind, changed: refused by the step that the part is about.

A part that nothing signs and nobody reads is named as such, with what a change in it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import KeysteadError, Malformed, Reason
from keystead.model import EvidenceKind
from tests.every_kind import SAMPLES, attest
from tests.evidence_regions import (
    CHAIN,
    FORM,
    Path,
    Region,
    Verdict,
    all_regions,
    encoded,
    part,
    whole,
)
from tests.snp_builder import ca

REGIONS = all_regions()
MAX_PLACES = 6
MASKS = (0x01, 0x80)


def with_bytes(kind: EvidenceKind, path: Path, data: bytes) -> bytes:
    """The sample's envelope with other bytes at that place."""

    def put(value: Any, rest: Path) -> Any:
        if not rest:
            return encoded(data, path)
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[rest[0]] = put(copy[rest[0]], rest[1:])
        return copy

    return SAMPLES[kind].envelope(put(dict(SAMPLES[kind].members), path))


def verdict(envelope: bytes, kind: EvidenceKind) -> Verdict | None:
    try:
        attest(envelope, SAMPLES[kind])
    except Malformed:
        return FORM
    except KeysteadError as error:
        return error.reason, error.step
    return None


@pytest.mark.parametrize("region", REGIONS, ids=lambda each: f"{each.kind}: {each.name}")
def test_a_change_is_refused_by_the_step_that_it_concerns(region: Region) -> None:
    data = whole(region.kind, region.path)
    step = max(region.size // MAX_PLACES, 1)
    last = region.start + region.size - 1
    seen = set()
    for at in sorted({*range(region.start, last + 1, step), last}):
        for mask in MASKS:
            bent = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            found = verdict(with_bytes(region.kind, region.path, bent), region.kind)
            assert found in region.verdicts, (at - region.start, mask)
            seen.add(found)
    assert seen - {FORM} or region.verdicts == {FORM}


def test_apples_receipt_is_for_apple_and_says_nothing_here() -> None:
    """Not covered by the certified nonce, and not read: another one changes no decision."""
    region = part(EvidenceKind.APP_ATTEST, "receipt", ("attestation_object",), b"\x47receipt")
    data = whole(region.kind, region.path)
    other = data.replace(b"\x47receipt", b"\x47RECEIPT")
    assert verdict(with_bytes(region.kind, region.path, other), region.kind) is None


def test_the_chain_of_intels_lists_is_not_read() -> None:
    """A list is believed of the CA in the quote's own chain: another one changes no decision."""
    sample, path = SAMPLES[EvidenceKind.TDX], ("collateral", "pck_crl_issuer_chain")
    for data in (b"none", whole(sample.kind, path)[::-1]):
        assert verdict(with_bytes(sample.kind, path, data), sample.kind) is None


def test_certificates_that_no_path_needs_say_nothing() -> None:
    """A root may come along, and so may a stranger's CA."""
    sample = SAMPLES[EvidenceKind.SEV_SNP]
    for extra in (ca("ARK-Test"), ca("stranger")):
        certificates = [*sample.members["certificates"], base64url.encode(extra)]
        envelope = sample.envelope({**sample.members, "certificates": certificates})
        assert verdict(envelope, sample.kind) is None
    leaf, authority = sample.members["certificates"]
    swapped = sample.envelope({**sample.members, "certificates": [authority, leaf]})
    assert verdict(swapped, sample.kind) == CHAIN


# --- tokens ---------------------------------------------------------------------------------------

ISSUER: Verdict = (Reason.ISSUER_MISMATCH, 1)
UNSIGNED: Verdict = (Reason.SIGNATURE_INVALID, 4)
HEADER: dict[str, tuple[Any, Verdict]] = {
    "typ": ("at+jwt", (Reason.TYPE_MISMATCH, 2)),
    "kid": ("k2", (Reason.KEY_UNKNOWN, 3)),
}
OF_KIND: dict[EvidenceKind, dict[str, tuple[Any, Verdict]]] = {
    EvidenceKind.OIDC: {"alg": ("PS256", UNSIGNED)},
    EvidenceKind.MAA: {
        "alg": ("PS256", (Reason.ALGORITHM_NOT_ALLOWED, 2)),
        "jku": ("https://attest.example/others", ISSUER),
    },
}
TOKENS = (EvidenceKind.OIDC, EvidenceKind.MAA)


def resealed(kind: EvidenceKind, segment: int, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The token with one segment's JSON changed, and its signature kept."""
    segments = SAMPLES[kind].members["token"].split(".")
    members = json.loads(base64url.decode(segments[segment]))
    change(members)
    segments[segment] = base64url.encode(json.dumps(members).encode())
    return SAMPLES[kind].envelope({"token": ".".join(segments)})


def claims_of(kind: EvidenceKind) -> list[str]:
    payload = SAMPLES[kind].members["token"].split(".")[1]
    return sorted(json.loads(base64url.decode(payload)))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in TOKENS for name in {**HEADER, **OF_KIND[kind]}],
)
def test_a_changed_header_is_refused_by_the_step_that_reads_it(
    kind: EvidenceKind, name: str
) -> None:
    value, expected = (HEADER | OF_KIND[kind])[name]
    envelope = resealed(kind, 0, lambda members: members.update({name: value}))
    assert verdict(envelope, kind) == expected


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in TOKENS for name in claims_of(kind)]
)
def test_a_changed_claim_was_not_signed(kind: EvidenceKind, name: str) -> None:
    def bend(members: dict[str, Any]) -> None:
        value = members[name]
        if isinstance(value, bool):
            members[name] = not value
        elif isinstance(value, int):
            members[name] = value + 1
        elif isinstance(value, str):
            members[name] = value[:-1] + ("0" if value[-1:] != "0" else "1")
        else:
            members[name] = {**value, "more": True}

    expected = {ISSUER} if name == "iss" else {UNSIGNED, FORM}
    assert verdict(resealed(kind, 1, bend), kind) in expected
