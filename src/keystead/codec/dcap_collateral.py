"""Intel's collateral for a quote, in the one JSON form that DCAP verifiers take.

Nine members, all of them strings: certificates are PEM, binary is hex, and what Intel signed is
text, since its signature is over these very bytes. Source: Intel "SGX DCAP Quote Library",
``sgx_ql_qve_collateral_t`` in version 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason

MAX_CHAIN_CHARS: Final = 16_384
"""Two certificates of Intel's have under 2 KiB as PEM."""
MAX_SIGNED_CHARS: Final = 131_072
"""TCB info has some 6 KiB, and grows with every recovery."""
MAX_LIST_BYTES: Final = 131_072
"""A revocation list has 3 KiB; each entry adds some 40 bytes."""

_SIGNATURE_BYTES: Final = 64
_MEMBERS: Final = frozenset(
    {
        "pck_crl_issuer_chain",
        "root_ca_crl",
        "pck_crl",
        "tcb_info_issuer_chain",
        "tcb_info",
        "tcb_info_signature",
        "qe_identity_issuer_chain",
        "qe_identity",
        "qe_identity_signature",
    }
)
# Some verifiers' files repeat the quote's certificates under this name: the quote has its own.
_REPEATED: Final = frozenset({"pck_certificate_chain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What arrived, not verified: lists are DER, chains PEM, signatures r and s."""

    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info: bytes
    tcb_info_signature: bytes
    tcb_info_issuer_chain: bytes
    qe_identity: bytes
    qe_identity_signature: bytes
    qe_identity_issuer_chain: bytes
    members: Mapping[str, JSON] = field(repr=False)


def parse_collateral(members: Mapping[str, JSON]) -> Collateral:
    """The nine members of ``members``; ``Malformed`` names the one that is not as it must be.

    ``pck_crl_issuer_chain`` has to be there and is not used: a revocation list is believed of the
    CA in the quote's own chain.
    """
    json.refuse_other_members(members, _MEMBERS | _REPEATED)
    _text(members, "pck_crl_issuer_chain", MAX_CHAIN_CHARS)
    return Collateral(
        root_ca_crl=_hex(members, "root_ca_crl", MAX_LIST_BYTES),
        pck_crl=_hex(members, "pck_crl", MAX_LIST_BYTES),
        tcb_info=_text(members, "tcb_info", MAX_SIGNED_CHARS),
        tcb_info_signature=_signature(members, "tcb_info_signature"),
        tcb_info_issuer_chain=_text(members, "tcb_info_issuer_chain", MAX_CHAIN_CHARS),
        qe_identity=_text(members, "qe_identity", MAX_SIGNED_CHARS),
        qe_identity_signature=_signature(members, "qe_identity_signature"),
        qe_identity_issuer_chain=_text(members, "qe_identity_issuer_chain", MAX_CHAIN_CHARS),
        members={name: members[name] for name in _MEMBERS},
    )


def _text(members: Mapping[str, JSON], name: str, max_chars: int) -> bytes:
    """A string of ASCII; line ends are part of PEM."""
    value = members.get(name)
    if not isinstance(value, str) or not value.isascii() or not value:
        raise Malformed(Reason.MALFORMED, f"collateral: {name} is missing, or no ASCII text")
    if len(value) > max_chars:
        raise Malformed(Reason.TOO_LARGE, f"collateral: {name} has {len(value)} characters")
    return value.encode("ascii")


def _hex(members: Mapping[str, JSON], name: str, max_bytes: int) -> bytes:
    text = _text(members, name, 2 * max_bytes)
    try:
        value = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        value = b""
    if 2 * len(value) != len(text):  # Also where spaces stood between the digits.
        raise Malformed(Reason.MALFORMED, f"collateral: {name} is not hex")
    return value


def _signature(members: Mapping[str, JSON], name: str) -> bytes:
    value = _hex(members, name, _SIGNATURE_BYTES)
    if len(value) != _SIGNATURE_BYTES:
        raise Malformed(Reason.MALFORMED, f"collateral: {name} of {len(value)} bytes")
    return value
