"""Which endorsement key a TPM has (TCG EK Credential Profile for TPM 2.0, v2.5, §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keystead.codec.tpm2 import PublicTemplate
from keystead.codec.tpm2.templates import (
    EK_HIGH_P256,
    EK_HIGH_P384,
    EK_HIGH_RSA_2048,
    EK_HIGH_RSA_3072,
    EK_P256,
    EK_RSA_2048,
)
from keystead.errors import ConfigurationError, Reason

CHAIN_FIRST: Final = 0x01C00100
CHAIN_LAST: Final = 0x01C001FF


@dataclass(frozen=True, slots=True, kw_only=True)
class EkSlot:
    """Where a TPM keeps the certificate and the persistent form of one kind of EK.

    A maker that deviates from ``template`` writes its own into ``template_index``, with a nonce
    for its ``unique`` in ``nonce_index``.
    """

    certificate_index: int
    template_index: int
    nonce_index: int | None
    persistent_handle: int | None
    template: PublicTemplate


EK_SLOTS: Final = {
    "p256": EkSlot(
        certificate_index=0x01C0000A,
        nonce_index=0x01C0000B,
        template_index=0x01C0000C,
        persistent_handle=0x81010002,
        template=EK_P256,
    ),
    "rsa2048": EkSlot(
        certificate_index=0x01C00002,
        nonce_index=0x01C00003,
        template_index=0x01C00004,
        persistent_handle=0x81010001,
        template=EK_RSA_2048,
    ),
    "p384": EkSlot(
        certificate_index=0x01C00016,
        nonce_index=None,
        template_index=0x01C00017,
        persistent_handle=0x81010016,
        template=EK_HIGH_P384,
    ),
    "p256-high": EkSlot(
        certificate_index=0x01C00014,
        nonce_index=None,
        template_index=0x01C00015,
        persistent_handle=0x81010014,
        template=EK_HIGH_P256,
    ),
    "rsa2048-high": EkSlot(
        certificate_index=0x01C00012,
        nonce_index=None,
        template_index=0x01C00013,
        persistent_handle=0x81010012,
        template=EK_HIGH_RSA_2048,
    ),
    "rsa3072": EkSlot(
        certificate_index=0x01C0001C,
        nonce_index=None,
        template_index=0x01C0001D,
        persistent_handle=0x8101001C,
        template=EK_HIGH_RSA_3072,
    ),
}

# Elliptic curves first: a discrete chip takes seconds to make an RSA primary key again.
DEFAULT_EK_ORDER: Final = ("p256", "p384", "p256-high", "rsa2048", "rsa2048-high", "rsa3072")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementKey:
    """The EK that was chosen: ``public`` is its TPM2B_PUBLIC, certificates are DER."""

    public: bytes
    certificate: bytes | None
    chain: tuple[bytes, ...]
    template: bytes
    persistent_handle: int | None
    needs_policy: bool


def check_ek_order(order: Sequence[str]) -> tuple[str, ...]:
    """``order`` itself, or ConfigurationError naming what is wrong."""
    unknown = [name for name in order if name not in EK_SLOTS]
    if unknown or not order:
        expected = ", ".join(EK_SLOTS)
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"EK order {list(order)}: expected some of {expected}"
        )
    return tuple(order)


def first_certificate(data: bytes) -> bytes | None:
    """The DER certificate at the start of an NV index, without padding; None if there is none."""
    size = _der_size(data)
    return data[:size] if size is not None else None


def split_certificates(data: bytes) -> tuple[bytes, ...]:
    """DER certificates one after another, up to padding or the end."""
    found = []
    while (size := _der_size(data)) is not None:
        found.append(data[:size])
        data = data[size:]
    return tuple(found)


def _der_size(data: bytes) -> int | None:
    """The length of the SEQUENCE that ``data`` starts with, or None."""
    if len(data) < 4 or data[0] != 0x30:
        return None
    octets = data[1] & 0x7F if data[1] & 0x80 else 0
    if octets > 2 or data[1] == 0x80:
        return None
    head = 2 + octets
    size = head + (int.from_bytes(data[2:head], "big") if octets else data[1])
    return size if size <= len(data) else None
