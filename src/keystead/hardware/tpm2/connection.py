"""One live connection to a TPM and what is loaded in it; used by the owner thread alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from keystead.codec.tpm2 import (
    ObjectAttributes,
    PublicArea,
    parse_tpm2b_public,
)
from keystead.codec.tpm2.templates import SRK_P256
from keystead.hardware.tpm2 import key_commands, pcr_commands, system_commands
from keystead.hardware.tpm2.endorsement import EndorsementKey
from keystead.hardware.tpm2.frames import Channel, password
from keystead.hardware.tpm2.response_codes import (
    RC_INITIALIZE,
    TpmError,
)
from keystead.hardware.tpm2.transport import ConnectionLost, Transport
from keystead.model import WrappedKey

# PC Client Platform TPM Profile: at least three transient objects. One is the SRK.
KEY_SLOTS: Final = 2
_TRANSIENT: Final = 0x80000000
_LOADED_SESSION: Final = 0x02000000
_SAVED_SESSION: Final = 0x03000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizations:
    """The hierarchies' authValues; a repr never shows them."""

    owner: bytes = b""
    endorsement: bytes = b""

    def __repr__(self) -> str:
        return "Authorizations(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedKey:
    """A key in a transient slot, and the Sign frame around a SHA-256 digest."""

    handle: int
    area: PublicArea
    before_digest: bytes
    after_digest: bytes

    @property
    def needs_policy(self) -> bool:
        """Whether only a policy session lets the key sign."""
        return not self.area.has(ObjectAttributes.USER_WITH_AUTH)


class Connection:
    """Commands that need state: the SRK, a small LRU of loaded keys, sessions that end."""

    def __init__(
        self,
        transport: Transport,
        *,
        timeout_s: float,
        create_timeout_s: float,
        authorizations: Authorizations,
    ) -> None:
        self.channel = Channel(
            transport=transport, timeout_s=timeout_s, create_timeout_s=create_timeout_s
        )
        self.authorizations = authorizations
        self.endorsement_keys: dict[tuple[str, ...], EndorsementKey] = {}
        self._storage_root: int | None = None
        self._loaded: OrderedDict[bytes, LoadedKey] = OrderedDict()

    def close(self) -> None:
        self.channel.transport.close()

    def release(self) -> None:
        """Leave the TPM as empty as it was found, if it still answers, and close."""
        try:
            self.keep_keys(0)
            if self._storage_root is not None:
                key_commands.flush_context(self.channel, self._storage_root)
        except (ConnectionLost, TpmError):
            pass  # the next client that starts flushes everything
        self.close()

    def start(self) -> None:
        """Start the TPM if nobody did, and flush what an earlier client left behind.

        A raw TPM keeps objects when its client goes; a resource manager shows only our own.
        """
        try:
            self._flush_all()
        except TpmError as error:
            if error.code != RC_INITIALIZE:
                raise
            system_commands.startup(self.channel)
            self._flush_all()

    def storage_root(self) -> int:
        """The handle of the SRK, made when first asked for."""
        if self._storage_root is None:
            self._storage_root = self.create_primary(key_commands.RH_OWNER, SRK_P256.encode())[0]
        return self._storage_root

    def create_primary(self, hierarchy: int, template: bytes) -> tuple[int, bytes]:
        """Handle and TPM2B_PUBLIC; the caller flushes the handle."""
        owner = hierarchy == key_commands.RH_OWNER
        auth = self.authorizations.owner if owner else self.authorizations.endorsement
        return key_commands.create_primary(self.channel, hierarchy, template, auth=auth)

    def loaded(self, key: WrappedKey) -> LoadedKey:
        """``key`` in a slot, loaded now if it is not there yet."""
        found = self._loaded.get(key.public)
        if found is not None:
            self._loaded.move_to_end(key.public)
            return found
        self.keep_keys(KEY_SLOTS - 1)
        area = parse_tpm2b_public(key.public)
        handle = self._load(key)
        before, after = key_commands.sign_request_parts(handle, password())
        made = LoadedKey(handle=handle, area=area, before_digest=before, after_digest=after)
        self._loaded[key.public] = made
        return made

    def keep_keys(self, count: int) -> None:
        """Flush the least recently used keys until at most ``count`` are loaded."""
        while len(self._loaded) > count:
            _, victim = self._loaded.popitem(last=False)
            key_commands.flush_context(self.channel, victim.handle)

    @contextmanager
    def primary(self, hierarchy: int, template: bytes) -> Iterator[tuple[int, bytes]]:
        """A primary key (handle and TPM2B_PUBLIC) for the length of a block."""
        handle, public = self.create_primary(hierarchy, template)
        with self._flushed_on_error(handle):
            yield handle, public
        key_commands.flush_context(self.channel, handle)

    @contextmanager
    def policy_session(self, nonce: bytes) -> Iterator[int]:
        """A policy session for one command, which ends the session itself if it succeeds."""
        session = pcr_commands.start_policy_session(self.channel, nonce=nonce)
        with self._flushed_on_error(session):
            yield session

    @contextmanager
    def _flushed_on_error(self, handle: int) -> Iterator[None]:
        try:
            yield
        except ConnectionLost:
            raise  # nothing can be flushed, and the next connection starts by flushing all
        except BaseException:
            key_commands.flush_context(self.channel, handle)
            raise

    def _load(self, key: WrappedKey) -> int:
        return key_commands.load(
            self.channel, self.storage_root(), public=key.public, private=key.private
        )

    def _flush_all(self) -> None:
        for first in (_TRANSIENT, _LOADED_SESSION, _SAVED_SESSION):
            for handle in system_commands.get_handles(self.channel, first):
                key_commands.flush_context(self.channel, handle)
