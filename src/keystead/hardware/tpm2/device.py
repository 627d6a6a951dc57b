"""A TPM 2.0 as the rest of Keystead sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection, PcrValues
from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.hardware.tpm2 import activation, keys, nv, pcrs
from keystead.hardware.tpm2 import properties as tpm_properties
from keystead.hardware.tpm2.connection import Authorizations, Connection
from keystead.hardware.tpm2.endorsement import DEFAULT_EK_ORDER, check_ek_order
from keystead.hardware.tpm2.owner import TpmOwner
from keystead.hardware.tpm2.properties import TpmProperties
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import ConnectionLost, check_tcti, open_transport
from keystead.model import WrappedKey
from keystead.ports import Attestation, Endorsement

COMMAND_TIMEOUT_S: Final = 5.0
"""A sign takes 20 to 200 ms on a chip: a TPM that is silent for so long hangs."""

CREATE_TIMEOUT_S: Final = 90.0
"""Chips look for RSA primes for up to a minute."""

REQUEST_TIMEOUT_S: Final = 10.0
"""How long a caller waits, queue included."""

QUEUE_LIMIT: Final = 256
"""More waiting callers than a chip serves before their deadline."""

COUNTER_INDEX: Final = 0x01800100
"""An NV index of the owner's range (TCG Registry of reserved TPM 2.0 handles §2.2)."""

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

# They change the TPM: when it goes away in the middle nobody knows whether they happened.
_NOT_REPEATABLE: Final[frozenset[Callable[..., object]]] = frozenset(
    {pcrs.extend_pcr, pcrs.reset_pcr, nv.increment_counter}
)
# They may make an RSA key.
_SLOW: Final[frozenset[Callable[..., object]]] = frozenset(
    {
        keys.create_signing_key,
        keys.create_attestation_key,
        activation.endorsement,
        activation.activate_credential,
    }
)


