"""A signing key in plain memory: for the stand-in identity provider, and for the thief.

Nothing that Keystead itself signs with is made here.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.codec.json import JSON
from keystead.jose import algorithms, jwk, jws
from keystead.jose.dpop import proof_signing_input
from keystead.jose.jwk import PublicJwk

ALGORITHM = "ES256"


class SoftwareKey:
    """A new ES256 key; its ``kid`` is its thumbprint."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public: PublicJwk = jwk.from_public_key(self._key.public_key())
        self.kid = self.public.thumbprint

    def published(self) -> dict[str, JSON]:
        """The JWK for a key set."""
        return {**self.public.members, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def sign_jwt(self, claims: Mapping[str, JSON], *, typ: str) -> str:
        """A signed JWT."""
        header = {"typ": typ, "alg": ALGORITHM, "kid": self.kid}
        return self._signed(jws.signing_input(header, claims))

    def prove(
        self, *, method: str, url: str, jti: str, issued_at: int, access_token: str | None = None
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2)."""
        return self._signed(
            proof_signing_input(
                self.public,
                method=method,
                url=url,
                jti=jti,
                issued_at=issued_at,
                access_token=access_token,
            )
        )

    def _signed(self, signing_input: bytes) -> str:
        der = self._key.sign(signing_input, ec.ECDSA(SHA256()))
        return jws.assemble(signing_input, algorithms.ecdsa_raw_from_der(ALGORITHM, der))
