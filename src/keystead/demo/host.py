"""The workload's host: its own TPM, under a CA of its own, and an agent that uses it.

    python -m keystead.demo.host FOLDER SERVER ISSUER

It says who it is in one JSON line and then answers one line with another:

    {"do": "attest"}                                            prove the key, have it bound
    {"do": "exchange", "subject_token", "audience", "scope"}    a token; kept if there is one
    {"do": "call", "url"}                                       GET, with that token and a proof
    {"do": "renew"}                                             another token, by the grant's handle

Whatever the token endpoint answers is told as it came: ``{"status", "body"}``. The key never leaves
the TPM, the refresh token never leaves this process.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from keystead.agent import KeysteadAuth, TpmHost, Workload
from keystead.agent.collector import endorsement as endorsement_of
from keystead.appraisal.endorsement import enrolment_key
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Malformed, Reason, Unavailable
from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template

_TIMEOUT_S = 20.0
# The demo's own lines, with a subject token in them.
_MAX_LINE_BYTES = 65_536


class TokenAnswers:
    """The last thing that the token endpoint answered to the agent."""

    def __init__(self) -> None:
        self.last: dict[str, JSON] | None = None

    def note(self, response: httpx.Response) -> None:
        """An ``httpx`` event hook."""
        body = json.parse_object(response.read(), max_bytes=_MAX_LINE_BYTES)
        if "refresh_token" in body:
            body["refresh_token"] = "(kept by the host)"
        self.last = {"status": response.status_code, "body": body}


class Host:
    """One agent on one TPM."""

    def __init__(self, workload: Workload, answers: TokenAnswers) -> None:
        self._workload = workload
        self._answers = answers
        self._auth: KeysteadAuth | None = None

    def answer(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """Do what the line says; a refusal by the token endpoint is an answer, too."""
        match json.get_str(request, "do"):
            case "attest":
                return self._attest()
            case "exchange":
                return self._exchange(request)
            case "renew":
                return self._asked(self._authorized().tokens.renew)
            case "call":
                return self._call(json.get_str(request, "url"))
            case other:
                raise Malformed(Reason.PARAMETER_INVALID, f"cannot {other}")

    def _attest(self) -> dict[str, JSON]:
        binding = self._workload.attest()
        return {
            "spiffe_id": binding.spiffe_id,
            "jkt": binding.jkt,
            "result_id": binding.result_id,
            "ear": binding.ear,
            "expires_at": binding.expires_at,
        }

    def _exchange(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        auth = self._workload.auth(
            json.get_str(request, "subject_token"),
            audience=json.get_str(request, "audience"),
            scope=json.get_str(request, "scope"),
        )
        answer = self._asked(auth.tokens.current)
        if answer.get("status") == httpx.codes.OK:
            self._auth = auth
        return answer

    def _asked(self, ask: Callable[[], object]) -> dict[str, JSON]:
        """What the token endpoint answered, yes or no."""
        self._answers.last = None
        try:
            ask()
        except KeysteadError:
            if self._answers.last is None or self._answers.last["status"] == httpx.codes.OK:
                raise
        if self._answers.last is None:
            raise Unavailable(Reason.SERVER_UNAVAILABLE, "the token endpoint was not asked")
        return self._answers.last

    def _call(self, url: str) -> dict[str, JSON]:
        with httpx.Client(auth=self._authorized(), timeout=_TIMEOUT_S, trust_env=False) as http:
            response = http.get(url)
        sent = response.request
        return {
            "status": response.status_code,
            "body": json.parse_object(response.content, max_bytes=_MAX_LINE_BYTES),
            "method": sent.method,
            "url": str(sent.url),
            "access_token": sent.headers["Authorization"].removeprefix("DPoP "),
            "dpop_proof": sent.headers["DPoP"],
        }

    def _authorized(self) -> KeysteadAuth:
        if self._auth is None:
            raise Malformed(Reason.PARAMETER_INVALID, "there is no token yet")
        return self._auth


def describe(device: Tpm2Device, folder: Path, ca: SwtpmCa) -> dict[str, JSON]:
    """What an administrator needs to enrol this host, as files."""
    endorsement = endorsement_of(device)
    certificate = endorsement.certificate or b""
    files = {
        "ek_public": (folder / "ek.pub", endorsement.public),
        "ek_certificate": (folder / "ek.crt", certificate),
        "ca": (folder / "ek-ca.pem", ca.root_certificate_pem + ca.issuer_certificate_pem),
    }
    for path, data in files.values():
        path.write_bytes(data)
    key = enrolment_key(ek_public=endorsement.public, ek_certificate=certificate)
    return {"ek": key.id, **{name: str(path) for name, (path, _) in files.items()}}


def main() -> None:
    """Make the TPM, then answer until standard input ends or SIGTERM comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder, server, issuer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    ca = SwtpmCa(folder / "ca")
    answers = TokenAnswers()
    with (
        Swtpm(make_template(folder / "tpm", ca=ca)) as tpm,
        httpx.Client(trust_env=False, event_hooks={"response": [answers.note]}) as http,
        Tpm2Device(tpm.tcti) as device,
        Workload(
            TpmHost(device, folder=folder / "keys"), server=server, issuer=issuer, http=http
        ) as workload,
    ):
        _say(describe(device, folder, ca))
        host = Host(workload, answers)
        for line in sys.stdin.buffer:
            _say(_answer(host, line))


def _answer(host: Host, line: bytes) -> dict[str, JSON]:
    try:
        return host.answer(json.parse_object(line, max_bytes=_MAX_LINE_BYTES))
    except KeysteadError as error:
        return {"failed": str(error)}
    except httpx.HTTPError as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _say(document: Mapping[str, JSON]) -> None:
    sys.stdout.buffer.write(json.encode(document) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
