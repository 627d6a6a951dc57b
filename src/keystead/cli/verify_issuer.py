"""Ask an issuer to prove that its signing keys are in a TPM.

What the issuer publishes convinces nobody by itself: an endorsement key cannot sign. So this sends
a credential and a nonce of its own for every key, and checks the secret that only that TPM can
recover and a certification made for that nonce. Exit status 0 only if every key was proved.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import httpx

from keystead.appraisal.anchors import AnchorSet, load_anchors
from keystead.binding import issuer_proof
from keystead.binding.issuer_proof import IssuerChallenge, ProvedIssuerKey
from keystead.cli.output import EXIT_NO, print_json, print_table
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Reason, Rejected, Unavailable
from keystead.jose.jwk import parse_set
from keystead.model import AnchorClass
from keystead.system.clock import SystemClock
from keystead.system.documents import check_location
from keystead.system.entropy import SystemEntropy

MAX_DOCUMENT_BYTES = 1 << 20
"""A key's entry has about 6 kB; a hundred keys with their certificate chains fit."""
MAX_KEYS = 100
TIMEOUT_S = 30.0
"""A credential activation takes seconds on a slow chip."""
KEYS_PATH = "/.well-known/keystead/keys"
JWKS_PATH = "/jwks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The issuer, and whose TPMs are believed."""
    parser.add_argument("issuer", help="the issuer's URL, as in the tokens' iss")
    parser.add_argument(
        "--roots",
        type=Path,
        required=True,
        metavar="DIR",
        help="a folder (or file) of PEM certificates: the EK CAs that you trust",
    )
    parser.add_argument(
        "--class",
        dest="anchor_class",
        default=AnchorClass.EMULATED.value,
        choices=[c.value for c in (AnchorClass.TPM, AnchorClass.VIRTUAL_TPM, AnchorClass.EMULATED)],
        help="what these roots vouch for (default: %(default)s, which is never hardware)",
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Prove every key that the issuer lists."""
    check_location(options.issuer)
    anchors = load_anchors(options.roots, anchor_class=AnchorClass(options.anchor_class))
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as http:
        issuer = _Issuer(http, options.issuer)
        rows = issuer.prove_all(anchors)
    proved = all(row["proved"] for row in rows)
    if options.json:
        print_json({"issuer": options.issuer, "proved": proved, "keys": rows})
    else:
        _show(options.issuer, rows, proved=proved)
    return 0 if proved else EXIT_NO


class _Issuer:
    """One issuer, asked over HTTP."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url
        self._base = url.rstrip("/")

    def prove_all(self, anchors: AnchorSet) -> list[dict[str, object]]:
        """One row for each key; a key of the JWKS that is not proved for tokens is a row too."""
        document = self._ask("GET", KEYS_PATH)
        if json.get_str(document, "issuer") != self._url:
            raise Rejected(Reason.ISSUER_MISMATCH, "the keys document names another issuer")
        entries = json.get_object_list(document, "keys", max_items=MAX_KEYS)
        rows = [self._prove(entry, anchors) for entry in entries]
        proved = {row["kid"] for row in rows if row["purpose"] == "token" and row["proved"]}
        published = parse_set(self._ask("GET", JWKS_PATH))
        for key in published:
            if key.kid not in proved or key.kid != key.thumbprint:
                rows.append(_refused(str(key.kid), "token", Reason.KEY_UNKNOWN, None))
        if not len(published) or published.skipped:
            rows.append(_refused("", "token", Reason.KEY_UNKNOWN, None))
        return rows

    def _prove(self, entry: Mapping[str, JSON], anchors: AnchorSet) -> dict[str, object]:
        kid = json.get_str(entry, "kid")
        purpose = json.get_str(entry, "purpose")
        try:
            challenge = issuer_proof.challenge_issuer(
                issuer_proof.parse_published_key(entry),
                issuer=self._url,
                anchors=anchors,
                now=SystemClock().now(),
                entropy=SystemEntropy(),
            )
            answer = issuer_proof.parse_answer(self._challenge(challenge))
            proved = issuer_proof.conclude(challenge, answer=answer)
            _check_kid(proved)
        except Unavailable:
            raise
        except KeysteadError as error:
            return _refused(kid, purpose, error.reason, error.step)
        return {
            "kid": kid,
            "purpose": purpose,
            "proved": True,
            "reason": "",
            "step": None,
            "protection": proved.protection.value,
            "hardware": proved.hardware,
            "anchor": proved.anchor,
            "anchor_class": proved.anchor_class.value,
            "ek": proved.ek,
            "verified_at": proved.verified_at,
        }

    def _challenge(self, challenge: IssuerChallenge) -> dict[str, JSON]:
        return self._ask(
            "POST",
            f"{KEYS_PATH}/prove",
            {
                "kid": challenge.published.kid,
                "nonce": base64url.encode(challenge.nonce),
                "credential_blob": base64url.encode(challenge.credential_blob),
                "encrypted_secret": base64url.encode(challenge.encrypted_secret),
            },
        )

    def _ask(
        self, method: str, path: str, body: Mapping[str, JSON] | None = None
    ) -> dict[str, JSON]:
        url = self._base + path
        try:
            with self._http.stream(method, url, json=body) as response:
                data = bytearray()
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_DOCUMENT_BYTES:
                        raise Rejected(Reason.TOO_LARGE, url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, f"{url}: {error}") from None
        if response.status_code != httpx.codes.OK:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, f"{url}: HTTP {response.status_code}")
        return json.parse_object(bytes(data), max_bytes=MAX_DOCUMENT_BYTES)


def _check_kid(proved: ProvedIssuerKey) -> None:
    """A ``kid`` is its key's thumbprint, so that the JWKS and this document mean one key."""
    if proved.kid != proved.key.thumbprint:
        raise Rejected(Reason.KEY_MISMATCH, "kid is not the key's thumbprint")


def _refused(kid: str, purpose: str, reason: Reason, step: int | None) -> dict[str, object]:
    return {
        "kid": kid,
        "purpose": purpose,
        "proved": False,
        "reason": reason.value,
        "step": step,
        "hardware": False,
    }


def _show(issuer: str, rows: list[dict[str, object]], *, proved: bool) -> None:
    print_table(
        ("KID", "PURPOSE", "PROVED", "PROTECTION", "HARDWARE", "ANCHOR"),
        [
            (
                row["kid"],
                row["purpose"],
                "yes" if row["proved"] else f"no: {row['reason']} (step {row['step']})",
                row.get("protection", ""),
                "yes" if row["hardware"] else "no",
                f"{row.get('anchor', '')} ({row.get('anchor_class', '')})",
            )
            for row in rows
        ],
    )
    if proved:
        print(f"every key of {issuer} is in that TPM, as of now")
    else:
        print(f"NOT proved for {issuer}")
