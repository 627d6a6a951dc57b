"""The parts of good evidence of each kind, by name, and what may refuse a change in each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keystead.codec import base64url
from keystead.codec.certificate import parse_certificate
from keystead.errors import Reason
from keystead.evidence import kinds
from keystead.evidence.envelope import parse_envelope
from keystead.model import EvidenceKind
from tests import nitro_builder
from tests.every_kind import APP_CLIENT_DATA, DEVICE, GUEST, HOST, MACHINE, SAMPLES, TD_EVENT

Path = tuple[str | int, ...]
Verdict = tuple[Reason, int | None]
# A change that the form does not allow is seen before any step.
FORM: Verdict = (Reason.MALFORMED, None)


@dataclass(frozen=True, kw_only=True)
class Region:
    """``start`` and ``size`` in the bytes at ``path``; ``verdicts`` are the only ones allowed."""

    kind: EvidenceKind
    name: str
    path: Path
    start: int
    size: int
    verdicts: frozenset[Verdict]


def whole(kind: EvidenceKind, path: Path) -> bytes:
    value: Any = SAMPLES[kind].members
    for name in path:
        value = value[name]
    return encoded(value.encode("latin-1"), path, back=True)


def encoded(data: bytes, path: Path, *, back: bool = False) -> Any:
    """``data`` as the text of that member, or back: Intel's collateral is text by itself."""
    if path[0] == "collateral":
        return data if back else data.decode("latin-1")
    return base64url.decode(data.decode("ascii")) if back else base64url.encode(data)


def part(kind: EvidenceKind, name: str, path: Path, found: bytes, *verdicts: Verdict) -> Region:
    """The region that holds ``found``, which stands there exactly once."""
    data = whole(kind, path)
    assert data.count(found) == 1, (kind, name)
    return Region(
        kind=kind,
        name=name,
        path=path,
        start=data.index(found),
        size=len(found),
        verdicts=frozenset(verdicts),
    )


def certificate_parts(
    kind: EvidenceKind, title: str, path: Path, der: bytes, *verdicts: Verdict
) -> Iterator[Region]:
    """Where a certificate's bytes stand, its parts by name."""
    found = parse_certificate(der)
    inner = {
        "issuer": found.issuer,
        "times": found.validity,
        "subject": found.subject,
        "key": found.spki,
        "signature": found.signature,
    }
    data = whole(kind, path)
    at = data.index(der)
    for name, value in inner.items():
        yield Region(
            kind=kind,
            name=f"{title}'s {name}",
            path=path,
            start=at + der.rindex(value),
            size=len(value),
            verdicts=frozenset(verdicts),
        )


# --- aws-nitro ------------------------------------------------------------------------------------

NITRO = EvidenceKind.AWS_NITRO
SIGNED: Verdict = (Reason.EVIDENCE_SIGNATURE, 3)
CHAIN: Verdict = (Reason.CHAIN_UNTRUSTED, 2)


def nitro_regions() -> Iterator[Region]:
    path: Path = ("document",)
    evidence: Any = kinds.parse(parse_envelope(SAMPLES[NITRO].envelope()))
    document = evidence.document
    signed = {
        "module_id": document.module_id.encode(),
        **{f"PCR {index}": value for index, value in document.pcrs.items()},
        "public_key": document.public_key,
        "user_data": document.user_data,
        "nonce": document.nonce,
        "signature": document.sign1.signature,
    }
    for name, value in signed.items():
        # Text has a form, which is UTF-8.
        forms = (FORM,) if name == "module_id" else ()
        yield part(NITRO, name, path, value, SIGNED, *forms)
    yield part(NITRO, "protected header", path, nitro_builder.PROTECTED, SIGNED, FORM)
    yield part(NITRO, "digest", path, b"SHA384", FORM)
    made_at = document.timestamp_ms.to_bytes(8, "big")
    # Its time is what the chain is looked at by.
    yield part(NITRO, "timestamp", path, made_at, SIGNED, CHAIN, FORM)
    root, authority = document.cabundle
    yield from certificate_parts(NITRO, "leaf", path, document.certificate, CHAIN)
    yield from certificate_parts(NITRO, "CA", path, authority, CHAIN)
    yield from certificate_parts(NITRO, "root", path, root, CHAIN)


