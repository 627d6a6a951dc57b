"""A STAND-IN for a company's identity provider. IT AUTHENTICATES NOBODY.

Whoever reaches it on this machine is told that a made-up user has signed in, by a key that lies in
this process's memory. It exists so that the demo has a user's token to begin with; never use it
for anything else. What is real about it is what Keystead sees of any OpenID provider: discovery,
a key set by URL, and signed tokens that name their audience and client.

    python -m keystead.demo.oidc_issuer
"""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keystead.codec.json import JSON
from keystead.demo.listener import loopback_socket, serve
from keystead.demo.software_key import ALGORITHM, SoftwareKey

USER = "alice"
CLIENT = "calendar-app"
# A phishing-resistant, hardware-held authenticator (OpenID Connect EAP ACR Values 1.0).
ACR = "phrh"
AMR = ["hwk", "pin", "user"]
TOKEN_LIFETIME_S = 300


class StandInProvider:
    """One key, one user, who signed in when the process started."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = SoftwareKey()
        self._signed_in_at = int(time.time())

    async def discovery(self, request: Request) -> JSONResponse:
        """OpenID Connect Discovery 1.0 §3, as far as it is true of this stand-in."""
        return JSONResponse(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "acr_values_supported": [ACR],
            }
        )

    async def jwks(self, request: Request) -> JSONResponse:
        """RFC 7517 §5."""
        return JSONResponse({"keys": [self._key.published()]})

    async def pretend_sign_in(self, request: Request) -> JSONResponse:
        """An access token of the user for the audience that was asked for. NOBODY IS CHECKED."""
        if request.client is None or request.client.host != "127.0.0.1":
            return JSONResponse({"error": "loopback only"}, status_code=403)
        audience = request.query_params.get("audience")
        if not audience:
            return JSONResponse({"error": "audience is missing"}, status_code=400)
        token = self._key.sign_jwt(self._claims(audience), typ="at+jwt")
        return JSONResponse({"access_token": token}, headers={"Cache-Control": "no-store"})

    def _claims(self, audience: str) -> dict[str, JSON]:
        """RFC 9068 §2.2."""
        now = int(time.time())
        return {
            "iss": self.url,
            "sub": USER,
            "aud": audience,
            "client_id": CLIENT,
            "iat": now,
            "exp": now + TOKEN_LIFETIME_S,
            "jti": str(uuid4()),
            "auth_time": self._signed_in_at,
            "acr": ACR,
            "amr": list(AMR),
        }


def build_app(provider: StandInProvider) -> Starlette:
    """The routes."""
    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", provider.discovery),
            Route("/jwks", provider.jwks),
            Route("/pretend-sign-in", provider.pretend_sign_in, methods=["POST"]),
        ]
    )


def main() -> None:
    """Listen on loopback."""
    listener, url = loopback_socket()
    serve(build_app(StandInProvider(url)), listener, url=url)


if __name__ == "__main__":
    main()
