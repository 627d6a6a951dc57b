"""A service that tests start, kill and start again, and a workload on a TPM of its own.

    with installation(tpm, host_ca=ca) as site, site.workload(host_tpm) as workload:
        workload.attest()
        async with caller(site, workload) as agent:
            reply = await agent.exchange()

The service's TPM is the test's, so that it can be killed, hung and restarted; the configuration
is what ``serve --dev`` writes, with that TPM in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from keystead.agent import Workload
from keystead.agent.collector import endorsement
from keystead.agent.tokens import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE_GRANT
from keystead.config import AudienceConfig, SubjectIssuerConfig
from keystead.dev import APPRAISAL, DevSettings, free_ports, prepare
from keystead.jose.jws import parse_compact
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.demo_processes import MARK, living
from tests.integration.agent.running_service import (
    AGENT,
    AUDIENCE,
    CLIENT,
    DELEGATION,
    PROVIDER,
    SCOPE,
    STOP_TIMEOUT_S,
    RunningService,
)
from tests.jose_keys import public_jwk

HOST = "spiffe://dev.example/host/one"
# Starting takes a second; a loaded machine gets many times that.
START_TIMEOUT_S = 60
# No answer for so long is a hang, whatever the machine is busy with.
ANSWER_TIMEOUT_S = 25
# A second of silence is a hanging TPM. Load comes from one address; checkpoints under load, too.
FAULTS = """
[limits]
requests_per_caller_per_s = 100000
burst_per_caller = 100000

[audit]
checkpoint_every_s = 1
aggregate_refusals_s = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command answered."""

    status: int
    document: dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A service that came to its end by itself."""

    status: int
    document: dict
    err: str


class Installation:
    """A configured folder, and at most one process that serves from it."""

    def __init__(self, folder: Path, *, tpm: Swtpm, host_ca: bytes, appraisal: str) -> None:
        self.folder = folder
        self.tpm = tpm
        http_port, grpc_port = free_ports(0, 0)
        prepare(folder, _settings(folder, http_port, grpc_port, host_ca))
        (folder / "appraisal.toml").write_text(appraisal)
        (folder / "idp.json").write_text(json.dumps({"keys": [public_jwk(kid="idp-1").to_dict()]}))
        self.config = folder / "keystead.toml"
        text = self.config.read_text()
        mine = f'tcti = "{tpm.tcti}"\ncommand_timeout_ms = 1000'
        self.config.write_text(text.replace('tcti = "dev"', mine) + FAULTS)
        self.http = f"http://127.0.0.1:{http_port}"
        self.running = RunningService(
            http=self.http, grpc=f"127.0.0.1:{grpc_port}", state=self.folder
        )
        self._mark = str(uuid4())
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def token_endpoint(self) -> str:
        return f"{self.http}/token"

    @property
    def database(self) -> Path:
        return self.folder / "store" / "keystead.sqlite3"

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()

    def start(self) -> None:
        """Serve, and wait until it listens."""
        process = self._launch()
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        line = process.stdout.readline() if ready else b""
        assert b'"http"' in line, (line, self.log)
        assert json.loads(line)["http"] == self.http

    def refuses_to_start(self) -> Ended:
        """Start where the service has to say why it does not."""
        process = self._launch()
        try:
            out, _ = process.communicate(timeout=START_TIMEOUT_S)
        finally:
            self.close()
        return Ended(status=process.returncode, document=json.loads(out), err=self.log)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        status = self._process.wait(STOP_TIMEOUT_S)
        self.close()
        return status

    def kill(self) -> None:
        """As a power cut would."""
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def stop(self) -> None:
        """In order."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log

    def processes(self) -> dict[int, str]:
        """Everything that a start of it left running."""
        return living(self._mark)

    def close(self) -> None:
        """Kill what still runs, by process id."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
            if process.stdout is not None:
                process.stdout.close()

    def command(self, *arguments: str) -> Said:
        """An administration command with ``--json``."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = self.running.command(*arguments, "--json")
        text = out.getvalue()
        return Said(status=status, document=json.loads(text) if text else {})

    def asked(self, *arguments: str) -> dict:
        """What a command answers that has to succeed."""
        said = self.command(*arguments)
        assert said.status == 0, said
        return said.document

    def events(self) -> list[dict]:
        """The whole trail, page by page."""
        found: list[dict] = []
        while page := self.asked("audit", "list", "--after", str(len(found)))["events"]:
            found += page
        return found

    def grants(self) -> dict[str, dict]:
        """Every grant by its id."""
        return {grant["id"]: grant for grant in self.asked("grants", "list")["grants"]}

    @contextmanager
    def workload(self, tpm: Swtpm) -> Iterator[Workload]:
        """A workload on ``tpm``, whose host is enrolled and registered; nothing is attested."""
        with (
            tempfile.TemporaryDirectory(prefix="ks-host-", dir="/tmp") as folder,
            httpx.Client(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http,
            Workload.open(
                tcti=tpm.tcti,
                folder=Path(folder) / "keys",
                server=self.running.grpc,
                http=http,
            ) as workload,
        ):
            ek = Path(folder) / "ek.pub"
            ek.write_bytes(endorsement(workload.host.device).public)
            self.asked("hosts", "enrol", HOST, "--ek-public", str(ek))
            self.asked("entries", "create", AGENT, "--parent", HOST)
            yield workload

    def _launch(self) -> subprocess.Popen[bytes]:
        assert self._process is None
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "keystead", "serve", "--json", "--config", self.config],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, MARK: self._mark},
                start_new_session=True,
            )
        return self._process


@contextmanager
def installation(
    tpm: Swtpm, *, host_ca: SwtpmCa, appraisal: str = APPRAISAL, start: bool = True
) -> Iterator[Installation]:
    """A service with ``tpm`` that believes TPMs under ``host_ca``; nothing of it outlives the
    block."""
    # Sockets have short names: pytest's own folders are too deep for them.
    with tempfile.TemporaryDirectory(prefix="ks-site-", dir="/tmp") as folder:
        ca = host_ca.root_certificate_pem + host_ca.issuer_certificate_pem
        state = Path(folder) / "state"
        site = Installation(state, tpm=tpm, host_ca=ca, appraisal=appraisal)
        try:
            if start:
                site.start()
            yield site
        finally:
            site.close()


def _settings(folder: Path, http_port: int, grpc_port: int, host_ca: bytes) -> DevSettings:
    return DevSettings(
        http_port=http_port,
        grpc_port=grpc_port,
        subject_issuers=(
            SubjectIssuerConfig(
                issuer=PROVIDER,
                jwks_file=str(folder / "idp.json"),
                audiences=(f"http://127.0.0.1:{http_port}",),
                clients=(CLIENT,),
                algorithms=("ES256",),
            ),
        ),
        audiences=(AudienceConfig(uri=AUDIENCE, scopes=(SCOPE,)),),
        delegation=DELEGATION,
        anchors={"host-ek-ca.pem": host_ca},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, the proof that it was for, and how long it took."""

    status: int
    body: dict
    headers: httpx.Headers
    proof: str
    seconds: float

    @property
    def claims(self) -> dict:
        """Of the access token."""
        return json.loads(parse_compact(self.body["access_token"]).payload)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, OAuth code and reason of a refusal."""
        return self.status, self.body.get("error", ""), self.body.get("error_description", "")


class Caller:
    """An agent that speaks HTTP by itself: it sees every status and keeps every proof."""

    def __init__(self, site: Installation, workload: Workload, http: httpx.AsyncClient) -> None:
        self.site = site
        self.workload = workload
        self.nonce: str | None = None
        self._http = http

    async def exchange(self, *, scope: str = SCOPE, sub: str = "alice") -> Reply:
        """A user's token for one of the agent's."""
        return await self.ask("/token", exchange_form(self.site, scope=scope, sub=sub))

    async def renew(self, refresh_token: str) -> Reply:
        """A grant's next token."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.ask("/token", form)

    async def revoke(self, refresh_token: str) -> Reply:
        """The end of a grant."""
        return await self.ask("/revoke", {"token": refresh_token})

    async def ask(self, path: str, form: dict[str, str]) -> Reply:
        """POST with a proof; again where another nonce is wanted."""
        url = self.site.http + path
        reply = await self.send(
            path, form, await self.workload.proof_async("POST", url, nonce=self.nonce)
        )
        if reply.body.get("error") == "use_dpop_nonce":
            proof = await self.workload.proof_async("POST", url, nonce=self.nonce)
            reply = await self.send(path, form, proof)
        return reply

    async def send(self, path: str, form: dict[str, str], proof: str) -> Reply:
        """POST with exactly this proof."""
        before = time.monotonic()
        response = await self._http.post(
            self.site.http + path, data=form, headers={"DPoP": proof}, timeout=ANSWER_TIMEOUT_S
        )
        self.nonce = response.headers.get("DPoP-Nonce", self.nonce)
        return Reply(
            status=response.status_code,
            body=response.json() if response.content else {},
            headers=response.headers,
            proof=proof,
            seconds=time.monotonic() - before,
        )


