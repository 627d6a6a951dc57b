"""The claims of a Microsoft Azure Attestation token, as one structure; nothing is believed here.

A token about an Azure VM (``azurevm``) holds what its TEE said in ``x-ms-isolation-tee``; a token
about a bare SEV-SNP report (``sevsnpvm``) holds it at its top. Claims that no check reads are left
to the policy's ``claims``.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason

AZURE_VM: Final = "azurevm"
SEV_SNP: Final = "sevsnpvm"

MEASUREMENT_BYTES: Final = 48
HOST_DATA_BYTES: Final = 32
ID_KEY_DIGEST_BYTES: Final = 48
POLICY_HASH_BYTES: Final = 32
MAX_RUNTIME_KEYS: Final = 8
"""A virtual TPM's two keys, and the workload's."""
MAX_CLIENT_NONCE_BYTES: Final = 256
"""Ours has 86 characters at most; saved tokens have what others chose."""

_MAX_NAME_CHARS: Final = 128
_MAX_SECURITY_VERSION: Final = 255
_MAX_VMPL: Final = 3

DEBUG_SWITCHES: Final = (
    "x-ms-azurevm-bootdebug-enabled",
    "x-ms-azurevm-kerneldebug-enabled",
    "x-ms-azurevm-hypervisordebug-enabled",
    "x-ms-azurevm-testsigning-enabled",
)
"""Each lets somebody look into a VM that has booted as measured, or run what nobody signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityVersions:
    """Of the firmware under the guest, as the report has them."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpClaims:
    """What the service read in the guest's SEV-SNP report."""

    debuggable: bool
    migration_allowed: bool
    vmpl: int
    launch_measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    versions: SecurityVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaClaims:
    """What a token says.

    ``snp`` is None where the TEE is another than SEV-SNP, ``tee_type`` says which.
    ``secure_boot`` and ``debug`` (the names of the switches that are on) are an ``azurevm``'s.
    ``vm_id`` is an ``azurevm``'s own. ``client_nonce`` is what the workload sent, ``runtime_keys``
    are JWKs that it sent.
    """

    attestation_type: str
    tee_type: str
    compliance: str | None
    policy_hash: bytes
    snp: SnpClaims | None
    vm_id: str | None
    secure_boot: bool | None
    debug: tuple[str, ...]
    client_nonce: bytes | None
    runtime_keys: tuple[Mapping[str, JSON], ...] = field(repr=False)


def parse_claims(claims: Mapping[str, JSON]) -> MaaClaims:
    """The structure of a token's ``claims``; ``Malformed``."""
    kind = json.get_str(claims, "x-ms-attestation-type", max_chars=_MAX_NAME_CHARS)
    tee = json.get_object(claims, "x-ms-isolation-tee") if kind == AZURE_VM else claims
    tee_type = json.get_str(tee, "x-ms-attestation-type", max_chars=_MAX_NAME_CHARS)
    runtime = json.find_object(claims, "x-ms-runtime") or {}
    return MaaClaims(
        attestation_type=kind,
        tee_type=tee_type,
        compliance=json.find_str(tee, "x-ms-compliance-status", max_chars=_MAX_NAME_CHARS),
        policy_hash=_sized(
            json.get_bytes(claims, "x-ms-policy-hash", max_bytes=POLICY_HASH_BYTES),
            POLICY_HASH_BYTES,
            "x-ms-policy-hash",
        ),
        snp=_snp(tee) if tee_type == SEV_SNP else None,
        vm_id=json.find_str(claims, "x-ms-azurevm-vmid", max_chars=_MAX_NAME_CHARS),
        secure_boot=json.find_bool(claims, "secureboot"),
        debug=tuple(name for name in DEBUG_SWITCHES if json.find_bool(claims, name)),
        client_nonce=_client_nonce(runtime),
        runtime_keys=json.find_object_list(runtime, "keys", max_items=MAX_RUNTIME_KEYS) or (),
    )


def _snp(tee: Mapping[str, JSON]) -> SnpClaims:
    return SnpClaims(
        debuggable=json.get_bool(tee, "x-ms-sevsnpvm-is-debuggable"),
        migration_allowed=json.get_bool(tee, "x-ms-sevsnpvm-migration-allowed"),
        vmpl=json.get_int(tee, "x-ms-sevsnpvm-vmpl", maximum=_MAX_VMPL),
        launch_measurement=_hex(tee, "x-ms-sevsnpvm-launchmeasurement", MEASUREMENT_BYTES),
        host_data=_hex(tee, "x-ms-sevsnpvm-hostdata", HOST_DATA_BYTES),
        id_key_digest=_hex(tee, "x-ms-sevsnpvm-idkeydigest", ID_KEY_DIGEST_BYTES),
        versions=SecurityVersions(
            boot_loader=_version(tee, "x-ms-sevsnpvm-bootloader-svn"),
            tee=_version(tee, "x-ms-sevsnpvm-tee-svn"),
            snp=_version(tee, "x-ms-sevsnpvm-snpfw-svn"),
            microcode=_version(tee, "x-ms-sevsnpvm-microcode-svn"),
        ),
    )


def _version(tee: Mapping[str, JSON], name: str) -> int:
    return json.get_int(tee, name, maximum=_MAX_SECURITY_VERSION)


def _hex(tee: Mapping[str, JSON], name: str, size: int) -> bytes:
    text = json.get_str(tee, name, max_chars=2 * size)
    try:
        return _sized(binascii.unhexlify(text), size, name)
    except ValueError as error:
        raise Malformed(Reason.MALFORMED, f"{name} is not hex") from error


def _sized(value: bytes, size: int, name: str) -> bytes:
    if len(value) != size:
        raise Malformed(Reason.MALFORMED, f"{name} of {len(value)} bytes, not {size}")
    return value


def _client_nonce(runtime: Mapping[str, JSON]) -> bytes | None:
    """The service returns each text of the client's payload as plain base64."""
    payload = json.find_object(runtime, "client-payload") or {}
    text = json.find_str(payload, "nonce", max_chars=2 * MAX_CLIENT_NONCE_BYTES)
    if text is None:
        return None
    try:
        value = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(Reason.MALFORMED, "client-payload.nonce is not base64") from error
    if len(value) > MAX_CLIENT_NONCE_BYTES:
        raise Malformed(Reason.TOO_LARGE, "client-payload.nonce")
    return value


def decode_client_nonce(value: bytes | None, *, max_bytes: int) -> bytes | None:
    """The bytes of a nonce that was sent as base64url, as ours are; None for any other."""
    try:
        return None if value is None else base64url.decode(value, max_bytes=max_bytes)
    except Malformed:
        return None
