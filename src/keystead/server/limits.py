"""How much one caller, or all of them, may ask: every bound of the doors, and what enforces it.

Over a limit the answer is ``rate_limited`` (429, RESOURCE_EXHAUSTED) and says when to ask again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from keystead.errors import Reason, Unavailable

MAX_HEAD_BYTES = 32_768
"""A request line and its headers: a DPoP proof with an RSA-8192 key takes under 8 KiB, and the
rest is what browsers and HTTP libraries add."""
MAX_GRPC_METADATA_BYTES = 16_384
"""The same for gRPC, where the proof is in the message and not in the metadata."""
MAX_FORM_FIELDS = 64
"""RFC 8693 §2.1 has nine parameters, of which two may repeat."""
MAX_CONNECTIONS = 4_096
"""Open HTTP connections, most of them idle between requests; each costs about 20 kB."""
MAX_CONNECTIONS_OF_ONE = 1_024
"""Those of one address: nobody alone keeps everybody else out by connecting."""
MAX_PIPELINED = 16
"""Requests that a connection may send ahead of their answers."""
MAX_BUCKETS = 16_384
"""Callers that are remembered for their rate; the least recently seen makes room (about 4 MB)."""
IPV6_SITE_BITS = 64
"""An IPv6 host has a whole /64 to itself, so the rate belongs to that."""

MAX_DISCARDED_BYTES = 1 << 20
"""What may still come of a request that was refused before its end; then the connection ends. A
connection closed at once would often lose the refusal on its way."""

HEAD_DEADLINE_S = 10.0
"""From a request's first byte (or the connection's beginning) to the end of its headers."""
BODY_DEADLINE_S = 15.0
"""To the end of its body: 64 KiB at the slowest link that anyone runs a service over."""
REQUEST_DEADLINE_S = 30.0
"""To the answer. A TPM command has its own shorter deadline, and a full queue its own refusal."""
KEEP_ALIVE_S = 30
"""How long an idle HTTP connection stays open."""
TLS_HANDSHAKE_S = 10.0
"""A handshake needs two round trips and one signature."""

ATTEST_DEADLINE_S = 90.0
"""The whole conversation; a challenge lives 60 s, and a TPM is slow."""
ATTEST_IDLE_S = 30.0
"""Between two messages of that conversation: a quote and a certification of a slow chip."""
STREAM_IDLE_S = 300.0
"""A verification stream without a message for so long gives its place to another."""
REQUEST_SHARE = 4
"""One caller may have a quarter of the requests in flight, so that nobody has all of them. Behind
a proxy all callers are one: raise ``concurrent_requests``, or let the proxy pass TLS through."""
LOCAL_PLACES = 32
"""Requests, and streams, of the administration socket: apart, so that no stranger fills them."""
STREAM_SHARE = 4
"""One caller may hold a quarter of the streams, so that nobody holds all of them."""
PROOF_TIME_SHARE = 0.2
"""Of the TPM's time, for issuer proofs: a chip may take half a minute to make an RSA EK again, and
signs nothing meanwhile. Where the EK is persistent, that time is saved."""
PROOF_TIME_BURST_S = 60.0
"""What one ``verify-issuer`` of all keys of a slow chip takes, without a pause."""
RETRY_STREAMS_S = 5
"""When a place among the streams may be free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds that the configuration may change (docs/configuration.md has the reasons)."""

    body_bytes: int = 65_536
    message_bytes: int = 16 << 20
    concurrent_requests: int = 512
    concurrent_streams: int = 64
    requests_per_caller_per_s: int = 200
    burst_per_caller: int = 400
    issuer_proofs_per_minute: int = 30


class TokenBuckets:
    """A rate and a burst for each caller.

    ``monotonic`` gives seconds. A new caller's bucket is full. At most ``max_buckets`` are kept.
    """

    def __init__(
        self,
        *,
        per_s: float,
        burst: int,
        monotonic: Callable[[], float],
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._monotonic = monotonic
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Take one; Unavailable(rate_limited) with the wait when the bucket is empty."""
        now = self._monotonic()
        tokens, at = self._buckets.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        if tokens < 1.0:
            wait_s = math.ceil((1.0 - tokens) / self._per_s)
            self._put(caller, tokens, now)
            raise Unavailable(Reason.RATE_LIMITED, caller, retry_after_s=wait_s)
        self._put(caller, tokens - 1.0, now)

    def _put(self, caller: str, tokens: float, now: float) -> None:
        self._buckets[caller] = (tokens, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)