def exchange_form(site: Installation, *, scope: str = SCOPE, sub: str = "alice") -> dict[str, str]:
    """RFC 8693 §2.1."""
    return {
        "grant_type": TOKEN_EXCHANGE_GRANT,
        "subject_token": site.running.user_token(sub=sub),
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "audience": AUDIENCE,
        "scope": scope,
    }


@asynccontextmanager
async def caller(site: Installation, workload: Workload) -> AsyncIterator[Caller]:
    """A caller, and its connections until the end of the block."""
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Caller(site, workload, http)


@dataclass(slots=True, kw_only=True)
class Load:
    """Callers that exchange and revoke all the time, and remember what was acknowledged."""

    agent: Caller
    callers: int = 4
    pause_s: float = 0.02
    replies: list[Reply] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    revoking: set[str] = field(default_factory=set)
    cut_off: int = 0
    _going: bool = True

    @property
    def issued(self) -> list[Reply]:
        """Every exchange that was answered with a token."""
        return [reply for reply in self.replies if reply.status == 200]

    @property
    def refused(self) -> list[Reply]:
        """Every one that was not."""
        return [reply for reply in self.replies if reply.status != 200]

    @property
    def longest_s(self) -> float:
        """The slowest answer."""
        return max(reply.seconds for reply in self.replies)

    async def during(self, *steps: Callable[[], None] | float) -> None:
        """Keep the callers busy while ``steps`` (things to do, seconds to wait) happen."""
        tasks = [asyncio.create_task(self._call(number)) for number in range(self.callers)]
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                await asyncio.to_thread(step)
        self._going = False
        await asyncio.gather(*tasks)
        self._going = True

    async def _call(self, number: int) -> None:
        while self._going:
            try:
                reply = await self.agent.exchange(sub=f"user-{number}")
                self.replies.append(reply)
                if reply.status == 200 and len(self.issued) % 3 == 0:
                    await self._revoke(reply)
            except httpx.TransportError as error:
                # A service that is killed hangs up; nobody may be left to wait.
                assert not isinstance(error, httpx.TimeoutException), error
                self.cut_off += 1
            await asyncio.sleep(self.pause_s)

    async def _revoke(self, reply: Reply) -> None:
        grant = reply.claims["grant_id"]
        self.revoking.add(grant)
        if (await self.agent.revoke(reply.body["refresh_token"])).status == 200:
            self.revoked.add(grant)
