"""The workload's keys: made once in the TPM, kept as wrapped blobs in a folder.

    folder = KeyFolder(Path("/var/lib/my-agent/keystead"), device=device)
    folder.keys()       # made now, or the ones from before the restart

Only the TPM that made them can load the blobs, so the folder is worth nothing on another machine.
It is private all the same: on this machine, who reads it and reaches the TPM can use the keys.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.agent.key_file import (
    MAX_KEY_FILE_BYTES,
    KeyFile,
    WorkloadKey,
    encode_key_file,
    parse_key_file,
)
from keystead.codec import base64url
from keystead.codec.tpm2 import PcrSelection, parse_tpm2b_public, policy_pcr_digest
from keystead.errors import ConfigurationError, Reason, Refused
from keystead.hardware.tpm2 import Tpm2Device, activation, keys, pcrs
from keystead.hardware.tpm2.connection import Connection
from keystead.model import WrappedKey

DEFAULT_ALGORITHM: Final = "ES256"
KEY_FILE: Final = "keys.json"
LOCK_FILE: Final = "lock"
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedKeys:
    """The two keys that one attestation is about."""

    attestation_key: WrappedKey
    workload_key: WorkloadKey


class KeyFolder:
    """The keys in one folder, of one TPM. Threads and processes may share a folder."""

    def __init__(
        self, folder: Path, *, device: Tpm2Device, algorithm: str = DEFAULT_ALGORITHM
    ) -> None:
        """Makes the folder (0700) where it is missing; keys are made when asked for.

        Raises:
            ConfigurationError: permissions_too_open, or the folder cannot be made.
        """
        self.folder = folder
        self._device = device
        self._algorithm = algorithm
        self._known: KeyFile | None = None
        self._thread_lock = threading.Lock()
        _make_private(folder)

    def current(self) -> WorkloadKey | None:
        """The workload key, as far as there is one."""
        with self._locked():
            stored = self._load()
            return None if stored is None else stored.workload_key

    def keys(self, *, pcr_policy: PcrSelection | None = None) -> AttestedKeys:
        """The AK and the workload key, made now where they are missing.

        With ``pcr_policy`` the workload key is one that signs only while those PCRs keep their
        present values; a key under another policy, or under values that are gone, is replaced.

        Raises:
            ConfigurationError: keys_of_another_tpm, with what to do about it.
            Unavailable: the TPM is away.
        """
        with self._locked():
            stored = self._load()
            ak = stored.attestation_key if stored is not None else self._make_ak()
            key = stored.workload_key if stored is not None else None
            if key is None or not self._fits(key, pcr_policy):
                key = self._make_key(pcr_policy)
            if stored is None or key is not stored.workload_key:
                self._save(KeyFile(ek=self._ek(), attestation_key=ak, workload_key=key))
            return AttestedKeys(attestation_key=ak, workload_key=key)

    def _make_ak(self) -> WrappedKey:
        return self._device.call(keys.create_attestation_key)

    def _make_key(self, pcr_policy: PcrSelection | None) -> WorkloadKey:
        wrapped = self._device.call(keys.create_signing_key, self._algorithm, pcr_policy=pcr_policy)
        return WorkloadKey.of(wrapped, pcr_policy=pcr_policy)

    def _fits(self, key: WorkloadKey, pcr_policy: PcrSelection | None) -> bool:
        if key.algorithm != self._algorithm or key.pcr_policy != pcr_policy:
            return False
        if pcr_policy is None:
            return True
        values = self._device.call(pcrs.read_pcrs, pcr_policy)
        area = parse_tpm2b_public(key.wrapped.public)
        wanted = policy_pcr_digest(pcr_policy, values, algorithm=area.name_algorithm)
        return area.auth_policy == wanted

    def _ek(self) -> str:
        endorsement = self._device.call(activation.endorsement, self._device.ek_order)
        return base64url.encode(parse_tpm2b_public(endorsement.public).name)

    def _load(self) -> KeyFile | None:
        if self._known is None:
            data = _read(self.folder / KEY_FILE)
            if data is not None:
                stored = parse_key_file(data)
                self._check_loads(stored)
                self._known = stored
        return self._known

    def _check_loads(self, stored: KeyFile) -> None:
        """The TPM takes back only what it wrapped itself (Part 1 §22)."""
        try:
            for key in (stored.attestation_key, stored.workload_key.wrapped):
                self._device.call(_load, key)
        except Refused as error:
            raise self._not_loadable(stored) from error

    def _not_loadable(self, stored: KeyFile) -> ConfigurationError:
        here = self._ek()
        if here != stored.ek:
            what = f"are of another TPM (its EK is {stored.ek}, the EK of this one {here})"
        else:
            what = "do not load any more: this TPM was cleared since they were made"
        remedy = "name this TPM's own folder, or an empty one to make new keys and attest again"
        return ConfigurationError(
            Reason.KEYS_OF_ANOTHER_TPM, f"the keys in {self.folder} {what}; {remedy}"
        )

    def _save(self, stored: KeyFile) -> None:
        _write_durably(self.folder / KEY_FILE, encode_key_file(stored))
        self._known = stored

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One thread of one process at a time, so that two first starts make one set of keys."""
        with self._thread_lock:
            descriptor = os.open(
                self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


def _load(connection: Connection, key: WrappedKey) -> None:
    connection.loaded(key)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{folder}: {error.strerror}"
        ) from error
    if found.st_mode & _OTHERS:
        raise ConfigurationError(
            Reason.PERMISSIONS_TOO_OPEN, f"{folder} is open to other users: chmod 700 {folder}"
        )
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            Reason.PERMISSIONS_TOO_OPEN,
            f"{folder} belongs to user {found.st_uid}, expected {os.geteuid()}",
        )


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{path}: {error.strerror}"
        ) from error
    if mode & _OTHERS:
        raise ConfigurationError(
            Reason.PERMISSIONS_TOO_OPEN, f"{path} is open to other users: chmod 600 {path}"
        )
    return data


def _write_durably(path: Path, data: bytes) -> None:
    """All of it or the old content, whatever happens to the machine."""
    beside = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{path}: {error.strerror}"
        ) from error