class TimeShare:
    """A share of somebody's time, with a burst; what was used is known only afterwards."""

    def __init__(self, *, share: float, burst_s: float, monotonic: Callable[[], float]) -> None:
        self._share = share
        self._burst_s = burst_s
        self._monotonic = monotonic
        self._left_s = burst_s
        self._at = monotonic()

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Use time; Unavailable(rate_limited) with the wait while more was used than there is."""
        started = self._refill()
        if self._left_s <= 0:
            wait_s = math.floor(-self._left_s / self._share) + 1
            raise Unavailable(Reason.RATE_LIMITED, "no time left", retry_after_s=wait_s)
        try:
            yield
        finally:
            self._left_s -= self._refill() - started

    def _refill(self) -> float:
        now = self._monotonic()
        self._left_s = min(self._burst_s, self._left_s + (now - self._at) * self._share)
        self._at = now
        return now


class Places:
    """A number of places that requests or streams take while they run.

    With ``share``, one caller may hold only that part of them (1/share).
    """

    def __init__(self, total: int, *, share: int = 1, retry_after_s: int = 1) -> None:
        self._total = total
        self._each = max(1, total // share)
        self._retry_after_s = retry_after_s
        self._held: dict[str, int] = {}
        self.taken = 0

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Hold one place; Unavailable(rate_limited) when all, or all of one's share, are taken."""
        held = self._held.get(caller, 0)
        if self.taken >= self._total or held >= self._each:
            raise Unavailable(
                Reason.RATE_LIMITED, "no place free", retry_after_s=self._retry_after_s
            )
        self.taken += 1
        self._held[caller] = held + 1
        try:
            yield
        finally:
            self.taken -= 1
            self._release(caller)

    def _release(self, caller: str) -> None:
        left = self._held[caller] - 1
        if left:
            self._held[caller] = left
        else:
            del self._held[caller]


class Admission:
    """Every limit that both doors share, and whether they still take requests at all."""

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float]) -> None:
        self.limits = limits
        self.requests = Places(limits.concurrent_requests, share=REQUEST_SHARE)
        self.local_requests = Places(LOCAL_PLACES)
        self.local_streams = Places(LOCAL_PLACES, retry_after_s=RETRY_STREAMS_S)
        self.streams = Places(
            limits.concurrent_streams, share=STREAM_SHARE, retry_after_s=RETRY_STREAMS_S
        )
        self._callers = TokenBuckets(
            per_s=limits.requests_per_caller_per_s,
            burst=limits.burst_per_caller,
            monotonic=monotonic,
        )
        self._issuer_proofs = TokenBuckets(
            per_s=limits.issuer_proofs_per_minute / 60,
            burst=limits.issuer_proofs_per_minute,
            monotonic=monotonic,
            max_buckets=1,
        )
        self._proving = asyncio.Semaphore(1)
        self._proof_time = TimeShare(
            share=PROOF_TIME_SHARE, burst_s=PROOF_TIME_BURST_S, monotonic=monotonic
        )
        self.closing = False

    def admit(self, caller: str) -> None:
        """One request of ``caller`` (an address's :func:`rate_key`, or a proved name)."""
        self.admit_local()
        self._callers.take(caller)

    def admit_local(self) -> None:
        """One request of an administrator on this machine, who has no rate."""
        if self.closing:
            raise Unavailable(Reason.SHUTTING_DOWN)

    @asynccontextmanager
    async def issuer_proof(self) -> AsyncIterator[None]:
        """One proof by this issuer, made inside: TPM commands that any stranger may ask for.

        They are few a minute, one after another, and all together have a share of the TPM's time.
        """
        self._issuer_proofs.take("everyone")
        async with self._proving:
            with self._proof_time.spending():
                yield


def rate_key(address: str) -> str:
    """What an address's rate is counted under: IPv4 whole, IPv6 by its /64."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_SITE_BITS), strict=False))