# --- sev-snp --------------------------------------------------------------------------------------

SNP = EvidenceKind.SEV_SNP
ORIGIN: Verdict = (Reason.EVIDENCE_TYPE, 1)
SNP_VERDICTS: dict[str, tuple[Verdict, ...]] = {
    "version": (SIGNED, FORM),
    "vmpl": (SIGNED, ORIGIN),
    "algorithm": (ORIGIN,),
    "flags": (SIGNED, ORIGIN, FORM),
    "cpuid": (SIGNED, FORM),
}


def snp_regions() -> Iterator[Region]:
    at = 0
    for name, value in GUEST.fields().items():
        yield Region(
            kind=SNP,
            name=name,
            path=("report",),
            start=at,
            size=len(value),
            verdicts=frozenset(SNP_VERDICTS.get(name, (SIGNED,))),
        )
        at += len(value)
    for name, size, verdicts in (
        ("r", 48, (SIGNED,)),
        ("zeros above r", 24, (FORM,)),
        ("s", 48, (SIGNED,)),
        ("zeros above s", 24, (FORM,)),
        ("zeros after the signature", 368, (FORM,)),
    ):
        allowed: frozenset[Verdict] = frozenset(verdicts)
        yield Region(kind=SNP, name=name, path=("report",), start=at, size=size, verdicts=allowed)
        at += size
    for index, title in enumerate(("VCEK", "ASK")):
        path: Path = ("certificates", index)
        yield from certificate_parts(SNP, title, path, whole(SNP, path), CHAIN)


# --- tdx ------------------------------------------------------------------------------------------

TDX = EvidenceKind.TDX
TD_SIGNED: Verdict = (Reason.EVIDENCE_SIGNATURE, 6)
QE_SIGNED: Verdict = (Reason.EVIDENCE_SIGNATURE, 4)
ANOTHER_KEY: Verdict = (Reason.ENDORSEMENT_MISMATCH, 4)
PCK_CHAIN: Verdict = (Reason.CHAIN_UNTRUSTED, 1)
INTELS: Verdict = (Reason.COLLATERAL_UNTRUSTED, 2)
PEM_END = b"-----END CERTIFICATE-----"


def tdx_regions() -> Iterator[Region]:
    path: Path = ("quote",)
    for name, start, size, verdict in (
        ("version", 0, 2, FORM),
        ("kind of key", 2, 2, FORM),
        ("kind of TEE", 4, 4, FORM),
        ("reserved", 8, 4, TD_SIGNED),
        ("enclave's vendor", 12, 16, FORM),
        ("user data", 28, 20, TD_SIGNED),
        # Every register, the attributes and REPORTDATA, before anything of them is compared.
        ("report body", 48, 584, TD_SIGNED),
    ):
        verdicts = frozenset({verdict})
        yield Region(kind=TDX, name=name, path=path, start=start, size=size, verdicts=verdicts)
    evidence: Any = kinds.parse(parse_envelope(SAMPLES[TDX].envelope()))
    quote = evidence.quote
    yield part(TDX, "REPORTDATA", path, quote.report.report_data, TD_SIGNED)
    yield part(TDX, "signature", path, quote.signature, TD_SIGNED)
    yield part(TDX, "attestation key", path, quote.attestation_key, ANOTHER_KEY)
    yield part(TDX, "QE report", path, quote.qe_report.raw, QE_SIGNED)
    yield part(TDX, "QE report's signature", path, quote.qe_report_signature, QE_SIGNED)
    yield part(TDX, "authentication data", path, quote.qe_auth_data, ANOTHER_KEY)
    yield part(TDX, "PCK certificate", path, first_pem(quote.pck_chain), PCK_CHAIN)
    yield from collateral_regions()
    digest = hashlib.sha384(TD_EVENT).digest()
    yield part(TDX, "event's digest", ("event_log",), digest, (Reason.EVENT_LOG_MISMATCH, 12))


