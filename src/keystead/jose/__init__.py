"""Signed JSON: keys, signatures, tokens and proofs of possession, for public data only.

    jwks = jwk.parse_set(jwks_bytes)
    token = jwt.verify_jwt(
        access_token, keys=jwks, types=frozenset({"at+jwt"}),
        issuer="https://issuer.example", audience="https://api.example", now=now)
    proof = dpop.verify_proof(
        proofs, method="GET", url="https://api.example/orders", now=now,
        access_token=access_token, expected_jkt=jkt, nonce=None)

Nothing here signs: ``jws.signing_input`` and ``dpop.proof_signing_input`` make the bytes, the key's
hardware signs them, and ``jws.assemble`` puts both together.
"""
