"""What the key folder holds: one JSON object with the wrapped keys and the EK of their TPM.

    {"keystead_keys": 1, "ek": "…", "ak": {"public": "…", "private": "…"},
     "key": {"public": "…", "private": "…", "pcrs": {"sha256": [0, 7]}}}

``ek`` is the Name of the EK, ``pcrs`` what the key's PolicyPCR is over; it is absent for a key that
signs whatever the PCRs say. Binary is base64url.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.json import JSON
from keystead.codec.tpm2 import PcrSelection, jwk_members, parse_tpm2b_public
from keystead.codec.tpm2.constants import MAX_PUBLIC_BYTES, PCR_COUNT
from keystead.errors import Malformed, Reason
from keystead.jose.algorithms import algorithm_for
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import WrappedKey

# Two RSA-2048 keys take under 4 KiB.
MAX_KEY_FILE_BYTES: Final = 16_384
_VERSION: Final = 1
_MAX_NAME_CHARS: Final = 100
# A wrapped RSA-2048 key has some hundred bytes; what a TPM answers with has at most 4096.
_MAX_PRIVATE_BYTES: Final = 4096
_MAX_SIZED_PUBLIC_BYTES: Final = MAX_PUBLIC_BYTES + 2

_MEMBERS: Final = frozenset({"keystead_keys", "ek", "ak", "key"})
_AK_MEMBERS: Final = frozenset({"public", "private"})
_KEY_MEMBERS: Final = frozenset({"public", "private", "pcrs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKey:
    """The key that proofs are signed with; ``pcr_policy`` is what it was made under, if any."""

    wrapped: WrappedKey
    jwk: PublicJwk
    pcr_policy: PcrSelection | None = None

    @classmethod
    def of(cls, wrapped: WrappedKey, *, pcr_policy: PcrSelection | None = None) -> WorkloadKey:
        """The key with its public JWK; Malformed for a public area that is none."""
        area = parse_tpm2b_public(wrapped.public)
        jwk = parse_public(dict[str, JSON](jwk_members(area)))
        return cls(wrapped=wrapped, jwk=jwk, pcr_policy=pcr_policy)

    @property
    def jkt(self) -> str:
        """RFC 7638 thumbprint: what tokens are bound to."""
        return self.jwk.thumbprint

    @property
    def algorithm(self) -> str:
        """``ES256`` or ``RS256``."""
        return algorithm_for(self.jwk)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """The whole file. ``ek`` is the base64url Name of the EK of the TPM that wrapped the keys."""

    ek: str
    attestation_key: WrappedKey = field(repr=False)
    workload_key: WorkloadKey


def encode_key_file(keys: KeyFile) -> bytes:
    """What :func:`parse_key_file` reads."""
    key = _encode_wrapped(keys.workload_key.wrapped)
    if keys.workload_key.pcr_policy is not None:
        key["pcrs"] = {
            bank.digest_name: list(indexes) for bank, indexes in keys.workload_key.pcr_policy.banks
        }
    return json.encode(
        {
            "keystead_keys": _VERSION,
            "ek": keys.ek,
            "ak": _encode_wrapped(keys.attestation_key),
            "key": key,
        }
    )


def parse_key_file(data: bytes) -> KeyFile:
    """The keys in ``data``; Malformed where it is anything else."""
    outer = json.parse_object(data, max_bytes=MAX_KEY_FILE_BYTES)
    json.get_int(outer, "keystead_keys", minimum=_VERSION, maximum=_VERSION)
    json.refuse_other_members(outer, _MEMBERS)
    ak, key = json.get_object(outer, "ak"), json.get_object(outer, "key")
    json.refuse_other_members(ak, _AK_MEMBERS)
    json.refuse_other_members(key, _KEY_MEMBERS)
    return KeyFile(
        ek=json.get_str(outer, "ek", max_chars=_MAX_NAME_CHARS),
        attestation_key=_wrapped(ak),
        workload_key=WorkloadKey.of(_wrapped(key), pcr_policy=_selection(key)),
    )


def _encode_wrapped(key: WrappedKey) -> dict[str, JSON]:
    return {"public": base64url.encode(key.public), "private": base64url.encode(key.private)}


def _wrapped(members: Mapping[str, JSON]) -> WrappedKey:
    return WrappedKey(
        public=json.get_bytes(members, "public", max_bytes=_MAX_SIZED_PUBLIC_BYTES),
        private=json.get_bytes(members, "private", max_bytes=_MAX_PRIVATE_BYTES),
    )


def _selection(members: Mapping[str, JSON]) -> PcrSelection | None:
    banks = json.find_object(members, "pcrs")
    if banks is None:
        return None
    selection = PcrSelection.of(
        {HashAlgorithm.from_name(name): _indexes(banks[name], name) for name in banks}
    )
    if not selection.banks:
        raise Malformed(Reason.MALFORMED, "a PCR policy over no PCR")
    return selection


def _indexes(value: JSON, name: str) -> list[int]:
    if not isinstance(value, list) or len(value) > PCR_COUNT:
        raise Malformed(Reason.MALFORMED, f"{name} is not an array of PCRs")
    indexes = [item for item in value if type(item) is int]
    if len(indexes) != len(value):
        raise Malformed(Reason.MALFORMED, f"{name} is not an array of PCRs")
    return indexes
