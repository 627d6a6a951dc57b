"""The token endpoint beside another maker's: whose figure counts, and what is made of it."""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from bench import oidc_provider, peer, token_endpoint
from bench.figures import find
from bench.oidc_provider import Key, OidcProvider, PeerMissing, check
from bench.peer import Environment
from bench.process import child_called, run_seconds, run_seconds_by_thread
from bench.token_endpoint import Cost, figures_of, measured
from keystead.codec import json
from keystead.errors import KeysteadError, ProofRejected, Reason
from keystead.jose import dpop, jws

CHANCE = random.Random(1)
NONCE = "a-nonce-of-the-fake"
SECRET = "a-secret"
POLL_S = 0.01
CLIENTS = {"assertion_client": "a", "secret_client": "s", "grant_client": "g"}

# --- who may be measured -------------------------------------------------------------------------


class FakeEndpoint(ThreadingHTTPServer):
    """It keeps the rules that a peer must keep, but for its one ``lapse``."""

    def __init__(self, lapse: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lapse = lapse
        self.client, self.agent, self.own, self.other = (Key(CHANCE) for _ in range(4))
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: set[str] = set()

    def provider(self) -> OidcProvider:
        said = {
            **CLIENTS,
            "issuer": self.issuer,
            "version": "a fake",
            "key": dict(self.own.public.members),
            "refresh_token": "a-handle",
        }
        return OidcProvider(
            pid=0,
            said=said,
            secret=SECRET,
            client=self.client,
            agent=self.agent,
            chance=CHANCE,
        )

    def token(self, form: Mapping[str, str], proof: str | None) -> str:
        """Raises where it keeps the rule that is broken."""
        if self.lapse == "everything":
            raise ProofRejected(Reason.PROOF_MISSING)
        jkt = self.check_proof(proof)
        if form["grant_type"] == "refresh_token":
            self.hold("holder", jkt == self.agent.public.thumbprint)
        elif "client_secret" in form:
            self.hold("secret", form["client_secret"] == SECRET)
        else:
            assertion = jws.parse_compact(form["client_assertion"])
            with self.unless("assertion"):
                jws.verify_compact(assertion, key=self.client.public)
        return self.issued(jkt)

    def check_proof(self, proof: str | None) -> str:
        if proof is None and self.lapse == "proof":
            return self.agent.public.thumbprint
        opened = dpop.open_proof([] if proof is None else proof)
        with self.unless("signature"):
            dpop.check_proof_signature(opened)
        accepted = dpop.check_signed_proof(
            opened,
            method="POST",
            url=opened.claims.url if self.lapse == "url" else f"{self.issuer}/token",
            now=int(time.time()),
            access_token=None,
            expected_jkt=None,
            nonce=lambda nonce: self.hold("nonce", nonce == NONCE),
        )
        self.hold("replay", accepted.jti not in self.seen)
        self.seen.add(accepted.jti)
        return accepted.jkt

    def hold(self, rule: str, kept: bool) -> None:
        if not kept and rule != self.lapse:
            raise ProofRejected(Reason.NONCE_INVALID, rule)

    def unless(self, rule: str) -> AbstractContextManager[None]:
        """What is refused within is let go where that rule is the lapse."""
        return suppress(KeysteadError) if rule == self.lapse else nullcontext()

    def issued(self, jkt: str) -> str:
        other = self.other.public.thumbprint
        claims = {
            "aud": "https://other.example" if self.lapse == "audience" else oidc_provider.RESOURCE,
            "iat": 0,
            "exp": 3_600 if self.lapse == "lifetime" else oidc_provider.TOKEN_S,
            "cnf": {"jkt": other if self.lapse == "binding" else jkt},
        }
        signer = self.other if self.lapse == "issuance" else self.own
        return signer.jws(jws.signing_input({"typ": "at+jwt", "alg": "ES256"}, claims))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        endpoint: Any = self.server
        try:
            token = endpoint.token(dict(parse_qsl(body.decode())), self.headers.get("DPoP"))
            status, answer = 200, {"access_token": token, "token_type": "DPoP"}
        except KeysteadError as error:
            status, answer = 400, {"error": str(error)}
        encoded = json.encode(answer)
        self.send_response(status)
        if endpoint.lapse != "challenge":
            self.send_header("DPoP-Nonce", NONCE)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def fake(lapse: str = "") -> Iterator[OidcProvider]:
    with FakeEndpoint(lapse) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield endpoint.provider()
        finally:
            endpoint.shutdown()
            thread.join()


def test_endpoint_that_tells_good_from_bent_may_be_measured() -> None:
    with fake() as provider:
        check(provider)
        for make in (provider.by_assertion, provider.by_secret, provider.renewals):
            assert provider.send(make(3)).statuses == {200: 3}


@pytest.mark.parametrize(
    "rule", ["proof", "signature", "nonce", "url", "replay", "holder", "secret", "assertion"]
)
def test_endpoint_that_lets_one_rule_go_is_not_measured(rule: str) -> None:
    with fake(rule) as provider, pytest.raises(PeerMissing, match="accepts bent requests"):
        check(provider)


@pytest.mark.parametrize(
    ("lapse", "said"),
    [
        ("everything", "refuses good requests"),
        ("issuance", "answers no signed token"),
        ("binding", "answers a token for another key or audience"),
        ("audience", "answers a token for another key or audience"),
        ("lifetime", "answers a token of 3600 s"),
        ("challenge", "gives no nonce"),
    ],
)
def test_endpoint_without_a_good_token_is_not_measured(lapse: str, said: str) -> None:
    with fake(lapse) as provider, pytest.raises(PeerMissing, match=said):
        check(provider)


def test_answer_that_is_no_token_ends_the_measurement() -> None:
    with fake("everything") as provider:
        requests = [provider.request(provider.secret_form(), None)]
        with pytest.raises(RuntimeError, match="400: 1"):
            provider.send(requests)


FAULT = """print('{"fault": "Error: no such grant"}')"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (Environment(command=["false"], install=lambda: "no registry"), "no registry"),
        (Environment(command=[sys.executable, "-c", ""], install=lambda: ""), "process ended"),
        (
            Environment(command=[sys.executable, "-c", FAULT], install=lambda: ""),
            "does not start: Error: no such grant",
        ),
    ],
    ids=["not installed", "ends", "does not start"],
)
def test_endpoint_that_is_not_there_is_missing(environment: Environment, said: str) -> None:
    missing = pytest.raises(PeerMissing, match=said)
    with missing, oidc_provider.running(CHANCE, environment):
        pass


def test_oidc_provider_tells_good_from_bent() -> None:
    installed = peer.PEERS_FROM_NPM / "node_modules" / "oidc-provider"
    if shutil.which("node") is None or not installed.exists():
        pytest.skip("oidc-provider is not installed: a run of the bench does it")
    as_it_is = replace(peer.NODE_ENDPOINT, install=lambda: "")
    with oidc_provider.running(CHANCE, as_it_is) as provider:
        assert provider.version.startswith("oidc-provider ")
        assert provider.send(provider.renewals(2)).statuses == {200: 2}
        pid = provider.pid
    with pytest.raises(FileNotFoundError):
        run_seconds(pid)


# --- what is made of it --------------------------------------------------------------------------


def test_first_round_is_dropped_and_everybody_takes_turns() -> None:
    order: list[str] = []

    def ask(name: str) -> dict[str, Cost]:
        order.append(name)
        return {name: Cost(cpu_us=len(order), wall_per_second=1)}

    asks = {"one": [lambda: ask("a"), lambda: ask("b")], "two": [lambda: ask("c")]}
    seen = measured(asks, rounds=2)
    assert order == ["a", "b", "c"] * 3
    assert [cost.cpu_us for cost in seen["one"]["a"]] == [4, 7]
    assert [cost.cpu_us for cost in seen["two"]["c"]] == [6, 9]


def test_service_that_takes_twice_the_cpu_time_is_half_of_its_peer() -> None:
    made = figures_of(
        {
            token_endpoint.OURS: [Cost(cpu_us=2_000, wall_per_second=300)] * 3,
            token_endpoint.APART_FROM_TPM: [Cost(cpu_us=1_600, wall_per_second=300)] * 3,
            token_endpoint.AND_SWTPM: [Cost(cpu_us=2_500, wall_per_second=300)] * 3,
            token_endpoint.PEER: [Cost(cpu_us=1_000, wall_per_second=400)] * 3,
        }
    )
    told = {
        path: found.median
        for path in ("keystead_to", "keystead_apart_from_tpm_to", "keystead_and_swtpm_to")
        if (found := find(made, path, "oidc_provider"))
    }
    assert list(told.values()) == [0.5, 0.625, 0.4]
    rate, cpu = find(made, "per_second", "oidc_provider"), find(made, "cpu_us", "oidc_provider")
    wall = find(made, "wall_keystead_to", "oidc_provider")
    assert rate and cpu and wall
    assert (rate.median, cpu.median, wall.median) == (1_000, 1_000, 0.75)
    assert set(made["wall_per_second"]) == {"keystead", "oidc_provider"}


def test_bench_goes_on_without_its_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {token_endpoint.OURS: Cost(cpu_us=2_000, wall_per_second=300)}
    nowhere = Environment(command=["false"], install=lambda: "node and npm are not installed")
    real = oidc_provider.running
    monkeypatch.setattr(token_endpoint, "running", lambda: nullcontext())
    monkeypatch.setattr(token_endpoint, "our_asks", lambda *_: {"exchange": [lambda: costs]})
    monkeypatch.setattr(oidc_provider, "running", lambda chance: real(chance, nowhere))
    found = token_endpoint.run(seed=1, rounds=2)
    assert found["missing"] == {"oidc_provider": "node and npm are not installed"}
    assert found["peer"] == "not measured"
    ours = find(found, "cases", "exchange", "cpu_us", "keystead")
    assert ours and (ours.median, ours.rounds) == (2_000, 2)
    assert find(found, "cases", "exchange", "keystead_to", "oidc_provider") is None


# --- whose CPU time it is ------------------------------------------------------------------------


def test_child_is_found_by_its_name_and_its_parent() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            deadline = time.monotonic() + 10
            # Until the exec it has our name.
            while child_called("sleep", of=os.getpid()) is None:
                assert time.monotonic() < deadline
            assert child_called("sleep", of=os.getpid()) == child.pid
            assert child_called("sleep", of=child.pid) is None
            assert child_called("slee", of=os.getpid()) is None
        finally:
            child.kill()


def test_time_of_threads_is_the_time_of_their_process() -> None:
    burn = "import time\nprint(flush=True)\nwhile True: pass"
    command = [sys.executable, "-c", burn]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            before, deadline = run_seconds(child.pid), time.monotonic() + 10
            while run_seconds(child.pid) == before:
                assert time.monotonic() < deadline
            after = run_seconds_by_thread(child.pid)
            assert len(after) == 1
            assert sum(after.values()) > before > 0
        finally:
            child.kill()
