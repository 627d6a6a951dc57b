"""Prove to a service who this workload is and where its key lives, and have the key bound.

Of kinds tpm2 and azure-cvm the first run makes the keys in the TPM; later runs use them again. Of
every other kind the key is in this process's memory and ends with it, so that the command only
tries out what a program does with keystead.agent. An administrator registers the workload; for
tpm2 the host is enrolled first, by what --ek-out writes: `keystead hosts enrol spiffe://…
--ek-public FILE`.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from keystead.agent.attestation import Binding
from keystead.agent.channel import ClientCertificate
from keystead.agent.collector import endorsement
from keystead.agent.workload import DEFAULT_TCTI, Workload
from keystead.cli import attest_hosts
from keystead.cli.output import print_fields, print_json, printable, time_text
from keystead.codec import base64url
from keystead.codec.tpm2 import parse_tpm2b_public
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2 import Tpm2Device
from keystead.ports import Clock
from keystead.system import SystemClock

RETRY_S: Final = 10
"""Between two tries of --keep while the service or the hardware is away."""

_LONGEST_WAIT_S: Final = 3_600
"""A clock that was set is noticed after an hour at the latest."""

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the evidence, the server and the keys are."""
    attest_hosts.add_arguments(parser)
    parser.add_argument("--server", metavar="ADDRESS", help="HOST:PORT or unix:PATH")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM of the server's CA")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="PEM of this host's certificate (mTLS)"
    )
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="PEM of its key")
    parser.add_argument("--issuer", metavar="URL", help="the only issuer to attest to")
    parser.add_argument(
        "--spiffe-id", default="", metavar="ID", help="which one, where several entries match"
    )
    parser.add_argument(
        "--keep", action="store_true", help="stay, and attest again in time, until a signal comes"
    )
    parser.add_argument(
        "--print-ek", action="store_true", help="show the endorsement key and do nothing else"
    )
    parser.add_argument(
        "--ek-out", type=Path, metavar="FILE", help="write the EK's TPM2B_PUBLIC, nothing else"
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Attest, once or again and again, or show the endorsement key."""
    if options.print_ek or options.ek_out is not None:
        _show(_endorsement_key(options), options)
        return 0
    if options.server is None:
        raise Malformed(Reason.PARAMETER_MISSING, "give --server")
    with _workload(options) as workload:
        if not options.keep:
            _show(_document(workload.attest(), options), options)
            return 0
        with _until_signal() as ended:
            keep(
                workload,
                clock=SystemClock(),
                ended=ended,
                show=lambda binding: _show_line(_document(binding, options), options),
            )
    return 0


def keep(
    workload: Workload,
    *,
    clock: Clock,
    ended: Ending,
    show: Callable[[Binding], None],
) -> None:
    """Attest now and whenever the server wants it again; ``show`` what came of it each time.

    While the service or the hardware is away and the binding lives, it is tried again. Any other
    refusal has ended the binding and is raised as ``Workload.attest`` raises it.
    """
    binding = workload.attest()
    show(binding)
    wait_s = binding.renew_at - clock.now()
    while not ended.wait(min(max(wait_s, 0), _LONGEST_WAIT_S)):
        if workload.attest_if_due() and workload.binding is not None:
            binding = workload.binding
            show(binding)
        wait_s = max(binding.renew_at - clock.now(), RETRY_S)


class Ending(Protocol):
    """An end that may come."""

    def wait(self, timeout: float) -> bool:
        """Whether it has come, at the latest after ``timeout`` seconds."""
        ...


class _Signalled:
    """An end that signals bring.

    A Python handler runs on the thread that waits, in the middle of whatever that does, and only
    once it wakes up. So no handler does anything here: the interpreter itself writes each signal's
    number into a pipe, whichever thread it came to, and waiting is reading.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def wait(self, timeout: float) -> bool:
        return bool(select.select([self._reader], [], [], timeout)[0])

    def close(self) -> None:
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def _until_signal() -> Iterator[Ending]:
    """What Ctrl-C and SIGTERM end; what is under way is finished first."""
    ended = _Signalled()
    before = {number: signal.signal(number, lambda *_: None) for number in _ENDING_SIGNALS}
    try:
        yield ended
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        ended.close()


def _workload(options: argparse.Namespace) -> Workload:
    ca = None if options.ca is None else _read(options.ca)
    certificate = _certificate(options)
    return Workload(
        attest_hosts.host_of(options),
        server=options.server,
        ca=ca,
        certificate=certificate,
        issuer=options.issuer,
        spiffe_id=options.spiffe_id,
    )


def _document(binding: Binding, options: argparse.Namespace) -> dict[str, object]:
    at = int if options.json else time_text
    return {
        "spiffe_id": binding.spiffe_id,
        "jkt": binding.jkt,
        "result": binding.result_id,
        "renew_at": at(binding.renew_at),
        "expires_at": at(binding.expires_at),
        "issuer": binding.issuer,
    }


def _certificate(options: argparse.Namespace) -> ClientCertificate | None:
    if options.certificate is None and options.private_key is None:
        return None
    if options.certificate is None or options.private_key is None:
        raise Malformed(Reason.PARAMETER_MISSING, "--certificate and --private-key go together")
    return ClientCertificate(
        chain=_read(options.certificate), private_key=_read(options.private_key)
    )


def _endorsement_key(options: argparse.Namespace) -> dict[str, object]:
    with Tpm2Device(options.tcti or DEFAULT_TCTI) as device:
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


def _show_line(document: dict[str, object], options: argparse.Namespace) -> None:
    if options.json:
        print_json(document)
    else:
        print(*(f"{name}={printable(str(document[name]))}" for name in document), flush=True)


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
