"""Prove to a service where this workload's key lives, and have the key bound.

The first run makes the keys in the TPM; later runs use them again. An administrator enrols the
host by what --ek-out writes: `keystead hosts enrol spiffe://… --ek-public FILE`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from keystead.agent.channel import ClientCertificate
from keystead.agent.collector import endorsement
from keystead.agent.workload import DEFAULT_TCTI, Workload
from keystead.cli.output import print_fields, print_json, time_text
from keystead.codec import base64url
from keystead.codec.tpm2 import parse_tpm2b_public
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2 import Tpm2Device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the TPM, the server and the keys are."""
    parser.add_argument("--tcti", default=DEFAULT_TCTI, help="the TPM (default: %(default)s)")
    parser.add_argument("--server", metavar="ADDRESS", help="HOST:PORT or unix:PATH")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM of the server's CA")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="PEM of this host's certificate (mTLS)"
    )
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="PEM of its key")
    parser.add_argument("--issuer", metavar="URL", help="the only issuer to attest to")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the wrapped keys are")
    parser.add_argument(
        "--spiffe-id", default="", metavar="ID", help="which one, where several entries match"
    )
    parser.add_argument(
        "--print-ek", action="store_true", help="show the endorsement key and do nothing else"
    )
    parser.add_argument(
        "--ek-out", type=Path, metavar="FILE", help="write the EK's TPM2B_PUBLIC, nothing else"
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Attest, or show the endorsement key."""
    if options.print_ek or options.ek_out is not None:
        _show(_endorsement_key(options), options)
        return 0
    if options.server is None or options.folder is None:
        raise Malformed(Reason.PARAMETER_MISSING, "give --server and --folder")
    with Workload.open(
        tcti=options.tcti,
        folder=options.folder,
        server=options.server,
        ca=None if options.ca is None else _read(options.ca),
        certificate=_certificate(options),
        issuer=options.issuer,
        spiffe_id=options.spiffe_id,
    ) as workload:
        binding = workload.attest()
    _show(
        {
            "spiffe_id": binding.spiffe_id,
            "jkt": binding.jkt,
            "result": binding.result_id,
            "expires_at": binding.expires_at if options.json else time_text(binding.expires_at),
            "issuer": binding.issuer,
        },
        options,
    )
    return 0


def _certificate(options: argparse.Namespace) -> ClientCertificate | None:
    if options.certificate is None and options.private_key is None:
        return None
    if options.certificate is None or options.private_key is None:
        raise Malformed(Reason.PARAMETER_MISSING, "--certificate and --private-key go together")
    return ClientCertificate(
        chain=_read(options.certificate), private_key=_read(options.private_key)
    )


def _endorsement_key(options: argparse.Namespace) -> dict[str, object]:
    with Tpm2Device(options.tcti) as device:
        found = endorsement(device)
    if options.ek_out is not None:
        _write(options.ek_out, found.public)
    return {
        "ek_public": base64url.encode(found.public),
        "ek_name": parse_tpm2b_public(found.public).name.hex(),
        "ek_certificate": base64url.encode(found.certificate or b""),
    }


def _show(document: dict[str, object], options: argparse.Namespace) -> None:
    if options.json:
        print_json(document)
    else:
        print_fields(document)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{path}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{path}: {error.strerror}") from None
