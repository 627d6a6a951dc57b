"""The life of one service process: start, announce, serve, drain."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog
import uvloop

from keystead.app.settings import door_settings
from keystead.app.wiring import running_service
from keystead.codec import json
from keystead.config import Config
from keystead.server.run import Doors
from keystead.system.entropy import SystemEntropy

ADMIN_SOCKET = "admin/keystead.sock"
BANNER = """\
************************************************************************
*  EMULATED HARDWARE: the keys of this service are in a software TPM.  *
*  For development and CI only, whatever its tokens say.               *
************************************************************************"""


def serve(config: Config, *, base: Path, as_json: bool) -> int:
    """Run the service until SIGTERM or SIGINT; the exit status.

    The addresses are printed once everything listens: as JSON
    ``{"http", "grpc", "admin", "state"}``, or for a person, with a banner where the hardware is
    emulated.
    """
    _log_to_stderr()
    return uvloop.run(_serve(config, base=base, as_json=as_json))


def _log_to_stderr() -> None:
    """key=value lines on standard error: standard output belongs to the addresses."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], bool_as_flag=False
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="level=%(levelname)s %(message)s"
    )


async def _serve(config: Config, *, base: Path, as_json: bool) -> int:
    folder = base / config.storage.folder
    admin_socket = base / (config.server.admin_socket or ADMIN_SOCKET)
    if not admin_socket.parent.exists():
        admin_socket.parent.mkdir(mode=0o700, parents=True)
    async with running_service(config, base=base) as service:
        doors = Doors(
            service.use_cases,
            settings=door_settings(config, base, admin_socket),
            entropy=SystemEntropy(),
            queue_depth=service.queue_depth,
        )
        await doors.start()
        addresses = {
            "http": doors.http_address,
            "grpc": doors.grpc_address,
            "admin": str(admin_socket),
            "state": str(folder.parent if config.development else folder),
        }
        doors.catch_signals()
        _announce(config, addresses, as_json=as_json)
        service.broken.add_done_callback(lambda _: doors.ask_to_stop())
        await doors.run_until_stopped()
        if service.broken.done():
            raise service.broken.result()
    return 0


def _announce(config: Config, addresses: dict[str, str], *, as_json: bool) -> None:
    if config.development:
        print(BANNER, file=sys.stderr, flush=True)
    if as_json:
        print(json.encode(addresses).decode(), flush=True)
        return
    print(f"keystead serves {config.issuer}")
    for name, address in addresses.items():
        print(f"  {name:<6} {address}", flush=True)