def collateral_regions() -> Iterator[Region]:
    """All that is read of it; text that is not ASCII, and hex that is none, has no form."""
    for name, verdict in {
        "root_ca_crl": PCK_CHAIN,
        "pck_crl": PCK_CHAIN,
        "tcb_info": INTELS,
        "tcb_info_signature": INTELS,
        "tcb_info_issuer_chain": INTELS,
        "qe_identity": INTELS,
        "qe_identity_signature": INTELS,
        "qe_identity_issuer_chain": INTELS,
    }.items():
        path: Path = ("collateral", name)
        data = whole(TDX, path)
        found = first_pem(data) if name.endswith("chain") else data
        yield part(TDX, name, path, found, verdict, FORM)


def first_pem(chain: bytes) -> bytes:
    """The first certificate, without the line's end after it, which is not read."""
    return chain[: chain.index(PEM_END) + len(PEM_END)]


# --- azure-cvm ------------------------------------------------------------------------------------

AZURE = EvidenceKind.AZURE_CVM
RUNTIME: Verdict = (Reason.RUNTIME_DATA_MISMATCH, 13)
AZURE_QUOTE: Verdict = (Reason.QUOTE_SIGNATURE, 15)
AZURE_CERTIFY: Verdict = (Reason.CERTIFY_SIGNATURE, 24)
REPORT: Verdict = (Reason.EVIDENCE_SIGNATURE, 4)


def azure_regions() -> Iterator[Region]:
    evidence: Any = kinds.parse(parse_envelope(SAMPLES[AZURE].envelope()))
    hcl: Path = ("hcl_report",)
    snp = evidence.hcl.snp
    for name, size in (("magic", 4), ("version", 4), ("size", 4), ("request", 4), ("status", 4)):
        start = {"magic": 0, "version": 4, "size": 8, "request": 12, "status": 16}[name]
        yield Region(
            kind=AZURE, name=name, path=hcl, start=start, size=size, verdicts=frozenset({FORM})
        )
    yield part(AZURE, "measurement", hcl, snp.measurement, REPORT)
    yield part(AZURE, "REPORT_DATA", hcl, snp.report_data, REPORT)
    yield part(AZURE, "report's signature", hcl, snp.r.to_bytes(48, "little"), REPORT)
    data = whole(AZURE, hcl)
    at = data.index(evidence.hcl.runtime_data)
    yield Region(
        kind=AZURE,
        name="runtime data's head",
        path=hcl,
        start=at - 20,
        size=20,
        verdicts=frozenset({FORM}),
    )
    runtime = evidence.hcl.runtime_data
    ak = base64url.encode(evidence.hcl.ak.modulus.to_bytes(256, "big")).encode()
    # Where it is still JSON, and still names one key, it is other JSON.
    for name, value in {
        "AK": ak,
        "configuration": b'"secure-boot":true',
        "user data": b'"user-data":"00"',
    }.items():
        start = at + runtime.index(value)
        verdicts = frozenset({RUNTIME, FORM})
        yield Region(
            kind=AZURE, name=name, path=hcl, start=start, size=len(value), verdicts=verdicts
        )
    chain: Verdict = (Reason.CHAIN_UNTRUSTED, 3)
    for index, title in enumerate(("VCEK", "ASK")):
        path: Path = ("certificates", index)
        yield from certificate_parts(AZURE, title, path, whole(AZURE, path), chain)
    yield from signed_parts(AZURE, "quote", AZURE_QUOTE)
    yield from signed_parts(AZURE, "certify", AZURE_CERTIFY)
    key = MACHINE.host.key_area
    yield part(
        AZURE, "key_public's point", ("key_public",), point(key), (Reason.CERTIFY_NAME_MISMATCH, 27)
    )


def signed_parts(kind: EvidenceKind, member: str, *verdicts: Verdict) -> Iterator[Region]:
    """A TPMS_ATTEST and its signature; magic, type and the clock's ``safe`` have a form."""
    path: Path = (member, "attest")
    data = whole(kind, path)
    nonce = data.index(SAMPLES[kind].nonce)
    places = {
        "magic": (0, 4, (FORM,)),
        "type": (4, 2, (FORM,)),
        "signer": (8, 34, verdicts),
        "nonce": (nonce, 32, verdicts),
        "clock": (nonce + 32, 16, verdicts),
        "safe": (nonce + 48, 1, (*verdicts, FORM)),
        "firmware": (nonce + 49, 8, verdicts),
        "digest or name": (len(data) - 32, 32, verdicts),
    }
    for name, (start, size, allowed) in places.items():
        yield Region(
            kind=kind,
            name=f"{member}'s {name}",
            path=path,
            start=start,
            size=size,
            verdicts=frozenset(allowed),
        )
    path = (member, "signature")
    size = len(whole(kind, path))
    yield Region(
        kind=kind,
        name=f"{member}'s signature",
        path=path,
        start=size - 32,
        size=32,
        verdicts=frozenset(verdicts),
    )


