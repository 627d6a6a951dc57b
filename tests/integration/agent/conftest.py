"""One service for all tests of the agent, and a host that it knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.agent import Workload
from keystead.agent.collector import endorsement
from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.integration.agent.running_service import (
    AGENT,
    OTHER_AGENT,
    RunningService,
    running_service,
)

HOST = "spiffe://dev.example/host/one"


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, swtpm_ca: SwtpmCa, swtpm_template: Path
) -> Iterator[RunningService]:
    """A running service that believes this session's software TPMs, and knows none of them."""
    ca = swtpm_ca.root_certificate_pem + swtpm_ca.issuer_certificate_pem
    state = tmp_path_factory.mktemp("service")
    state.chmod(0o700)
    with running_service(state, ek_ca=ca) as running:
        yield running


@pytest.fixture(scope="session")
def enrolled(
    service: RunningService, swtpm_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunningService:
    """The same, with the TPM of ``swtpm`` enrolled and two workloads on it."""
    folder = tmp_path_factory.mktemp("enrolment")
    with (
        Swtpm.copy_of(swtpm_template) as tpm,
        Workload.open(tcti=tpm.tcti, folder=folder / "keys", server=service.grpc) as workload,
    ):
        (folder / "ek.pub").write_bytes(endorsement(workload.host.device).public)
    assert service.command("hosts", "enrol", HOST, "--ek-public", str(folder / "ek.pub")) == 0
    for agent in (AGENT, OTHER_AGENT):
        assert service.command("entries", "create", agent, "--parent", HOST) == 0
    return service


@pytest.fixture
def workload(enrolled: RunningService, swtpm: Swtpm, tmp_path: Path) -> Iterator[Workload]:
    """A workload on the enrolled host, with new keys that are not attested yet."""
    with Workload.open(
        tcti=swtpm.tcti, folder=tmp_path / "keys", server=enrolled.grpc, spiffe_id=AGENT
    ) as opened:
        yield opened
