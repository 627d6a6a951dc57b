"""Counters for Prometheus."""

import re

from keystead.server.limits import Admission, Limits
from keystead.server.metrics import Metrics


def make_metrics(depth: int = 0) -> tuple[Metrics, Admission]:
    admission = Admission(Limits(), monotonic=lambda: 0.0)
    return Metrics(admission=admission, queue_depth=lambda: depth), admission


def value(metrics: Metrics, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    assert found, series
    return float(found[1])


def test_counts_by_door_endpoint_and_status() -> None:
    metrics, _ = make_metrics()
    for status in ("200", "200", "400"):
        metrics.count("http", "token", status, seconds=0.002)
    series = 'keystead_requests_total{door="http",endpoint="token",status="%s"}'
    assert value(metrics, series % 200) == 2
    assert value(metrics, series % 400) == 1
    seconds = 'keystead_request_seconds_count{door="http",endpoint="token"}'
    assert value(metrics, seconds) == 3


def test_counts_refusals_by_reason() -> None:
    metrics, _ = make_metrics()
    metrics.count_refusal("proof_replayed")
    metrics.count_refusal("proof_replayed")
    assert value(metrics, 'keystead_refusals_total{reason="proof_replayed"}') == 2


def test_gauges_are_read_when_somebody_asks() -> None:
    metrics, admission = make_metrics(depth=5)
    assert value(metrics, "keystead_tpm_queue_depth") == 5
    with admission.requests.one("a"), admission.streams.one("a"):
        assert value(metrics, "keystead_requests_running") == 1
        assert value(metrics, "keystead_streams_open") == 1
    assert value(metrics, "keystead_requests_running") == 0


def test_two_registries_do_not_meet() -> None:
    first, _ = make_metrics()
    second, _ = make_metrics()
    first.count_refusal("expired")
    assert "expired" not in second.exposition().decode()
