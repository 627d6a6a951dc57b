"""X.509 certificates (RFC 5280 §4.1): the fields that profiles are about, believed by nobody yet.

Path validation is OpenSSL's. This reads what a profile check needs from the same bytes, also where
other parsers give up: several TPM vendors order the SETs of their names wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keystead.codec import der
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

# The largest vendor certificates, RSA-4096 with long policies, stay below 4 KiB.
MAX_CERTIFICATE_BYTES: Final = 8_192
# Real certificates have a dozen.
MAX_EXTENSIONS: Final = 64

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
SUBJECT_ALT_NAME: Final = "2.5.29.17"

# The attributes that people look for in a name (RFC 5280 Appendix A.1).
_NAME_ATTRIBUTES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
}

# KeyUsage bits (RFC 5280 §4.2.1.3).
DIGITAL_SIGNATURE: Final = 0
KEY_ENCIPHERMENT: Final = 2
KEY_AGREEMENT: Final = 4
KEY_CERT_SIGN: Final = 5
CRL_SIGN: Final = 6

# A time in its one DER form (RFC 5280 §4.1.2.5): UTCTime up to 2049, GeneralizedTime from then on.
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_TIME_CHARS: Final = {_UTC_TIME: 13, _GENERALIZED_TIME: 15}
_FIRST_UTC_YEAR: Final = 50

_VERSION_TAG: Final = 0xA0
_UNIQUE_ID_TAGS: Final = frozenset({0x81, 0x82, 0xA1, 0xA2})
_EXTENSIONS_TAG: Final = 0xA3


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """``value`` is the content of extnValue, itself DER."""

    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """``version`` is 1 to 3; ``issuer`` and ``subject`` are DER Names; ``spki`` is DER.

    ``signature_algorithm`` is the OID that stands inside and outside the signed part alike;
    ``signature`` is over ``signed``. ``serial`` may be 0 or negative: makers differ.
    """

    version: int
    serial: int
    signature_algorithm: str
    issuer: bytes
    subject: bytes
    spki: bytes
    extensions: Mapping[str, Extension]
    signed: bytes
    signature: bytes
    validity: bytes
    raw: bytes

    def valid_from_to(self) -> tuple[int, int]:
        """notBefore and notAfter, Unix seconds, both included; ``Malformed`` for another form."""
        times = tuple(der.elements(der.parse_element(self.validity, tag=der.SEQUENCE).content))
        if len(times) != 2:
            raise Malformed(Reason.MALFORMED, "a validity of another shape")
        return _time(times[0]), _time(times[1])

    def is_ca(self) -> bool | None:
        """``cA`` of BasicConstraints, None without that extension."""
        extension = self.extensions.get(BASIC_CONSTRAINTS)
        if extension is None:
            return None
        for element in der.elements(der.parse_element(extension.value, tag=der.SEQUENCE).content):
            return element.tag == der.BOOLEAN and der.boolean(element.content)
        return False

    def key_usage(self) -> frozenset[int] | None:
        """The KeyUsage bits that are set, None without that extension."""
        extension = self.extensions.get(KEY_USAGE)
        if extension is None:
            return None
        return der.named_bits(der.parse_element(extension.value, tag=der.BIT_STRING).content)

    def extended_key_usage(self) -> frozenset[str] | None:
        """The OIDs of ExtendedKeyUsage, None without that extension."""
        extension = self.extensions.get(EXTENDED_KEY_USAGE)
        if extension is None:
            return None
        return frozenset(
            _oid(element)
            for element in der.elements(
                der.parse_element(extension.value, tag=der.SEQUENCE).content
            )
        )


def name_text(name: bytes) -> str:
    """A DER Name for people to read: ``O=…, CN=…``. Never compare it; compare the DER."""
    parts = []
    for relative in der.elements(der.parse_element(name, tag=der.SEQUENCE).content):
        for attribute in der.elements(relative.content):
            fields = tuple(der.elements(attribute.content))
            if len(fields) != 2:
                raise Malformed(Reason.MALFORMED, "a name's attribute of another shape")
            if label := _NAME_ATTRIBUTES.get(_oid(fields[0])):
                parts.append(f"{label}={_text(fields[1].content)}")
    return ", ".join(parts)


def parse_certificate(data: bytes) -> Certificate:
    """One DER certificate, nothing after it; ``Malformed``."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a certificate of {len(data)} bytes")
    outer = Reader(der.parse_element(data, tag=der.SEQUENCE).content)
    signed_part = der.read_element(outer, tag=der.SEQUENCE)
    signed = Reader(signed_part.content)
    outer_algorithm = der.read_element(outer, tag=der.SEQUENCE)
    signature = der.read_element(outer, tag=der.BIT_STRING).content
    outer.end()
    version, serial = _read_version_and_serial(signed)
    inner_algorithm = der.read_element(signed, tag=der.SEQUENCE)
    if inner_algorithm.raw != outer_algorithm.raw:
        raise Malformed(Reason.MALFORMED, "a certificate with two signature algorithms")
    issuer = der.read_element(signed, tag=der.SEQUENCE).raw
    validity = der.read_element(signed, tag=der.SEQUENCE).raw  # A path builder's to read.
    subject = der.read_element(signed, tag=der.SEQUENCE).raw
    spki = der.read_element(signed, tag=der.SEQUENCE).raw
    return Certificate(
        version=version,
        serial=serial,
        signature_algorithm=_algorithm(inner_algorithm.content),
        issuer=issuer,
        subject=subject,
        spki=spki,
        extensions=_read_extensions(signed),
        signed=signed_part.raw,
        signature=signature[1:],  # After the number of unused bits.
        validity=validity,
        raw=data,
    )