class Tpm2Device:
    """A TPM 2.0, used through one owner thread; safe to use from any thread and any loop.

    Every method raises Unavailable when the TPM is away, busy or too slow, and Refused when it
    says no. Programs without an event loop use :meth:`call`::

        with Tpm2Device("device:/dev/tpmrm0") as tpm:
            key = tpm.call(keys.create_signing_key, "ES256")
    """

    def __init__(
        self,
        tcti: str,
        *,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
        create_timeout_s: float = CREATE_TIMEOUT_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        queue_limit: int = QUEUE_LIMIT,
        owner_auth: bytes = b"",
        endorsement_auth: bytes = b"",
        ek_order: Sequence[str] = DEFAULT_EK_ORDER,
        counter_index: int = COUNTER_INDEX,
    ) -> None:
        """Connects at the first operation, not here.

        Raises:
            ConfigurationError: ``tcti`` or ``ek_order`` names nothing that is known.
        """
        check_tcti(tcti)
        self._tcti = tcti
        self._command_timeout_s = command_timeout_s
        self._create_timeout_s = create_timeout_s
        self._request_timeout_s = request_timeout_s
        self._authorizations = Authorizations(owner=owner_auth, endorsement=endorsement_auth)
        self._ek_order = check_ek_order(ek_order)
        self._counter_index = counter_index
        self._owner = TpmOwner(self._connect, queue_limit=queue_limit, name="keystead-tpm2")

    @property
    def away(self) -> bool:
        """Whether the last attempt to reach the TPM failed: for readiness checks."""
        return self._owner.away

    @property
    def ek_order(self) -> tuple[str, ...]:
        """Which kinds of EK are looked for, in this order."""
        return self._ek_order

    @property
    def reconnects(self) -> int:
        """How often the TPM had to be connected to again."""
        return self._owner.reconnects

    def queue_depth(self) -> int:
        """How many operations wait for the TPM."""
        return self._owner.waiting

    def close(self) -> None:
        """Fail what waits and let go of the TPM; may be called twice."""
        self._owner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Any operation: blocking, and for an event loop.

    def call(
        self,
        operation: Callable[Concatenate[Connection, _P], _Result],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _Result:
        """Run an operation of this package and wait for its result."""
        future, timeout_s = self._submit(operation, *args, **kwargs)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise _too_slow() from None

    async def run(
        self,
        operation: Callable[Concatenate[Connection, _P], _Result],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _Result:
        """The same for an event loop; cancelling it takes a waiting operation off the queue."""
        future, timeout_s = self._submit(operation, *args, **kwargs)
        return await _result_of(future, timeout_s=timeout_s)

    # Identity.

    async def properties(self) -> TpmProperties:
        """Manufacturer, firmware, PCR banks."""
        return await self.run(tpm_properties.properties)

    async def random(self, count: int) -> bytes:
        """``count`` random bytes of the TPM."""
        return await self.run(tpm_properties.random, count)

    async def endorsement(self) -> Endorsement:
        """The EK, its certificate and the chain that the TPM holds."""
        return await self.run(activation.endorsement, self._ek_order)

    async def activate_credential(
        self, attestation_key: WrappedKey, *, credential_blob: bytes, encrypted_secret: bytes
    ) -> bytes:
        """The secret in a TPM2B_ID_OBJECT; Refused if it is for another EK or AK."""
        return await self.run(
            activation.activate_credential,
            attestation_key,
            self._ek_order,
            credential_blob=credential_blob,
            encrypted_secret=encrypted_secret,
        )

    # Keys.

    async def create_signing_key(
        self, algorithm: str, *, pcr_policy: PcrSelection | None = None
    ) -> WrappedKey:
        """A non-exportable ``ES256`` or ``RS256`` key, released only by ``pcr_policy`` if given."""
        return await self.run(keys.create_signing_key, algorithm, pcr_policy=pcr_policy)

    async def create_attestation_key(self, algorithm: str = "ES256") -> WrappedKey:
        """A restricted signing key."""
        return await self.run(keys.create_attestation_key, algorithm)

    async def sign(
        self, key: WrappedKey, digest: bytes, *, pcr_policy: PcrSelection | None = None
    ) -> bytes:
        """A JOSE signature over a SHA-256 digest: ``r ‖ s`` for ES256, PKCS#1 v1.5 for RS256."""
        return await self.run(keys.sign, key, digest, pcr_policy=pcr_policy)

    async def certify(
        self, key: WrappedKey, *, attestation_key: WrappedKey, qualifying_data: bytes
    ) -> Attestation:
        """The AK's certification of ``key``."""
        return await self.run(
            keys.certify, key, attestation_key=attestation_key, qualifying_data=qualifying_data
        )

    # Platform configuration registers.

    async def read_pcrs(self, selection: PcrSelection) -> PcrValues:
        """The values of the selected PCRs at one moment."""
        return await self.run(pcrs.read_pcrs, selection)

    async def quote(
        self, attestation_key: WrappedKey, selection: PcrSelection, *, qualifying_data: bytes
    ) -> Attestation:
        """The AK's quote of the selected PCRs."""
        return await self.run(
            pcrs.quote, attestation_key, selection, qualifying_data=qualifying_data
        )

    async def quote_with_values(
        self, attestation_key: WrappedKey, selection: PcrSelection, *, qualifying_data: bytes
    ) -> tuple[Attestation, PcrValues]:
        """A quote and exactly the values that it is over."""
        return await self.run(
            pcrs.quote_with_values, attestation_key, selection, qualifying_data=qualifying_data
        )

    async def extend_pcr(self, index: int, digests: Mapping[HashAlgorithm, bytes]) -> None:
        """Extend a PCR in the given banks."""
        await self.run(pcrs.extend_pcr, index, digests)

    async def reset_pcr(self, index: int) -> None:
        """Reset PCR 16 or 23."""
        await self.run(pcrs.reset_pcr, index)

    # The audit counter.

    async def increment_counter(self) -> int:
        """Add one to the NV counter, defining it on first use, and return its value."""
        return await self.run(nv.increment_counter, self._counter_index)

    async def read_counter(self) -> int:
        """The NV counter's value, 0 if it was never incremented."""
        return await self.run(nv.read_counter, self._counter_index)

    def _submit(
        self,
        operation: Callable[Concatenate[Connection, _P], _Result],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> tuple[Future[_Result], float]:
        slow = operation in _SLOW
        return self._owner.submit(
            lambda connection: operation(connection, *args, **kwargs),
            timeout_s=self._create_timeout_s if slow else self._request_timeout_s,
            repeatable=operation not in _NOT_REPEATABLE,
        )

    def _connect(self) -> Connection:
        transport = open_transport(self._tcti, timeout_s=self._command_timeout_s)
        connection = Connection(
            transport,
            timeout_s=self._command_timeout_s,
            create_timeout_s=self._create_timeout_s,
            authorizations=self._authorizations,
        )
        try:
            connection.start()
        except (ConnectionLost, TpmError, KeysteadError):
            connection.close()
            raise
        return connection


async def _result_of(future: Future[_Result], *, timeout_s: float) -> _Result:
    """What ``asyncio.wrap_future`` under ``asyncio.timeout`` does, at half the cost a call."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def answer() -> None:
        if not answered.done():
            answered.set_result(None)

    def wake(_: Future[_Result]) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(answer)

    timer = loop.call_later(timeout_s, answer)
    future.add_done_callback(wake)
    try:
        await answered
    finally:
        timer.cancel()
        future.cancel()  # takes it off the queue where it still waits; else without effect
    if not future.done() or future.cancelled():
        raise _too_slow()
    return future.result()


def _too_slow() -> Unavailable:
    return Unavailable(Reason.HARDWARE_UNAVAILABLE, "no answer from the TPM in time")
