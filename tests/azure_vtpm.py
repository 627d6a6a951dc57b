"""A software TPM with what Azure's paravisor leaves in its vTPM: an AK, and an HCL report of it."""

from __future__ import annotations

import hashlib
from typing import Any

from keystead.codec import base64url
from keystead.codec.tpm2 import RsaKey, parse_tpm2b_public, signing_key_template
from keystead.codec.tpm2.primitives import u32
from keystead.hardware.tpm2 import Tpm2Device, key_commands, nv_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.frames import Command, frame, no_parameters, password
from keystead.hardware.tpm2.key_commands import RH_OWNER
from keystead.hardware.tpm2.nv_commands import NvPublic
from tests.azure_builder import SNP, Machine, hcl_report, runtime_data, td_report

AK_HANDLE = 0x81000003
HCL_INDEX = 0x01400001
# OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA
ATTRIBUTES = 1 << 1 | 1 << 2 | 1 << 17 | 1 << 18 | 1 << 25


def make_ak(device: Tpm2Device, *, handle: int = AK_HANDLE, algorithm: str = "RS256") -> RsaKey:
    """A restricted key of the owner's hierarchy, made persistent."""
    key = parse_tpm2b_public(device.call(_make_ak, handle, algorithm)).key
    assert isinstance(key, RsaKey) or algorithm != "RS256"
    return key  # type: ignore[return-value]


def write_index(device: Tpm2Device, data: bytes, *, size: int | None = None) -> None:
    """Define the report's index and write ``data`` with zeros after it, or nothing for nothing."""
    size = len(data) if size is None else size
    device.call(_write_index, data and data.ljust(size, b"\x00"), size)


def hcl_of(ak: RsaKey, *, machine: Machine | None = None, td: bool = False) -> bytes:
    """The HCL report of a machine whose runtime data name ``ak``."""
    said = runtime_data(keys=[_jwk(ak)])
    report_data = hashlib.sha256(said).digest() + bytes(32)
    if td:
        return hcl_report(td_report(report_data), said, kind=4, tail=b"")
    report = (machine or Machine()).guest.report(report_data=report_data)
    return hcl_report(report, said, kind=SNP, tail=b"")


def _jwk(ak: RsaKey) -> dict[str, Any]:
    return {
        "kid": "HCLAkPub",
        "key_ops": ["sign"],
        "kty": "RSA",
        "e": base64url.encode(ak.exponent.to_bytes(3, "big")),
        "n": base64url.encode(ak.modulus.to_bytes(ak.bits // 8, "big")),
    }


def _make_ak(connection: Connection, handle: int, algorithm: str) -> bytes:
    template = signing_key_template(algorithm, restricted=True).encode()
    with connection.primary(RH_OWNER, template) as (made, public):
        request = frame(
            Command.EVICT_CONTROL,
            handles=[RH_OWNER, made],
            auths=[password()],
            parameters=u32(handle),
        )
        connection.channel.send(request, parse=no_parameters)
    assert key_commands.read_public(connection.channel, handle) == public
    return public


def _write_index(connection: Connection, data: bytes, size: int) -> None:
    public = NvPublic(
        index=HCL_INDEX, name_algorithm=0xB, attributes=ATTRIBUTES, auth_policy=b"", size=size
    )
    nv_commands.nv_define_space(connection.channel, public, authority=RH_OWNER, auth=b"")
    for offset in range(0, len(data), 512):
        nv_commands.nv_write(
            connection.channel,
            HCL_INDEX,
            data[offset : offset + 512],
            authority=RH_OWNER,
            auth=b"",
            offset=offset,
        )
