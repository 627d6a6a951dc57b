import json
from pathlib import Path

import pytest

from keystead.agent.collectors.collateral import MAX_COLLATERAL_BYTES, Collateral
from keystead.errors import ConfigurationError, Malformed, Reason, Refused, Unavailable
from tests.platform_server import body, json_body, serving

DOCUMENT = {"tcb_info": '{"id":"TDX"}', "tcb_info_signature": "00"}


def test_reads_a_file_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "collateral.json"
    for document in (DOCUMENT, DOCUMENT | {"more": 1}):
        file.write_text(json.dumps(document))
        assert Collateral(location=str(file)).read() == document


def test_reads_a_service_that_keeps_it() -> None:
    with serving(json_body(DOCUMENT)) as server:
        assert Collateral(location=server.url).read() == DOCUMENT


def test_says_what_a_service_refuses() -> None:
    with serving(body(b"", status="404 None")) as server, pytest.raises(Refused):
        Collateral(location=server.url).read()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a":1,"a":2}', '{"a":' + "[" * 9 + "]" * 9])
def test_what_is_no_object_is_malformed(tmp_path: Path, content: str) -> None:
    file = tmp_path / "collateral.json"
    file.write_text(content)
    with pytest.raises(Malformed):
        Collateral(location=str(file)).read()


def test_bounds_the_file(tmp_path: Path) -> None:
    file = tmp_path / "collateral.json"
    file.write_bytes(b"{}".ljust(MAX_COLLATERAL_BYTES + 1))
    with pytest.raises(Malformed) as caught:
        Collateral(location=str(file)).read()
    assert caught.value.reason is Reason.TOO_LARGE
    with pytest.raises(Unavailable):
        Collateral(location=str(tmp_path / "missing")).read()


@pytest.mark.parametrize("location", ["http://pccs.example/", "ftp://pccs.example/", "https://"])
def test_asks_no_stranger_in_the_clear(location: str) -> None:
    with pytest.raises(ConfigurationError):
        Collateral(location=location)
