"""Requests that are good but for a few changes, made to the JSON text before it is signed.

So members stand twice, names have escapes, numbers every spelling, and the signature is good all
the same: every check is reached. ``random`` is anything with the methods of ``random.Random``,
hypothesis' own included. The keys are those of ``jose_keys``:
``issuer`` signs tokens, ``holder`` proofs.
"""

import json
from random import Random
from typing import Any

from keystead.codec import base64url
from keystead.jose import jws
from keystead.jose.dpop import access_token_hash
from keystead.relying import RequestToVerify
from tests.jose_keys import private_key, public_jwk, signature
from tests.relying_tokens import AUDIENCE, ISSUER, NOW, RESULT, URL, claims, residency
from tests.status_lists import URI as STATUS_URI
from tests.status_lists import listed
from tests.ugly_json import Members, members_of, objects_in, ugly_values, written

NAMES = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "PS256")
# How the issuer's keys are called: by their algorithm, or by what makes them unsuitable.
KIDS = (*NAMES, "as EdDSA", "as RS256", "for PS256", "as ES384", "schlüssel-é")


def issuer_jwks() -> dict[str, Any]:
    """A key of each algorithm, and some that say what they are for."""
    keys = [public_jwk(name, "issuer", kid=name, use="sig").to_dict() for name in NAMES]
    keys.append(public_jwk("EdDSA", "issuer", kid="as EdDSA", alg="EdDSA").to_dict())
    keys.append(public_jwk("RS256", "issuer", kid="as RS256", alg="RS256").to_dict())
    keys.append(public_jwk("RS256", "issuer", kid="for PS256", alg="PS256").to_dict())
    verifies = {"key_ops": ["sign", "verify"]}
    keys.append(public_jwk("ES256", "issuer", kid="as ES384", alg="ES384").to_dict())
    keys.append({**public_jwk("ES256", "issuer", kid="schlüssel-é").to_dict(), **verifies})
    return {"keys": keys}


def _texts(*values: object) -> tuple[str, ...]:
    return tuple(json.dumps(value) for value in values)


