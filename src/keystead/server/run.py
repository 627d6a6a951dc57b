"""Both doors, from the first listener to the last answer."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import structlog

from keystead.ports import Entropy
from keystead.server.grpc.door import Door
from keystead.server.grpc.server import GrpcServer
from keystead.server.http.app import HttpApp, build_app
from keystead.server.http.endpoints import Endpoints
from keystead.server.http.server import HttpServer
from keystead.server.limits import Admission
from keystead.server.metrics import Metrics
from keystead.server.pulse import Pulse
from keystead.server.settings import DoorSettings
from keystead.service import UseCases

HEALTH_EVERY_S = 10.0
"""How often the gRPC health service looks for itself: one TPM command each time."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger("keystead.server")


class Doors:
    """The gRPC and the HTTP listener, and the administration socket.

    ``queue_depth`` is how many TPM commands wait, for the metrics.
    """

    def __init__(
        self,
        use_cases: UseCases,
        *,
        settings: DoorSettings,
        entropy: Entropy,
        queue_depth: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._use_cases = use_cases
        self._settings = settings
        self._entropy = entropy
        self._monotonic = monotonic
        self._admission = Admission(settings.limits, monotonic=monotonic)
        self._metrics = Metrics(admission=self._admission, queue_depth=queue_depth)
        self._pulse = Pulse(use_cases.health, monotonic=monotonic)
        self._http = HttpServer(self.app(), listener=settings.http, drain_s=settings.drain_s)
        self._grpc: list[GrpcServer] = []
        self._watch: asyncio.Task[None] | None = None
        self._stop_asked = asyncio.Event()
        self.http_address = ""
        """The base URL, with the port that the system chose; empty before the start."""
        self.grpc_address = ""
        """``host:port``, likewise."""

    def app(self) -> HttpApp:
        """The ASGI application of the HTTP door."""
        endpoints = Endpoints(
            self._use_cases,
            admission=self._admission,
            metrics=self._metrics,
            pulse=self._pulse,
            plaintext_credentials=self._settings.development,
        )
        return build_app(
            self._use_cases,
            endpoints=endpoints,
            admission=self._admission,
            metrics=self._metrics,
            entropy=self._entropy,
            monotonic=self._monotonic,
        )

    async def start(self) -> None:
        """Listen; ConfigurationError when an address, a certificate or the socket's folder is
        wrong, and then nothing is left open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self._settings
        if settings.admin_socket is not None:
            await self._grpc_server(local=True).start_socket(settings.admin_socket)
        self.grpc_address = await self._grpc_server(local=False).start_tcp(settings.grpc)
        self.http_address = await self._http.start()
        self._watch = asyncio.create_task(self._watch_health())

    def _grpc_server(self, *, local: bool) -> GrpcServer:
        settings = self._settings
        door = Door(
            self._use_cases,
            admission=self._admission,
            metrics=self._metrics,
            entropy=self._entropy,
            monotonic=self._monotonic,
            local=local,
            confidential=local or settings.grpc.tls is not None or settings.development,
        )
        server = GrpcServer(door, limits=settings.limits)
        self._grpc.append(server)
        return server

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            report = await self._pulse.report()
            for server in self._grpc:
                await server.set_serving(report.healthy)

    def ask_to_stop(self) -> None:
        """What SIGTERM and SIGINT do."""
        self._stop_asked.set()

    def catch_signals(self) -> None:
        """From now on SIGTERM and SIGINT ask to stop; to be called before anyone is told that this
        process serves."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.ask_to_stop)

    async def run_until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT (or :meth:`ask_to_stop`), then :meth:`stop`."""
        self.catch_signals()
        try:
            await self._stop_asked.wait()
        finally:
            for number in SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)
        await self.stop()

    async def stop(self) -> None:
        """Refuse what is new, finish what runs within ``drain_s``, close everything."""
        self._admission.closing = True
        if self._watch is not None:
            self._watch.cancel()
        drain_s = self._settings.drain_s
        await asyncio.gather(
            self._http.stop(), *(server.stop(drain_s=drain_s) for server in self._grpc)
        )
        _log.info("doors closed")
