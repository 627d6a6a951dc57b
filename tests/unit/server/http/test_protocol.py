"""The SPIFFE ID of a client certificate, as Python's TLS shows its names."""

import pytest

from keystead.server.http.protocol import spiffe_name

ID = "spiffe://example.org/api"


def test_finds_the_only_uri_name() -> None:
    assert spiffe_name({"subjectAltName": (("DNS", "api.example"), ("URI", ID))}) == ID


@pytest.mark.parametrize(
    "certificate",
    [
        {},
        {"subjectAltName": ()},
        {"subjectAltName": (("DNS", ID),)},
        {"subjectAltName": (("URI", "https://example.org/api"),)},
        {"subjectAltName": (("URI", ID), ("URI", "spiffe://example.org/other"))},
        {"subjectAltName": (("URI", ID), ("URI", "https://example.org/"))},
        {"subject": ((("commonName", ID),),)},
    ],
)
def test_names_nobody_where_there_is_not_exactly_one(certificate: dict[str, object]) -> None:
    assert spiffe_name(certificate) is None
