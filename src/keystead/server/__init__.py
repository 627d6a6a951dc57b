"""The doors: gRPC and HTTP in one process on one loop.

    doors = Doors(use_cases, settings=…, entropy=…, queue_depth=…)
    await doors.start()                # → doors.http_address, doors.grpc_address
    await doors.run_until_stopped()    # SIGTERM or SIGINT: finishes what is in flight, then closes

A door turns bytes into calls of :mod:`keystead.service` and answers into bytes; what it decides by
itself is who is calling (credentials), how much may come (``limits.py``) and which code says no
(``status.py``).
"""

from keystead.server.run import Doors
from keystead.server.settings import DoorSettings, Listener, TlsFiles

__all__ = ["DoorSettings", "Doors", "Listener", "TlsFiles"]
