"""Access tokens and DPoP proofs by Python's JOSE libraries, each as its own documentation says.

An item has ``token``, ``key`` (the issuer's JWK), ``algorithm``, ``issuer`` and ``audience``; one
with a proof has ``proof``, ``method`` and ``url`` too. A token passes if its signature is good, its
``exp`` is ahead, ``iat`` is there, and ``iss`` and ``aud`` are these. Nothing of Keystead is
imported here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

Item = Mapping[str, bytes]
Verify = Callable[[Item], object]

PROOF_ALGORITHM = "ES256"
MAX_PROOF_AGE_S = 3_600


def pyjwt() -> Verify:
    """PyJWT."""
    return _pyjwt_token(import_module("jwt"))


def pyjwt_request() -> Verify:
    """PyJWT, and what RFC 9449 §4.3 asks of a proof by hand."""
    jwt = import_module("jwt")
    decode = _pyjwt_token(jwt)
    thumbprint = import_module("hashlib").sha256

    def verify(item: Item) -> object:
        claims = decode(item)
        proof = item["proof"].decode()
        header = jwt.get_unverified_header(proof)
        members = header["jwk"]
        key = jwt.PyJWK(members, PROOF_ALGORITHM)
        said = jwt.decode(
            proof, key, algorithms=[PROOF_ALGORITHM], options={"require": ["iat", "jti"]}
        )
        required = {name: members[name] for name in ("crv", "kty", "x", "y")}
        canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
        check_proof(header, said, claims, item, _base64url(thumbprint(canonical).digest()))
        return claims

    return verify


def _pyjwt_token(jwt: Any) -> Callable[[Item], Any]:
    @cache
    def read(key: bytes, algorithm: bytes) -> Any:
        return jwt.PyJWK(json.loads(key), algorithm.decode())

    options = {"require": ["exp", "iat", "iss", "aud"]}

    def verify(item: Item) -> Any:
        return jwt.decode(
            item["token"].decode(),
            read(item["key"], item["algorithm"]),
            algorithms=[item["algorithm"].decode()],
            audience=item["audience"].decode(),
            issuer=item["issuer"].decode(),
            options=options,
        )

    return verify


def joserfc() -> Verify:
    """joserfc."""
    return _joserfc_token()


def joserfc_request() -> Verify:
    """joserfc, and what RFC 9449 §4.3 asks of a proof by hand."""
    jwt, jwk = import_module("joserfc.jwt"), import_module("joserfc.jwk")
    jws = import_module("joserfc.jws")
    decode = _joserfc_token()

    def verify(item: Item) -> object:
        claims = decode(item)
        proof = item["proof"].decode()
        key = jwk.import_key(jws.extract_compact(proof.encode()).headers()["jwk"])
        said = jwt.decode(proof, key, algorithms=[PROOF_ALGORITHM])
        check_proof(said.header, said.claims, claims, item, key.thumbprint())
        return claims

    return verify


def _joserfc_token() -> Callable[[Item], Any]:
    jwt, jwk = import_module("joserfc.jwt"), import_module("joserfc.jwk")

    @cache
    def read(key: bytes) -> Any:
        return jwk.import_key(json.loads(key))

    def verify(item: Item) -> Any:
        decoded = jwt.decode(
            item["token"].decode(), read(item["key"]), algorithms=[item["algorithm"].decode()]
        )
        registry = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": item["issuer"].decode()},
            aud={"essential": True, "value": item["audience"].decode()},
            exp={"essential": True},
            iat={"essential": True},
        )
        registry.validate(decoded.claims)
        return decoded.claims

    return verify


def authlib() -> Verify:
    """Authlib."""
    jose = import_module("authlib.jose")

    @cache
    def read(key: bytes) -> Any:
        return jose.JsonWebKey.import_key(json.loads(key))

    @cache
    def decoder(algorithm: bytes) -> Any:
        return jose.JsonWebToken([algorithm.decode()])

    def verify(item: Item) -> object:
        claims = decoder(item["algorithm"]).decode(
            item["token"].decode(),
            read(item["key"]),
            claims_options={
                "iss": {"essential": True, "value": item["issuer"].decode()},
                "aud": {"essential": True, "value": item["audience"].decode()},
                "exp": {"essential": True},
                "iat": {"essential": True},
            },
        )
        claims.validate()
        return claims

    return verify


def python_jose() -> Verify:
    """python-jose, which has no EdDSA."""
    jwt, jwk = import_module("jose.jwt"), import_module("jose.jwk")
    required = {f"require_{name}": True for name in ("exp", "iat", "iss", "aud")}

    @cache
    def read(key: bytes, algorithm: bytes) -> Any:
        return jwk.construct(json.loads(key), algorithm.decode())

    def verify(item: Item) -> object:
        return jwt.decode(
            item["token"].decode(),
            read(item["key"], item["algorithm"]),
            algorithms=[item["algorithm"].decode()],
            audience=item["audience"].decode(),
            issuer=item["issuer"].decode(),
            options=required,
        )

    return verify


def jwcrypto() -> Verify:
    """jwcrypto."""
    jwt, jwk = import_module("jwcrypto.jwt"), import_module("jwcrypto.jwk")

    @cache
    def read(key: bytes) -> Any:
        return jwk.JWK.from_json(key.decode())

    def verify(item: Item) -> object:
        claims = {
            "iss": item["issuer"].decode(),
            "aud": item["audience"].decode(),
            "exp": None,
            "iat": None,
        }
        made = jwt.JWT(
            jwt=item["token"].decode(),
            key=read(item["key"]),
            algs=[item["algorithm"].decode()],
            check_claims=claims,
            expected_type="JWS",
        )
        return json.loads(made.claims)

    return verify


def check_proof(
    header: Mapping[str, Any],
    said: Mapping[str, Any],
    token: Mapping[str, Any],
    item: Item,
    thumbprint: str,
) -> None:
    """RFC 9449 §4.3 for a proof whose signature was checked; ValueError where it fails."""
    ath = _base64url(hashlib.sha256(item["token"]).digest())
    held = (
        header["typ"] == "dpop+jwt"
        and "d" not in header["jwk"]
        and said["htm"] == item["method"].decode()
        and said["htu"] == item["url"].decode()
        and said["ath"] == ath
        and isinstance(said["jti"], str)
        and abs(time.time() - said["iat"]) <= MAX_PROOF_AGE_S
        and token["cnf"]["jkt"] == thumbprint
    )
    if not held:
        raise ValueError("the proof does not fit")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


VERIFIERS: Mapping[str, Callable[[], Verify]] = {
    "pyjwt": pyjwt,
    "pyjwt_request": pyjwt_request,
    "joserfc": joserfc,
    "joserfc_request": joserfc_request,
    "authlib": authlib,
    "python_jose": python_jose,
    "jwcrypto": jwcrypto,
}
