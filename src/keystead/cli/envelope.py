"""Build an envelope from raw files, so that evidence from elsewhere can be appraised.

Each member of the evidence is an option that takes a file, - for standard input. Certificates may
be DER or PEM. The envelope goes to standard output or --out.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from keystead.appraisal.anchors import pem_certificates
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import ConfigurationError, Malformed, Reason
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.envelope import (
    MAX_DEPTH,
    MAX_ENVELOPE_BYTES,
    encode_envelope,
    parse_envelope,
)
from keystead.evidence.kinds import KINDS, parse
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import EvidenceKind

MAX_KEY_BYTES: Final = 16_384
"""A public JWK of RSA 4096 has under a kilobyte; x5c and its like are not for us."""

_PEM: Final = b"-----BEGIN"

Files: TypeAlias = list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the evidence: its dotted place, how it reads its files, and its option."""

    place: str
    read: Callable[[Files], JSON]
    what: str
    option: str = ""
    required: bool = False
    repeated: bool = False
    text: bool = False

    @property
    def flag(self) -> str:
        """``--quote-attest`` for ``quote.attest``."""
        return self.option or "--" + self.place.replace(".", "-").replace("_", "-")


def _binary(files: Files) -> JSON:
    return base64url.encode(files[0])


def _certificate(files: Files) -> JSON:
    found = _ders(files)
    if len(found) != 1:
        raise Malformed(Reason.PARAMETER_INVALID, "one certificate, not several")
    return base64url.encode(found[0])


def _certificates(files: Files) -> JSON:
    return [base64url.encode(der) for der in _ders(files)]


def _ders(files: Files) -> list[bytes]:
    return [der for data in files for der in (pem_certificates(data) if _PEM in data else (data,))]


def _object(files: Files) -> JSON:
    return json.parse_object(files[0], max_bytes=MAX_ENVELOPE_BYTES, max_depth=MAX_DEPTH - 2)


def _token(files: Files) -> JSON:
    try:
        return files[0].decode("ascii").strip()
    except UnicodeDecodeError:
        raise Malformed(Reason.MALFORMED, "a token that is not ASCII") from None


def _key_id(files: Files) -> JSON:
    """64 hex digits, or base64 as Apple's framework has it."""
    text = files[0].decode()
    try:
        raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Malformed(Reason.PARAMETER_INVALID, "--key-id: neither hex nor base64") from None
    return base64url.encode(raw)


_QUOTE: Final = (
    Member(place="quote.attest", read=_binary, what="TPMS_ATTEST"),
    Member(place="quote.signature", read=_binary, what="TPMT_SIGNATURE"),
    Member(place="pcrs", read=_object, what="JSON: bank, index, hex digits"),
    Member(place="certify.attest", read=_binary, what="TPMS_ATTEST"),
    Member(place="certify.signature", read=_binary, what="TPMT_SIGNATURE"),
    Member(place="key_public", read=_binary, what="TPM2B_PUBLIC"),
)


def _chain(place: str, option: str, what: str, *, required: bool = False) -> Member:
    return Member(
        place=place, read=_certificates, what=what, option=option, required=required, repeated=True
    )


