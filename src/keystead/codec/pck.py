"""What Intel writes into the certificate of a platform's provisioning key (PCK).

Source: Intel "SGX PCK Certificate and Certificate Revocation List Profile Specification", §1.3.5:
one extension, a SEQUENCE of pairs of an OID and a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.codec import der
from keystead.codec.certificate import Extension
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"
FMSPC_BYTES: Final = 6
PCE_ID_BYTES: Final = 2
COMPONENTS: Final = 16

_TCB: Final = SGX_EXTENSION + ".2"
_PCE_ID: Final = SGX_EXTENSION + ".3"
_FMSPC: Final = SGX_EXTENSION + ".4"
_PCE_SVN: Final = f"{_TCB}.{COMPONENTS + 1}"
_MAX_SVN: Final = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class PckTcb:
    """``fmspc`` names the platform's family and model; ``svns`` are of its 16 SGX components."""

    fmspc: bytes
    pce_id: bytes
    pce_svn: int
    svns: tuple[int, ...]


def parse_pck_extension(extensions: Mapping[str, Extension]) -> PckTcb:
    """What the extension says; ``Malformed`` where it is missing or of another shape."""
    extension = extensions.get(SGX_EXTENSION)
    if extension is None:
        raise Malformed(Reason.MALFORMED, "a certificate of no platform")
    found = _pairs(der.parse_element(extension.value, tag=der.SEQUENCE).content)
    tcb = _pairs(_value(found, _TCB, der.SEQUENCE))
    return PckTcb(
        fmspc=_octets(found, _FMSPC, FMSPC_BYTES),
        pce_id=_octets(found, _PCE_ID, PCE_ID_BYTES),
        pce_svn=_number(tcb, _PCE_SVN),
        svns=tuple(_number(tcb, f"{_TCB}.{at}") for at in range(1, COMPONENTS + 1)),
    )


def _pairs(content: bytes) -> dict[str, der.Element]:
    found: dict[str, der.Element] = {}
    for element in der.elements(content):
        if element.tag != der.SEQUENCE:
            raise Malformed(Reason.MALFORMED, "no pair of OID and value")
        reader = Reader(element.content)
        name = der.oid(der.read_element(reader, tag=der.OBJECT_IDENTIFIER).content)
        if name in found:
            raise Malformed(Reason.MALFORMED, f"{name} twice")
        found[name] = der.read_element(reader)
        reader.end()
    return found


def _value(pairs: Mapping[str, der.Element], name: str, tag: int) -> bytes:
    element = pairs.get(name)
    if element is None or element.tag != tag:
        raise Malformed(Reason.MALFORMED, f"{name} is missing, or of another type")
    return element.content


def _octets(pairs: Mapping[str, der.Element], name: str, size: int) -> bytes:
    value = _value(pairs, name, der.OCTET_STRING)
    if len(value) != size:
        raise Malformed(Reason.MALFORMED, f"{name} of {len(value)} bytes")
    return value


def _number(pairs: Mapping[str, der.Element], name: str) -> int:
    content = _value(pairs, name, der.INTEGER)
    value = int.from_bytes(content, "big", signed=True)
    if not content or not 0 <= value <= _MAX_SVN:
        raise Malformed(Reason.MALFORMED, f"{name} is no security version")
    return value
