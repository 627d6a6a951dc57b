"""A job of a build platform: a key in its memory, and the platform's word for who it is.

    python -m keystead.demo.job SERVER ISSUER

The platform tells it by its environment where tokens are. It says its key's thumbprint in one JSON
line and then does what ``keystead.demo.agent`` lists, and one thing that no workload should:

    {"do": "answer", "issuer", "nonce"}     evidence for a challenge that somebody else brings
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping

from keystead.agent import DocumentHost, Workload
from keystead.agent.collectors import OidcCollector
from keystead.agent.collectors.token_providers import GitHubActions
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo.agent import Agent, TokenAnswers, answer_lines, say, token_client
from keystead.evidence.challenge import NONCE_BYTES


class Job(Agent):
    """An agent that can be fooled into answering a thief's challenge, for its own key."""

    def __init__(
        self, workload: Workload, answers: TokenAnswers, *, collector: OidcCollector
    ) -> None:
        super().__init__(workload, answers)
        self._collector = collector

    def answer(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """As every agent, and ``answer``."""
        if request.get("do") != "answer":
            return super().answer(request)
        evidence = self._collector.collect(
            key=self.workload.host.key().jwk,
            issuer=json.get_str(request, "issuer"),
            nonce=json.get_bytes(request, "nonce", max_bytes=NONCE_BYTES),
        )
        return {"evidence": evidence}


def main() -> None:
    """Answer until standard input ends or SIGTERM comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server, issuer = sys.argv[1], sys.argv[2]
    collector = OidcCollector(provider=GitHubActions.of_environment())
    answers = TokenAnswers()
    with (
        token_client(answers) as http,
        Workload(DocumentHost(collector), server=server, issuer=issuer, http=http) as workload,
    ):
        say({"jkt": workload.jkt})
        answer_lines(Job(workload, answers, collector=collector))


if __name__ == "__main__":
    main()
