"""Points in time on a command line."""

import pytest

from keystead.cli.times import parse_time
from keystead.errors import Malformed, Reason


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-12-25T16:04:19.346000+00:00", 1_766_678_659),
        ("2025-12-25t17:04:19+01:00", 1_766_678_659),
    ],
)
def test_reads_a_time(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "0", "2026-07-01", "2026-07-01T00:00:00", "20260701T000000Z"),
        *("1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_time(text)
    assert refused.value.reason is Reason.PARAMETER_INVALID