_DATES = (0, NOW - 60, NOW - 6, NOW - 5, NOW, NOW + 4, NOW + 5, NOW + 6, NOW + 300, NOW + 999)
_PUBLIC = (
    "kty",
    "crv",
    "x",
    "y",
    "n",
    "e",
    "d",
    "p",
    "q",
    "dp",
    "dq",
    "qi",
    "oth",
    "k",
    "alg",
    "use",
)
# What is worth trying for a member of this name, beside what is ugly for any.
FITTING: dict[str, tuple[str, ...]] = {
    "alg": _texts(*NAMES, "none", "HS256", "es256", "RSA-OAEP"),
    "typ": _texts(
        "at+jwt", "application/at+jwt", "APPLICATION/AT+JWT", "dpop+jwt", "Application/DPoP+JWT"
    )
    + _texts(
        "application/application/dpop+jwt",
        "JWT",
        "at+jwt ",
        "ap\u212aplication/at+jwt",
        "İ",
        "applıcation/at+jwt",
    ),
    "kid": _texts(*KIDS, "token-1", "unknown", "k" * 256, "é" * 256, "😀" * 256),
    "iss": (*_texts(ISSUER, ISSUER + "/", ISSUER.upper()), '"https:\\/\\/issuer.example"'),
    "aud": _texts(AUDIENCE, [AUDIENCE], ["other", AUDIENCE], ["other"], [], "other", [AUDIENCE, 1])
    + _texts([AUDIENCE] * 20, [AUDIENCE] * 21, [AUDIENCE, ""], [AUDIENCE, "a" * 2_049]),
    "scope": _texts(
        "orders:read", "orders:read orders:list", "orders:list", "orders:read ", "orders:rea"
    )
    + _texts('a"b', "a\\b", "a\tb", "a" * 4_096, "a" * 4_097, "orders:readorders:list", "é"),
    "exp": _texts(*_DATES, NOW + 290, NOW + 291, NOW - 10, NOW - 11),
    "aal": _texts(0, 1, 2, 3, 4, 2.0),
    "acr": _texts("phrh", "phr", "é"),
    "jkt": _texts(RESULT, "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "é", "a+" + "A" * 41),
    "kind": _texts(
        "tpm2", "aws-nitro", "sev-snp", "tdx", "azure-cvm", "maa", "app-attest", "oidc", "sgx"
    ),
    "protection": _texts("non-exportable", "measured-code", "none", "None", "nonE"),
    "freshness": _texts("challenged", "bearer", "fresh"),
    "policy": _texts("servers/3", "servers/2", "é" * 2_048),
    "hardware": ("true", "false"),
    "htm": _texts("GET", "get", "POST", "GÉT", "G" * 32, "G" * 33),
    "kty": _texts("EC", "OKP", "RSA", "oct", "ec"),
    "crv": _texts("P-256", "P-384", "P-521", "secp256k1", "Ed25519", "Ed448", "X25519"),
    "use": _texts("sig", "enc", "Enc", "jwt-svid", "u" * 64, "u" * 65),
    "key_ops": _texts(["verify"], ["sign", "verify"], [], ["verify"] * 100, ["verify"] * 101),
    "n": (),
    "e": _texts("AQAB", "Aw", "AQAA", "AAEAAQ", "_____w", "AQAAAAE", "", "AQA", "AP____8"),
}
FITTING["idx"] = _texts(0, 1, 2, 3, 4, 7, 8, 2**63 - 1, 2**63, -1, 1.0, "0")
FITTING["uri"] = _texts(
    STATUS_URI, STATUS_URI + "é", STATUS_URI + "/away", "", "other", "u" * 2_049
)
FITTING["uri"] += (json.dumps(STATUS_URI).replace("/", "\\/"), '"\\u0068' + STATUS_URI[1:] + '"')
FITTING["status"] = _texts(listed(0), listed(2), {}, {"status_list": {}, "other": 1}, None)
FITTING["result"] = FITTING["jkt"]
FITTING["ath"] = FITTING["jkt"]
for _name in ("iat", "nbf", "auth_time", "verified_at"):
    FITTING[_name] = FITTING["exp"]


def _number(bits: int, *, odd: bool = True, zeros: int = 0) -> str:
    value = (1 << bits - 1) | (0xC0FFEE << 9) | odd
    return base64url.encode(bytes(zeros) + value.to_bytes((bits + 7) // 8, "big"))


def _points() -> tuple[str, ...]:
    """Coordinates, most of them no good: y of Ed25519 in little-endian order, and lengths."""
    prime = 2**255 - 19
    small = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    ys = [
        0,
        1,
        2,
        3,
        small,
        prime - small,
        prime - 2,
        prime - 1,
        prime,
        prime + 1,
        2**255 - 1,
        2**248,
    ]
    encoded = [
        base64url.encode((y | top << 255).to_bytes(32, "little")) for y in ys for top in (0, 1)
    ]
    lengths = [base64url.encode(bytes(size)) for size in (0, 1, 31, 32, 33, 47, 48, 49, 65, 66, 67)]
    encoded += [base64url.encode(b"\xff" * size) for size in (32, 48, 66)]
    return _texts(
        *encoded, *lengths, "A", "AA==", "A" * 42 + "B", "é" * 43, "A" * 42 + "+", "A" * 42 + " "
    )


FITTING["x"] = FITTING["y"] = _points()
FITTING["n"] = _texts(
    *(_number(bits) for bits in (2_047, 2_048, 2_049, 3_072, 8_191, 8_192)),
    *(_number(2_048, odd=False), _number(2_048, zeros=1), _number(8_193), _number(8_200), ""),
)


def _urls() -> tuple[str, ...]:
    host = "https://api.example"
    same = [
        "HTTPS://API.example:443/orders",
        host + "/./orders",
        host + "/%6frders",
        host + ":/orders",
    ]
    same += [host + "/x/../orders?q=1#f", host + "/orders?", host + "/a/b/%2e%2E/../orders"]
    other = [
        host,
        host + "/",
        host + "/Orders",
        host + "/orders/",
        host + "//orders",
        host + ":0/orders",
    ]
    other += [
        host + ":65536/",
        host + ":00443/orders",
        "http://api.example/orders",
        "ftp://api.example/",
    ]
    other += [
        "https://u@api.example/orders",
        "https://[::1]/orders",
        "https://é/",
        host + "/é",
        host + "/%",
    ]
    other += [
        host + "/%2G",
        host + "/orders#a#b",
        "",
        "a",
        host + "/" + "a/../" * 405,
        host + "/..",
    ]
    other += [host + "/" + "a" * 2_028, host + "/" + "a" * 2_029, "https:// /", host + "/orders\n"]
    return tuple(same + other)


URLS = _urls()
FITTING["htu"] = _texts(*URLS)


# --- changes --------------------------------------------------------------------------------------


def _escaped(random: Random, name: str) -> str:
    text = json.loads(name)
    at = random.randrange(len(text)) if text else 0
    return (
        json.dumps(text[:at])[:-1]
        + "".join(f"\\u{ord(c):04x}" for c in text[at : at + 1])
        + json.dumps(text[at + 1 :])[1:]
    )


def _replace(random: Random, members: Members, at: int) -> None:
    name = members[at][0]
    fitting = FITTING.get(json.loads(name), ()) if random.random() < 0.7 else ()
    members[at][1] = random.choice(fitting or ugly_values())


def _drop(random: Random, members: Members, at: int) -> None:
    del members[at]


def _repeat(random: Random, members: Members, at: int) -> None:
    name = members[at][0] if random.random() < 0.5 else _escaped(random, members[at][0])
    members.insert(random.randrange(len(members) + 1), [name, members[at][1]])


def _escape(random: Random, members: Members, at: int) -> None:
    members[at][0] = _escaped(random, members[at][0])


def _add(random: Random, members: Members, at: int) -> None:
    name = random.choice(
        (
            *FITTING,
            *_PUBLIC,
            "crit",
            "b64",
            "zip",
            "enc",
            "nonce",
            "act",
            "sub",
            "x5t#S256",
            "é",
            "",
        )
    )
    value = random.choice(FITTING.get(name) or ugly_values())
    members.insert(random.randrange(len(members) + 1), [json.dumps(name), value])


def _move(random: Random, members: Members, at: int) -> None:
    members.insert(random.randrange(len(members)), members.pop(at))


def _nest(random: Random, members: Members, at: int) -> None:
    """Links around what stands here, as ``act`` has them."""
    for _ in range(random.randrange(1, 10)):
        link = members_of({"sub": "agent"})
        link.append(['"act"', members[at][1]])
        members[at][1] = link


CHANGES = (*([_replace] * 12), _drop, _drop, _repeat, _escape, _escape, _add, _add, _move)


def bend(random: Random, members: Members) -> None:
    """One change somewhere in an object or in those within it."""
    within = random.choice(objects_in(members))
    if not within:
        return
    at = random.randrange(len(within))
    nests = within[at][0] == '"act"' and random.random() < 0.5
    (_nest if nests else random.choice(CHANGES))(random, within, at)


# --- requests -------------------------------------------------------------------------------------


class Text(str):
    """A string that is not exactly one."""

    __slots__ = ()


def signed(random: Random, header: Members, payload: Members, *, algorithm: str, key: str) -> str:
    """A JWS of these texts, in any spacing."""
    spaced = random.random() < 0.1
    space = (lambda: random.choice(("", " ", "\n\t", "\r"))) if spaced else str
    texts = [written(part, space).encode("utf-8", "surrogatepass") for part in (header, payload)]
    message = ".".join(base64url.encode(text) for text in texts).encode()
    return jws.assemble(message, signature(algorithm, private_key(algorithm, key), message))


def bent_token(random: Random, *, holder: str, changes: int) -> str:
    algorithm = random.choice(NAMES) if random.random() < 0.4 else "ES256"
    header = members_of({"typ": "at+jwt", "alg": algorithm, "kid": algorithm})
    confirmed = {"jkt": public_jwk(holder).thumbprint, "residency": residency()}
    payload = members_of(
        claims(cnf=confirmed, jti=f"token-{random.randrange(5)}", status=listed(0))
    )
    if random.random() < 0.1:
        payload = [member for member in payload if member[0] != '"cnf"']
    for _ in range(changes):
        bend(random, header if random.random() < 0.2 else payload)
    return signed(random, header, payload, algorithm=algorithm, key="issuer")


def bent_proof(random: Random, token: str, *, holder: str, changes: int) -> str:
    jwk = dict(public_jwk(holder).members)
    header = members_of({"typ": "dpop+jwt", "alg": holder, "jwk": jwk})
    ath = access_token_hash(token) if token.isascii() else RESULT
    named = {
        "jti": f"proof-{random.randrange(1_000)}",
        "htm": "GET",
        "htu": URL,
        "iat": NOW,
        "ath": ath,
    }
    payload = members_of(named)
    if random.random() < 0.2:
        payload.append(['"nonce"', random.choice(('"good"', '"bad"', '""'))])
    for _ in range(changes):
        bend(random, header if random.random() < 0.5 else payload)
    return signed(random, header, payload, algorithm=holder, key="holder")


def damaged(random: Random, text: str) -> str:
    """The text with a few characters taken out, put in or changed."""
    alphabet = "AZaz09-_.,=+/ \n\0é€😀\ud800"
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(text) + 1)
        put = "".join(random.choice(alphabet) for _ in range(random.randrange(3)))
        text = text[:at] + put + text[at + random.randrange(3) :]
    return text


def _sent(random: Random, proof: str) -> Any:
    if random.random() < 0.9:
        return proof
    two = f"{proof}, {proof}"
    many: tuple[Any, ...] = (
        [proof],
        (proof,),
        [],
        (),
        "",
        [""],
        None,
        [proof, proof],
        two,
        [two],
        ["", ""],
    )
    return random.choice((*many, Text(proof), [Text(proof)], "é", "é,é", "é" * 8_193, "a" * 8_193))


def bent_request(random: Random) -> RequestToVerify:
    """A request with some things changed, anywhere in it."""
    holder = random.choice(NAMES) if random.random() < 0.4 else "ES256"
    of_token = random.choice((0, 0, 1, 1, 2, 3))
    token = bent_token(random, holder=holder, changes=of_token)
    if random.random() < 0.05:
        token = random.choice(
            (damaged(random, token), Text(token), token + "=", token.replace(".", ".."))
        )
    of_proof = random.choice((0, 1, 1, 2, 3) if of_token == 0 else (0, 0, 1))
    proof = bent_proof(random, token, holder=holder, changes=of_proof)
    if random.random() < 0.05:
        proof = damaged(random, proof)
    method = (
        random.choice(("GET", Text("GET"), "get", "GÉT", "G\ud800", ""))
        if random.random() < 0.05
        else "GET"
    )
    url = random.choice((*URLS, "https://a\ud800/")) if random.random() < 0.1 else URL
    return RequestToVerify(token=token, proof=_sent(random, proof), method=method, url=url)