MEMBERS: Final[Mapping[EvidenceKind, tuple[Member, ...]]] = {
    EvidenceKind.TPM2: (
        Member(place="ek_certificate", read=_certificate, what="the EK's"),
        _chain("ek_certificate_chain", "--ek-certificate-chain", "CAs above it; repeatable"),
        Member(place="ek_public", read=_binary, what="TPM2B_PUBLIC"),
        Member(place="ak_certificate", read=_certificate, what="the AK's"),
        _chain("ak_certificate_chain", "--ak-certificate-chain", "CAs above it; repeatable"),
        Member(place="ak_public", read=_binary, what="TPM2B_PUBLIC"),
        *_QUOTE,
        Member(place="event_log", read=_binary, what="the firmware's log"),
    ),
    EvidenceKind.AWS_NITRO: (
        Member(place="document", read=_binary, what="the attestation document", required=True),
    ),
    EvidenceKind.SEV_SNP: (
        Member(place="report", read=_binary, what="the attestation report", required=True),
        _chain(
            "certificates", "--certificate", "VCEK or VLEK, then its CAs; repeatable", required=True
        ),
    ),
    EvidenceKind.TDX: (
        Member(place="quote", read=_binary, what="the DCAP quote", required=True),
        Member(place="collateral", read=_object, what="JSON of DCAP verifiers", required=True),
        Member(place="event_log", read=_binary, what="the firmware's, ACPI's CCEL"),
    ),
    EvidenceKind.AZURE_CVM: (
        Member(place="hcl_report", read=_binary, what="of the vTPM's NV index", required=True),
        _chain("certificates", "--certificate", "VCEK, then its CAs; repeatable"),
        Member(place="td_quote", read=_binary, what="the DCAP quote"),
        Member(place="collateral", read=_object, what="JSON of DCAP verifiers"),
        *_QUOTE,
    ),
    EvidenceKind.MAA: (
        Member(place="token", read=_token, what="the JWT", required=True),
        Member(place="jwks", read=_object, what="saved keys, if the policy names them"),
    ),
    EvidenceKind.APP_ATTEST: (
        Member(place="attestation_object", read=_binary, what="of attestKey", required=True),
        Member(place="key_id", read=_key_id, what="hex or base64", required=True, text=True),
        Member(place="client_data", read=_binary, what="what was hashed", required=True),
    ),
    EvidenceKind.OIDC: (Member(place="token", read=_token, what="the JWT", required=True),),
}
"""The members of each kind's evidence, as its parser in ``evidence/`` takes them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand a kind, one option a member."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, members in MEMBERS.items():
        options = kinds.add_parser(kind.value, help=", ".join(each.flag for each in members))
        for member in members:
            options.add_argument(
                member.flag,
                dest=member.place,
                action="append",
                required=member.required,
                metavar="TEXT" if member.text else "FILE",
                help=member.what,
            )
        options.add_argument("--nonce", metavar="HEX", help="the challenge, 32 bytes")
        options.add_argument("--key", metavar="FILE", help="the public key to bind, a JWK")
        options.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")


def run(options: argparse.Namespace) -> int:
    """Build it, have it parsed, write it."""
    kind = EvidenceKind(options.kind)
    envelope = encode_envelope(
        kind=kind,
        evidence=_evidence(MEMBERS[kind], vars(options)),
        nonce=_nonce(options.nonce),
        key=_key(options.key),
    )
    submission = parse_envelope(envelope)
    if kind in KINDS:
        parse(submission)  # what no appraisal could read is better said here
    _write(envelope + b"\n", options.out)
    return 0


def _evidence(
    members: tuple[Member, ...], given: Mapping[str, list[str] | None]
) -> dict[str, JSON]:
    evidence: dict[str, JSON] = {}
    for member in members:
        values = given[member.place]
        if values is None:
            continue
        if len(values) > 1 and not member.repeated:
            raise Malformed(Reason.PARAMETER_REPEATED, member.flag)
        files = [value.encode() if member.text else _read(value) for value in values]
        _put(evidence, member.place, _read_as(member, files))
    return evidence


def _read_as(member: Member, files: Files) -> JSON:
    try:
        return member.read(files)
    except (Malformed, ConfigurationError) as error:
        raise Malformed(error.reason, f"{member.flag}: {error.detail}") from error


def _put(evidence: dict[str, JSON], place: str, value: JSON) -> None:
    outer, dot, inner = place.partition(".")
    if not dot:
        evidence[outer] = value
        return
    nested = json.find_object(evidence, outer) or {}
    evidence[outer] = {**nested, inner: value}


def _nonce(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if len(nonce) != NONCE_BYTES:
        raise Malformed(Reason.PARAMETER_INVALID, f"--nonce: not {NONCE_BYTES} bytes in hex")
    return nonce


def _key(name: str | None) -> PublicJwk | None:
    if name is None:
        return None
    return parse_public(json.parse_object(_read(name), max_bytes=MAX_KEY_BYTES))


def _read(name: str) -> bytes:
    """The file, or standard input for ``-``: no more of it than an envelope may have."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_ENVELOPE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_ENVELOPE_BYTES + 1)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise Malformed(Reason.PARAMETER_INVALID, f"{name}: {detail}") from None
    if len(data) > MAX_ENVELOPE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"{name}: more than {MAX_ENVELOPE_BYTES} bytes")
    return data


def _write(envelope: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(envelope.decode())
        sys.stdout.flush()
        return
    try:
        out.write_bytes(envelope)
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{out}: {error.strerror}") from None