def _read_version_and_serial(reader: Reader) -> tuple[int, int]:
    """The [0] version, which DER leaves out for version 1, and the serial number after it."""
    element = der.read_element(reader)
    if element.tag == der.INTEGER:
        return 1, _serial(element)
    if element.tag != _VERSION_TAG:
        raise Malformed(Reason.MALFORMED, "a certificate without a serial number")
    number = der.parse_element(element.content, tag=der.INTEGER).content
    serial = _serial(der.read_element(reader, tag=der.INTEGER))
    if number not in (b"\x01", b"\x02"):
        raise Malformed(Reason.MALFORMED, "an unknown certificate version")
    return number[0] + 1, serial


def _serial(element: der.Element) -> int:
    return int.from_bytes(element.content, "big", signed=True)


def _time(element: der.Element) -> int:
    text = element.content.decode("ascii", "replace")
    if len(text) != _TIME_CHARS.get(element.tag) or text[-1] != "Z" or not text[:-1].isdecimal():
        raise Malformed(Reason.MALFORMED, f"a time that is {text[:16]!r}")
    if element.tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _FIRST_UTC_YEAR else "19") + text
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    try:
        at = datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
        return int(at.timestamp())
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"a time that is {text!r}") from None


def _algorithm(content: bytes) -> str:
    return _oid(der.read_element(Reader(content)))


def _text(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _oid(element: der.Element) -> str:
    if element.tag != der.OBJECT_IDENTIFIER:
        raise Malformed(Reason.MALFORMED, "no OBJECT IDENTIFIER where one belongs")
    return der.oid(element.content)


def _read_extensions(reader: Reader) -> dict[str, Extension]:
    found: dict[str, Extension] = {}
    while reader.remaining:
        element = der.read_element(reader)
        if element.tag in _UNIQUE_ID_TAGS:
            continue
        if element.tag != _EXTENSIONS_TAG or reader.remaining:
            raise Malformed(Reason.MALFORMED, "an unexpected field in a certificate")
        for part in der.elements(der.parse_element(element.content, tag=der.SEQUENCE).content):
            name, extension = _extension(part)
            if name in found or len(found) == MAX_EXTENSIONS:
                raise Malformed(Reason.MALFORMED, f"extension {name} twice, or too many")
            found[name] = extension
    return found


def _extension(element: der.Element) -> tuple[str, Extension]:
    if element.tag != der.SEQUENCE:
        raise Malformed(Reason.MALFORMED, "an extension that is no SEQUENCE")
    parts = tuple(der.elements(element.content))
    if len(parts) not in (2, 3) or parts[-1].tag != der.OCTET_STRING:
        raise Malformed(Reason.MALFORMED, "an extension of another shape")
    # RFC 5280 has "critical" default to FALSE, which DER leaves out; some vendors write it.
    critical = len(parts) == 3 and _boolean(parts[1])
    return _oid(parts[0]), Extension(critical=critical, value=parts[-1].content)


def _boolean(element: der.Element) -> bool:
    if element.tag != der.BOOLEAN:
        raise Malformed(Reason.MALFORMED, "no BOOLEAN where one belongs")
    return der.boolean(element.content)
