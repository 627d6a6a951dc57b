"""Software TPMs for development and tests: swtpm processes and a certificate authority for them.

    ca = SwtpmCa(folder / "ca")
    template = make_template(folder / "template", ca=ca)
    with Swtpm.copy_of(template) as tpm, Tpm2Device(tpm.tcti) as device:
        ...

Nothing here touches the system's own swtpm configuration or state. A template holds the seeds of
one TPM, so all copies of a template have the same keys: for different TPMs make different
templates.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import EccKey, parse_tpm2b_public
from keystead.codec.tpm2.templates import EK_P256
from keystead.errors import ConfigurationError, Reason, Unavailable
from keystead.hardware.tpm2 import nv_commands
from keystead.hardware.tpm2.connection import Authorizations, Connection
from keystead.hardware.tpm2.endorsement import EK_SLOTS
from keystead.hardware.tpm2.key_commands import RH_ENDORSEMENT
from keystead.hardware.tpm2.nv_commands import NvPublic
from keystead.hardware.tpm2.system_commands import shutdown
from keystead.hardware.tpm2.transport import open_transport

PCR_BANKS: Final = "sha1,sha256,sha384"
# Making the seeds and three keys takes about a second; a busy machine may need ten times that.
_SETUP_TIMEOUT_S: Final = 60
_START_TIMEOUT_S: Final = 20
_STOP_TIMEOUT_S: Final = 5
_POLL_S: Final = 0.002
_UNIX_SOCKETS: Final = Path("/proc/net/unix")
# __SO_ACCEPTCON, alone in the column of flags.
_ACCEPTS: Final = "00010000"
# sockaddr_un holds 108 bytes; the control socket's name is the longer one.
_MAX_SOCKET_PATH_BYTES: Final = 100
_GET_CAPABILITY: Final = (1).to_bytes(4, "big")
_STATE_FILE: Final = "tpm2-00.permall"
_LOG_TAIL_BYTES: Final = 2000

_RH_PLATFORM: Final = 0x4000000C
# How a maker defines an EK certificate's index: PPWRITE, WRITEDEFINE, PPREAD, OWNERREAD, AUTHREAD,
# NO_DA, PLATFORMCREATE (EK Credential Profile §2.2.1).
_CERTIFICATE_ATTRIBUTES: Final = 1 | 1 << 13 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 25 | 1 << 30
_WRITE_BYTES: Final = 512


class SwtpmCa:
    """swtpm_localca with all of its files in one folder: a root, an issuing CA, EK certificates."""

    def __init__(self, folder: Path) -> None:
        """Use or make the authority in ``folder``; its keys are made with the first certificate."""
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, entries in self._configuration().items():
            (self.folder / name).write_text("".join(f"{entry}\n" for entry in entries))

    @property
    def setup_configuration(self) -> Path:
        """The file for ``swtpm_setup --config``."""
        return self.folder / "setup.conf"

    @property
    def root_certificate_pem(self) -> bytes:
        """The root that an EK certificate's chain ends in."""
        return self._made("swtpm-localca-rootca-cert.pem")

    @property
    def issuer_certificate_pem(self) -> bytes:
        """The CA that signs EK certificates, itself signed by the root."""
        return self._made("issuercert.pem")

    def certify_p256(self, *, x: int, y: int, folder: Path) -> bytes:
        """A DER EK certificate for a P-256 endorsement key."""
        _run(
            [
                _program("swtpm_localca"),
                *("--type", "ek", "--tpm2", "--vmid", "p256"),
                *("--ek", f"x={x:064x},y={y:064x},id=secp256r1"),
                *("--dir", str(folder)),
                *("--tpm-spec-family", "2.0", "--tpm-spec-level", "0"),
                *("--tpm-spec-revision", "164"),
                *("--tpm-manufacturer", "id:00001014", "--tpm-model", "swtpm"),
                *("--tpm-version", "id:20191023"),
                *("--configfile", str(self.folder / "localca.conf")),
                *("--optsfile", str(self.folder / "localca.options")),
            ]
        )
        return (folder / "ek.cert").read_bytes()

    def _configuration(self) -> Mapping[str, tuple[str, ...]]:
        return {
            "localca.conf": (
                f"statedir = {self.folder}",
                f"signingkey = {self.folder / 'signkey.pem'}",
                f"issuercert = {self.folder / 'issuercert.pem'}",
                f"certserial = {self.folder / 'certserial'}",
            ),
            "localca.options": (
                "--platform-manufacturer Keystead",
                "--platform-version 1.0",
                "--platform-model swtpm",
            ),
            "setup.conf": (
                f"create_certs_tool = {_program('swtpm_localca')}",
                f"create_certs_tool_config = {self.folder / 'localca.conf'}",
                f"create_certs_tool_options = {self.folder / 'localca.options'}",
                "active_pcr_banks = sha256",
            ),
        }

    def _made(self, name: str) -> bytes:
        path = self.folder / name
        if not path.exists():
            raise ConfigurationError(
                Reason.CONFIGURATION_INVALID, f"{path} comes with the first EK certificate"
            )
        return path.read_bytes()


