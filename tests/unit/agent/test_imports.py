"""What an agent has to have installed."""

import subprocess
import sys

NOT_FOR_AGENTS = ["starlette", "uvicorn", "sqlite3", "OpenSSL", "cedarpy", "prometheus_client"]


def test_an_agent_loads_nothing_of_the_service() -> None:
    script = (
        "import keystead.agent, keystead.agent.collectors, keystead.cli.attest, sys\n"
        "print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert "keystead.agent.auth" in loaded
    assert loaded.isdisjoint(NOT_FOR_AGENTS)
    assert "keystead.agent.collectors.oidc" in loaded
    stages = {name.split(".")[1] for name in loaded if name.startswith("keystead.")}
    assert stages.isdisjoint({"service", "app", "server", "storage", "identity", "issuance"})
    # Of appraisals only what a result is, which binding reads.
    appraisal = {name for name in loaded if name.startswith("keystead.appraisal.")}
    assert appraisal == {"keystead.appraisal.result"}
