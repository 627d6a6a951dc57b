"""A protected API: what a relying party has to write, and all of it.

    python -m keystead.demo.api ISSUER PROTECTION

The middleware refuses whatever does not verify; the endpoint sees a ``VerifiedToken``.
"""

from __future__ import annotations

import logging
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keystead import ResidencyRequirement, VerifiedToken, Verifier
from keystead.demo.listener import loopback_socket, serve
from keystead.model import Protection
from keystead.relying.asgi import KeysteadMiddleware
from keystead.system import SystemClock

PATH = "/calendar"
READ_SCOPE = "calendar.read"
WRITE_SCOPE = "calendar.write"
# Every process of the demo reads the same clock. The middleware refuses proofs that are not newer
# by the leeway than its own start, so a longer one would only make the demo wait.
LEEWAY_S = 1


async def calendar(request: Request) -> JSONResponse:
    """Answer the user's agent."""
    token: VerifiedToken = request.scope["keystead.token"]
    return JSONResponse({"user": token.user, "agent": token.agent, "events": ["09:00 stand-up"]})


def build_app(*, issuer: str, url: str, protection: Protection) -> KeysteadMiddleware:
    """The application behind its middleware; ``url`` is its address and its audience.

    ``protection`` is what it asks of an agent's key.
    """
    verifier = Verifier(
        issuer=issuer,
        jwks=f"{issuer}/jwks",
        audience=url,
        scopes_required=[READ_SCOPE],
        minimum_aal=2,
        # An API that means it leaves all of this alone: then only keys in real hardware will do.
        require_residency=ResidencyRequirement(hardware=False, protections=frozenset({protection})),
        leeway_s=LEEWAY_S,
    )
    app = Starlette(routes=[Route(PATH, calendar)])
    return KeysteadMiddleware(app, verifier=verifier, clock=SystemClock(), external_url=url)


def main() -> None:
    """Listen on loopback; one line a request goes to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    listener, url = loopback_socket()
    issuer, protection = sys.argv[1], Protection(sys.argv[2])
    serve(build_app(issuer=issuer, url=url, protection=protection), listener, url=url)


if __name__ == "__main__":
    main()