def make_template(folder: Path, *, ca: SwtpmCa) -> Path:
    """A new TPM's state with EK certificates for RSA-2048, P-256 and P-384; returns ``folder``.

    Takes about 1.5 s. swtpm_setup certifies RSA-2048 and P-384; the P-256 certificate, which the
    chips of today have, is added here.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _run(
        [
            _program("swtpm_setup"),
            *("--tpm2", "--tpmstate", str(folder), "--create-ek-cert", "--overwrite"),
            *("--pcr-banks", PCR_BANKS),
            *("--config", str(ca.setup_configuration)),
        ]
    )
    with Swtpm(folder) as tpm:
        _add_p256_certificate(tpm, ca=ca)
    return folder


class Swtpm:
    """One swtpm process over a state folder; ``tcti`` is where it listens.

    The process dies with the thread that called :meth:`start` (Linux ties a child to a thread),
    so start it from one that lives as long as the TPM shall.
    """

    def __init__(self, state_folder: Path, *, temporary: bool = False) -> None:
        """Nothing runs before :meth:`start`; a ``temporary`` folder is deleted by :meth:`close`."""
        self.state_folder = state_folder.absolute()
        self._temporary = temporary
        self._socket_folder = self._choose_socket_folder()
        self._socket = self._socket_folder / "tpm.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def copy_of(cls, template: Path, folder: Path | None = None) -> Self:
        """A TPM with a copy of ``template``'s state, in ``folder`` or a temporary one."""
        chosen = folder or Path(tempfile.mkdtemp(prefix="keystead-swtpm-"))
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(template / _STATE_FILE, chosen / _STATE_FILE)
        return cls(chosen, temporary=folder is None)

    @property
    def tcti(self) -> str:
        """Where :class:`~keystead.hardware.tpm2.Tpm2Device` and tpm2-tools find it."""
        return f"swtpm:path={self._socket}"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._running() and self._process is not None else None

    def start(self) -> None:
        """Start the TPM and wait until it listens.

        Raises:
            ConfigurationError: swtpm is not installed.
            Unavailable: it did not start; the detail is the end of its log.
        """
        if self._running():
            return
        for path in (self._socket, self._control):
            path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*_dies_with_parent(), *self._command()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is for us, not for it
        )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End the process in order; the state stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, as a power cut would; the state stays."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process's clock: the TPM hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop, and delete what is temporary."""
        self._end(signal.SIGTERM)
        if self._socket_folder != self.state_folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._temporary:
            shutil.rmtree(self.state_folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _control(self) -> Path:
        return self._socket.with_name(self._socket.name + ".ctrl")

    @property
    def _log(self) -> Path:
        return self._socket_folder / "swtpm.log"

    def _choose_socket_folder(self) -> Path:
        longest = self.state_folder / "tpm.sock.ctrl"
        if len(os.fsencode(longest)) <= _MAX_SOCKET_PATH_BYTES:
            return self.state_folder
        return Path(tempfile.mkdtemp(prefix="keystead-swtpm-", dir="/tmp"))

    def _command(self) -> list[str]:
        return [
            _program("swtpm"),
            "socket",
            "--tpm2",
            *("--tpmstate", f"dir={self.state_folder},mode=0600"),
            *("--flags", "not-need-init,startup-clear"),
            *("--log", f"file={self._log},level=1,truncate"),
            *("--server", f"type=unixio,path={self._socket},mode=0600"),
            *("--ctrl", f"type=unixio,path={self._control},mode=0600"),
        ]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Both channels listen, one after the other, and the control channel answers: swtpm opens
        them before it reads its state, which may be no state at all."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (_listen(self._socket, self._control) and _answers(self._control)):
            if process.poll() is not None or time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise Unavailable(
                    Reason.HARDWARE_UNAVAILABLE, f"swtpm did not start: {self._log_tail()}"
                )
            time.sleep(_POLL_S)

    def _log_tail(self) -> str:
        if not self._log.exists():
            return "no log"
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(number)
        self._signal(signal.SIGCONT)  # a paused process ends only when it goes on
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _add_p256_certificate(tpm: Swtpm, *, ca: SwtpmCa) -> None:
    connection = Connection(
        open_transport(tpm.tcti, timeout_s=_SETUP_TIMEOUT_S),
        timeout_s=_SETUP_TIMEOUT_S,
        create_timeout_s=_SETUP_TIMEOUT_S,
        authorizations=Authorizations(),
    )
    try:
        connection.start()
        with connection.primary(RH_ENDORSEMENT, EK_P256.encode()) as made:
            key = parse_tpm2b_public(made[1]).key
        if not isinstance(key, EccKey):
            raise ConfigurationError(Reason.CONFIGURATION_INVALID, "swtpm made no P-256 key")
        with tempfile.TemporaryDirectory() as folder:
            certificate = ca.certify_p256(x=key.x, y=key.y, folder=Path(folder))
        _write_certificate(connection, certificate)
        shutdown(connection.channel)
    finally:
        connection.close()


def _write_certificate(connection: Connection, certificate: bytes) -> None:
    index = EK_SLOTS["p256"].certificate_index
    public = NvPublic(
        index=index,
        name_algorithm=HashAlgorithm.SHA256,
        attributes=_CERTIFICATE_ATTRIBUTES,
        auth_policy=b"",
        size=len(certificate),
    )
    nv_commands.nv_define_space(connection.channel, public, authority=_RH_PLATFORM, auth=b"")
    for offset in range(0, len(certificate), _WRITE_BYTES):
        nv_commands.nv_write(
            connection.channel,
            index,
            certificate[offset : offset + _WRITE_BYTES],
            authority=_RH_PLATFORM,
            auth=b"",
            offset=offset,
        )


def _listen(*paths: Path) -> bool:
    """Whether somebody listens at all of these Unix sockets (proc(5), /proc/net/unix).

    To connect would be to look, too, but the data channel serves one client at a time.
    """
    sockets = [line.split(maxsplit=7) for line in _UNIX_SOCKETS.read_text().splitlines()]
    listening = {fields[7] for fields in sockets if len(fields) == 8 and fields[3] == _ACCEPTS}
    return {str(path) for path in paths} <= listening


def _answers(control: Path) -> bool:
    """Whether swtpm says what it can do (CMD_GET_CAPABILITY of its control channel)."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(_START_TIMEOUT_S)
        try:
            channel.connect(str(control))
            channel.sendall(_GET_CAPABILITY)
            return bool(channel.recv(1))
        except OSError:
            return False


def _dies_with_parent() -> list[str]:
    """util-linux's setpriv sets PR_SET_PDEATHSIG after the fork, where no Python code may run."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{name} is not installed (Debian: swtpm swtpm-tools)"
        )
    return found


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_SETUP_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        said = (error.stderr + error.stdout)[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")
        raise Unavailable(
            Reason.HARDWARE_UNAVAILABLE, f"{Path(command[0]).name}: {said.strip()}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            Reason.HARDWARE_UNAVAILABLE, f"{Path(command[0]).name} did not end"
        ) from error
