"""Software keys that tests sign with, and the JOSE objects they make: good ones and bent ones."""

from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from keystead.jose import algorithms, dpop, jwk, jws

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
HASHES = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def private_key(algorithm: str = "ES256", name: str = "holder") -> PrivateKey:
    """The key called ``name``: the same one for one test run."""
    return _private_key(algorithm, name)


@cache
def _private_key(algorithm: str, name: str) -> PrivateKey:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm in ("EdDSA", "Ed25519"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def public_jwk(algorithm: str = "ES256", name: str = "holder", **metadata: str) -> jwk.PublicJwk:
    return jwk.from_public_key(private_key(algorithm, name).public_key(), **metadata)


def signature(algorithm: str, key: PrivateKey, message: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        der = key.sign(message, ec.ECDSA(HASHES[algorithm]))
        return algorithms.ecdsa_raw_from_der(algorithm, der)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    sha256 = hashes.SHA256()
    pss = padding.PSS(mgf=padding.MGF1(sha256), salt_length=32)
    return key.sign(message, pss if algorithm == "PS256" else padding.PKCS1v15(), sha256)


def compact(
    header: Mapping[str, object],
    payload: Mapping[str, object] | bytes,
    *,
    key: PrivateKey | None = None,
    algorithm: str = "ES256",
) -> str:
    """A JWS over exactly this header, really signed with ``algorithm`` whatever it says."""
    message = jws.signing_input(header, payload)
    return jws.assemble(message, signature(algorithm, key or private_key(algorithm), message))


def proof(
    *,
    method: str = "POST",
    url: str = "https://server.example/token",
    now: int = 1_000_000,
    access_token: str | None = None,
    nonce: str | None = None,
    algorithm: str = "ES256",
    name: str = "holder",
) -> str:
    """A good DPoP proof."""
    message = dpop.proof_signing_input(
        public_jwk(algorithm, name),
        method=method,
        url=url,
        jti="jti-of-a-test",
        issued_at=now,
        access_token=access_token,
        nonce=nonce,
    )
    return jws.assemble(message, signature(algorithm, private_key(algorithm, name), message))


def bent_proof(
    *,
    header: Mapping[str, object | None] | None = None,
    claims: Mapping[str, object | None] | None = None,
) -> str:
    """A good proof with some members changed, or left out where None; signed as it stands."""
    good = jws.parse_compact(proof())
    bent_header = {**good.header, **(header or {})}
    bent_claims = {
        "jti": "jti-of-a-test",
        "htm": "POST",
        "htu": "https://server.example/token",
        "iat": 1_000_000,
        **(claims or {}),
    }
    return compact(
        {name: value for name, value in bent_header.items() if value is not None},
        {name: value for name, value in bent_claims.items() if value is not None},
    )
