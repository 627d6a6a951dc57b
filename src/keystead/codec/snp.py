"""The SEV-SNP attestation report, and what AMD writes into the certificates of its signing keys.

Sources: AMD "SEV Secure Nested Paging Firmware ABI Specification" (56860), ATTESTATION_REPORT, and
"Versioned Chip Endorsement Key Certificate and KDS Interface Specification" (57230), §3. All
numbers of a report are little-endian. Versions differ only in what they say in places that were
reserved before: 3 names the processor, 5 the mitigations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from keystead.codec import der
from keystead.codec.certificate import Extension
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

REPORT_BYTES: Final = 0x4A0
SIGNED_BYTES: Final = 0x2A0
"""What the signature covers."""
VERSIONS: Final = frozenset({2, 3, 5})
TCB_BYTES: Final = 8
CHIP_ID_BYTES: Final = 64
MEASUREMENT_BYTES: Final = 48
HOST_DATA_BYTES: Final = 32
ID_KEY_DIGEST_BYTES: Final = 48
REPORT_DATA_BYTES: Final = 64

ECDSA_P384_SHA384: Final = 1
"""The one signature algorithm there is (table "Encodings for the Signing Algorithm")."""

POLICY_MIGRATION_AGENT: Final = 1 << 18
POLICY_DEBUG: Final = 1 << 19

# R and S have 72 octets each, little-endian, of which P-384 fills 48.
_NUMBER_BYTES: Final = 72
_SIGNATURE_PADDING: Final = 512 - 2 * _NUMBER_BYTES
_P384_BYTES: Final = 48
_SIGNING_KEY_SHIFT: Final = 2
_SIGNING_KEY_MASK: Final = 7

_OID: Final = "1.3.6.1.4.1.3704.1."
_PRODUCT_OID: Final = _OID + "2"
_HWID_OID: Final = _OID + "4"
_CSP_ID_OID: Final = _OID + "5"
_TCB_OIDS: Final[Mapping[str, str]] = {
    "boot_loader": _OID + "3.1",
    "tee": _OID + "3.2",
    "snp": _OID + "3.3",
    "microcode": _OID + "3.8",
}
_FMC_OID: Final = _OID + "3.9"
_RESERVED_SPL_OIDS: Final = tuple(f"{_OID}3.{number}" for number in range(4, 8))
_IA5_STRING: Final = 0x16
_MAX_TEXT_BYTES: Final = 128
# A Turin chip has an identifier of 8 octets, every older one of 64.
_HWID_SIZES: Final = frozenset({8, CHIP_ID_BYTES})


class Product(StrEnum):
    """A processor line with a root of its own."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"


# Bergamo and Siena are Genoa's siblings and chain to its root.
_PRODUCT_NAMES: Final[Mapping[str, Product]] = {
    "Milan": Product.MILAN,
    "Genoa": Product.GENOA,
    "Bergamo": Product.GENOA,
    "Siena": Product.GENOA,
    "Turin": Product.TURIN,
}
# CPUID family, then its models in steps of 16.
_MODELS: Final[Mapping[tuple[int, int], Product]] = {
    (0x19, 0x0): Product.MILAN,
    (0x19, 0x1): Product.GENOA,
    (0x19, 0xA): Product.GENOA,
    (0x1A, 0x0): Product.TURIN,
    (0x1A, 0x1): Product.TURIN,
}


