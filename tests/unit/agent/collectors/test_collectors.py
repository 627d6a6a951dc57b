"""The table of collectors, and the documentation's."""

from pathlib import Path

import pytest

from keystead.agent.collectors import COLLECTORS, AwsNitroCollector, Collector, SevSnpCollector
from keystead.agent.collectors.azure_cvm import AzureEndpoints
from keystead.agent.collectors.tdx import EVENT_LOG
from keystead.hardware.nsm import NSM
from keystead.hardware.sev_guest import SEV_GUEST
from keystead.hardware.tsm import TSM
from keystead.model import EvidenceKind
from tests.documents import code, read, rows

# TPM evidence has its own collector; these two come from clients of others.
ELSEWHERE = {EvidenceKind.TPM2, EvidenceKind.APP_ATTEST, EvidenceKind.MAA}


def test_every_kind_of_a_host_has_a_collector() -> None:
    assert set(EvidenceKind) - ELSEWHERE == set(COLLECTORS)


@pytest.mark.parametrize("kind", COLLECTORS)
def test_each_collects_the_kind_that_it_stands_under(kind: EvidenceKind) -> None:
    assert COLLECTORS[kind].kind == kind


def test_collectors_can_be_made_without_arguments_where_a_host_has_one_place() -> None:
    made: list[Collector] = [AwsNitroCollector(), SevSnpCollector()]
    assert [each.kind for each in made] == [EvidenceKind.AWS_NITRO, EvidenceKind.SEV_SNP]


def test_the_document_has_a_row_and_a_sentence_for_each() -> None:
    found = {code(row["kind"]): row["constructor"] for row in rows("agent.md", "kind")}
    assert list(found) == [kind.value for kind in COLLECTORS]
    for kind, collector in COLLECTORS.items():
        assert code(found[kind]).startswith(f"{collector.__name__}(")
        assert f"- `{kind}` was tested against" in read("agent.md")


@pytest.mark.parametrize("place", [NSM, SEV_GUEST, TSM, EVENT_LOG])
def test_the_document_names_the_real_places(place: Path) -> None:
    assert f"`{place}`" in read("agent.md")


def test_the_document_names_the_real_endpoints() -> None:
    endpoints = AzureEndpoints()
    for endpoint in (endpoints.thim, endpoints.td_quote):
        assert f"`{endpoint.url}`" in read("evidence/azure-cvm.md")