def point(area: Any) -> bytes:
    return bytes(area.raw[-66:][:32])


# --- app-attest -----------------------------------------------------------------------------------

APP = EvidenceKind.APP_ATTEST
CERTIFIED: Verdict = (Reason.NONCE_MISMATCH, 3)


def app_regions() -> Iterator[Region]:
    path: Path = ("attestation_object",)
    evidence: Any = kinds.parse(parse_envelope(SAMPLES[APP].envelope()))
    attestation = evidence.attestation
    yield part(APP, "format", path, b"apple-appattest", (Reason.EVIDENCE_TYPE, 1), FORM)
    leaf, authority = attestation.x5c
    yield from certificate_parts(APP, "leaf", path, leaf, CHAIN)
    yield from certificate_parts(APP, "CA", path, authority, CHAIN)
    raw = attestation.auth_data.raw
    at = whole(APP, path).index(raw)
    for name, start, size, verdicts in (
        ("RP ID hash", 0, 32, (CERTIFIED,)),
        ("flags", 32, 1, (CERTIFIED, FORM)),
        ("counter", 33, 4, (CERTIFIED,)),
        ("AAGUID", 37, 16, (CERTIFIED,)),
        ("length of the credential", 53, 2, (FORM,)),
        ("credential", 55, 32, (CERTIFIED,)),
        ("credential's key", 87, len(raw) - 87, (CERTIFIED, FORM)),
    ):
        allowed: frozenset[Verdict] = frozenset(verdicts)
        yield Region(kind=APP, name=name, path=path, start=at + start, size=size, verdicts=allowed)
    yield part(APP, "key_id", ("key_id",), DEVICE.key_id, (Reason.KEY_MISMATCH, 4))
    yield part(APP, "client data's nonce", ("client_data",), APP_CLIENT_DATA[:32], CERTIFIED)
    yield part(APP, "client data's hash", ("client_data",), APP_CLIENT_DATA[32:], CERTIFIED)


# --- tpm2 -----------------------------------------------------------------------------------------

TPM2 = EvidenceKind.TPM2
EK_CHAIN: Verdict = (Reason.EK_CHAIN_UNTRUSTED, 2)
TPM2_QUOTE: Verdict = (Reason.QUOTE_SIGNATURE, 6)
NAME: Verdict = (Reason.CERTIFY_NAME_MISMATCH, 20)


def tpm2_regions() -> Iterator[Region]:
    path: Path = ("ek_certificate",)
    leaf = whole(TPM2, path)
    yield from certificate_parts(TPM2, "EK certificate", path, leaf, EK_CHAIN, FORM)
    path = ("ek_certificate_chain", 0)
    yield from certificate_parts(TPM2, "EK's CA", path, whole(TPM2, path), EK_CHAIN, FORM)
    # One bit more or less is mostly no point of the curve.
    ek_mismatch, no_point = (Reason.EK_MISMATCH, 4), (Reason.WEAK_KEY, 4)
    yield part(TPM2, "EK", ("ek_public",), point(HOST.ek), ek_mismatch, no_point)
    yield part(TPM2, "AK", ("ak_public",), point(HOST.ak), (Reason.WEAK_KEY, 5), TPM2_QUOTE)
    yield from signed_parts(TPM2, "quote", TPM2_QUOTE)
    yield from signed_parts(TPM2, "certify", (Reason.CERTIFY_SIGNATURE, 17))
    yield part(TPM2, "workload's key", ("key_public",), point(HOST.key_area), NAME)


def all_regions() -> list[Region]:
    """Of every kind that is bytes; tokens have segments and claims instead."""
    return [
        *nitro_regions(),
        *snp_regions(),
        *azure_regions(),
        *tdx_regions(),
        *app_regions(),
        *tpm2_regions(),
    ]
