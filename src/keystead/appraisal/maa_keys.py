"""The key sets of Microsoft Azure Attestation, whose keys are certificates (RFC 7517 §4.7).

An instance answers ``/certs`` with keys that may have an ``x5c`` and no ``n`` and ``e``. What makes
them trusted is where they came from; the certificates are containers here, and no chain is built.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Malformed, Reason
from keystead.jose.jwk import (
    MAX_KID_CHARS,
    MAX_SET_BYTES,
    MAX_SET_KEYS,
    JwkSet,
    PublicJwk,
    from_public_key,
    parse_public,
    refuse_private,
)

MAX_CERTIFICATE_CHARS: Final = 65_536
"""Some hold a quote of the enclave that made the key."""
MAX_CHAIN: Final = 8


def parse_maa_keys(document: bytes | Mapping[str, JSON]) -> JwkSet:
    """The RSA keys of a key set; ``Malformed`` for what is none.

    Keys that are of no use are skipped, as RFC 7517 §5 advises; TokenRejected for a private one.
    """
    if isinstance(document, bytes):
        document = json.parse_object(document, max_bytes=MAX_SET_BYTES)
    entries = json.get_object_list(document, "keys", max_items=MAX_SET_KEYS)
    for entry in entries:
        refuse_private(entry)
    keys = [key for key in map(_key, entries) if key is not None]
    return JwkSet(keys, skipped=len(entries) - len(keys))


def _key(entry: Mapping[str, JSON]) -> PublicJwk | None:
    try:
        certified = _certified(entry)
        key = parse_public(entry) if certified is None or "n" in entry else certified
    except KeysteadError:
        return None
    if certified is not None and certified.thumbprint != key.thumbprint:
        return None
    return key if key.kty == "RSA" and key.use in (None, "sig") else None


def _certified(entry: Mapping[str, JSON]) -> PublicJwk | None:
    """The key in the first certificate of ``x5c``; the others are its chain."""
    chain = json.find_str_list(entry, "x5c", max_items=MAX_CHAIN, max_chars=MAX_CERTIFICATE_CHARS)
    if not chain:
        return None
    key = _public_key(chain[0])
    return from_public_key(
        key,
        kid=json.find_str(entry, "kid", max_chars=MAX_KID_CHARS),
        alg=json.find_str(entry, "alg"),
        use=json.find_str(entry, "use"),
    )


def _public_key(text: str) -> RSAPublicKey:
    try:
        der = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(Reason.MALFORMED, "x5c holds no certificate") from error
    if not isinstance(key, RSAPublicKey):
        raise Malformed(Reason.MALFORMED, "a certificate with a key of another type")
    return key