class SigningKey(IntEnum):
    """Which key the report says it was signed by."""

    VCEK = 0
    VLEK = 1
    NONE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbVersion:
    """Security versions of the firmware, each 0 to 255; ``fmc`` is 0 on processors without one."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int
    fmc: int = 0

    def at_least(self, minimum: TcbVersion) -> bool:
        """Whether no part is older than ``minimum``'s."""
        return (
            self.boot_loader >= minimum.boot_loader
            and self.tee >= minimum.tee
            and self.snp >= minimum.snp
            and self.microcode >= minimum.microcode
            and self.fmc >= minimum.fmc
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """A report, not verified.

    The TCBs are raw, since their layout depends on the product (``parse_tcb``). ``product`` is None
    in version 2, which does not name it. ``r`` and ``s`` are the signature over ``signed``.
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    signing_key: SigningKey
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    reported_tcb: bytes
    product: Product | None
    chip_id: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    r: int
    s: int
    raw: bytes

    @property
    def signed(self) -> bytes:
        """The part that the signature covers."""
        return self.raw[:SIGNED_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEndorsement:
    """What the certificate of a VCEK or VLEK says of its key.

    ``hwid`` is the chip of a VCEK; ``csp_id`` names the cloud that a VLEK was made for.
    """

    product: Product
    tcb: TcbVersion
    hwid: bytes | None
    csp_id: str | None

    @property
    def signing_key(self) -> SigningKey:
        """Which kind of key it endorses."""
        return SigningKey.VLEK if self.hwid is None else SigningKey.VCEK


def parse_report(data: bytes) -> SnpReport:
    """The report in ``data``, which is exactly that; ``Malformed``, also for another version."""
    if len(data) != REPORT_BYTES:
        raise Malformed(Reason.MALFORMED, f"a report of {len(data)} bytes")
    reader = Reader(data, "little")
    version = reader.u32()
    if version not in VERSIONS:
        raise Malformed(Reason.MALFORMED, f"report version {version}")
    return SnpReport(
        version=version,
        guest_svn=reader.u32(),
        policy=reader.u64(),
        family_id=reader.take(16),
        image_id=reader.take(16),
        vmpl=reader.u32(),
        signature_algorithm=reader.u32(),
        current_tcb=reader.take(TCB_BYTES),
        platform_info=reader.u64(),
        signing_key=_read_signing_key(reader),
        report_data=reader.take(REPORT_DATA_BYTES),
        measurement=reader.take(MEASUREMENT_BYTES),
        host_data=reader.take(HOST_DATA_BYTES),
        id_key_digest=reader.take(ID_KEY_DIGEST_BYTES),
        author_key_digest=reader.take(ID_KEY_DIGEST_BYTES),
        report_id=_read_report_id(reader),
        reported_tcb=reader.take(TCB_BYTES),
        product=_read_product(reader, version),
        chip_id=reader.take(CHIP_ID_BYTES),
        committed_tcb=reader.take(TCB_BYTES),
        launch_tcb=_read_launch_tcb(reader),
        r=_read_number(reader),
        s=_read_number(reader),
        raw=_read_end(reader, data),
    )


def parse_tcb(data: bytes, product: Product) -> TcbVersion:
    """A TCB_VERSION in the layout of ``product``; ``Malformed`` where reserved octets are set."""
    if len(data) != TCB_BYTES:
        raise Malformed(Reason.MALFORMED, f"a TCB of {len(data)} bytes")
    if product is Product.TURIN:
        fmc, boot_loader, tee, snp, *reserved, microcode = data
    else:
        fmc, (boot_loader, tee, *reserved, snp, microcode) = 0, data
    if any(reserved):
        raise Malformed(Reason.MALFORMED, f"TCB {data.hex()} is not of {product}")
    return TcbVersion(boot_loader=boot_loader, tee=tee, snp=snp, microcode=microcode, fmc=fmc)


def parse_endorsement(extensions: Mapping[str, Extension]) -> KeyEndorsement:
    """What AMD's extensions say; ``Malformed`` where one is missing or of neither kind of key."""
    product = _product(extensions)
    hwid = extensions.get(_HWID_OID)
    csp_id = extensions.get(_CSP_ID_OID)
    if (hwid is None) == (csp_id is None):
        raise Malformed(Reason.MALFORMED, "a certificate of no chip and no cloud, or of both")
    if any(_number(extensions, name) for name in _RESERVED_SPL_OIDS if name in extensions):
        raise Malformed(Reason.MALFORMED, "a security version of a part that has none")
    return KeyEndorsement(
        product=product,
        tcb=TcbVersion(
            **{name: _number(extensions, number) for name, number in _TCB_OIDS.items()},
            fmc=_number(extensions, _FMC_OID) if product is Product.TURIN else 0,
        ),
        hwid=None if hwid is None else _hwid(hwid.value),
        csp_id=None if csp_id is None else _text(csp_id.value),
    )


def _read_signing_key(reader: Reader) -> SigningKey:
    number = reader.u32() >> _SIGNING_KEY_SHIFT & _SIGNING_KEY_MASK
    reader.u32()
    try:
        return SigningKey(number)
    except ValueError:
        raise Malformed(Reason.MALFORMED, f"signing key {number}") from None


def _read_report_id(reader: Reader) -> bytes:
    """Without the identity of a migration agent after it."""
    identity = reader.take(32)
    reader.take(32)
    return identity


def _read_product(reader: Reader, version: int) -> Product | None:
    family, model, _ = reader.u8(), reader.u8(), reader.take(22)
    if version == 2:
        return None
    product = _MODELS.get((family, model >> 4))
    if product is None:
        raise Malformed(Reason.MALFORMED, f"processor family {family:#x}, model {model:#x}")
    return product


def _read_launch_tcb(reader: Reader) -> bytes:
    """After the versions of the firmware, and before mitigations and what is reserved."""
    reader.take(8)
    launch_tcb = reader.take(TCB_BYTES)
    reader.take(SIGNED_BYTES - reader.offset)
    return launch_tcb


def _read_number(reader: Reader) -> int:
    octets = reader.take(_NUMBER_BYTES)
    if any(octets[_P384_BYTES:]):
        raise Malformed(Reason.MALFORMED, "a signature larger than P-384's")
    return int.from_bytes(octets, "little")


def _read_end(reader: Reader, data: bytes) -> bytes:
    """Outside the signature nothing may vary, or one report would have many forms."""
    if any(reader.take(_SIGNATURE_PADDING)):
        raise Malformed(Reason.MALFORMED, "bytes after the signature")
    reader.end()
    return data


def _product(extensions: Mapping[str, Extension]) -> Product:
    """``Milan-B0`` of a chip, ``Milan`` of a line: the stepping after the dash is no part of it."""
    name = _text(_value(extensions, _PRODUCT_OID)).partition("-")[0]
    if name not in _PRODUCT_NAMES:
        raise Malformed(Reason.MALFORMED, f"product {name!r}")
    return _PRODUCT_NAMES[name]


def _value(extensions: Mapping[str, Extension], name: str) -> bytes:
    if name not in extensions:
        raise Malformed(Reason.MALFORMED, f"a certificate without extension {name}")
    return extensions[name].value


def _number(extensions: Mapping[str, Extension], name: str) -> int:
    """An INTEGER of 0 to 255, in its one DER form."""
    content = der.parse_element(_value(extensions, name), tag=der.INTEGER).content
    number = int.from_bytes(content, "big")
    if not 1 <= len(content) <= 2 or number > 255 or (content[0] >= 0x80):
        raise Malformed(Reason.MALFORMED, f"extension {name} is {content.hex()}")
    if len(content) == 2 and number < 0x80:
        raise Malformed(Reason.MALFORMED, f"extension {name} is {content.hex()}")
    return number


def _text(value: bytes) -> str:
    content = der.parse_element(value, tag=_IA5_STRING).content
    if len(content) > _MAX_TEXT_BYTES or not content.isascii():
        raise Malformed(Reason.MALFORMED, "a text that is too long, or not ASCII")
    text = content.decode("ascii")
    if not text.isprintable():
        raise Malformed(Reason.MALFORMED, "a text that does not print")
    return text


def _hwid(value: bytes) -> bytes:
    """The chip's octets, which AMD writes bare into the extension (57230 §3.1)."""
    if len(value) not in _HWID_SIZES:
        raise Malformed(Reason.MALFORMED, f"a hwID of {len(value)} bytes")
    return value
