from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import Malformed
from keystead.evidence import kinds, sev_snp
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.snp_builder import Guest

GUEST = Guest()
REPORT = GUEST.report()
CERTIFICATES = GUEST.certificates()


def submission(**changes: Any) -> Submission:
    members = sev_snp.encode(report=REPORT, certificates=CERTIFICATES)
    wanted = {name: value for name, value in (members | changes).items() if value is not None}
    return parse_envelope(encode_envelope(kind=EvidenceKind.SEV_SNP, evidence=wanted))


def test_reads_what_is_encoded() -> None:
    found = kinds.parse(submission())
    assert isinstance(found, sev_snp.SnpEvidence)
    assert found.report.raw == REPORT
    assert found.certificates == CERTIFICATES
    assert (found.nonce, found.key) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"report": None},
        {"report": ""},
        {"report": base64url.encode(REPORT[:-1])},
        {"report": base64url.encode(REPORT + b"\x00")},
        {"report": base64url.encode(REPORT) + "="},
        {"certificates": None},
        {"certificates": []},
        {"certificates": [""]},
        {"certificates": ["*"]},
        {"certificates": [base64url.encode(b"\x30" * 9_000)]},
        {"certificates": [base64url.encode(each) for each in CERTIFICATES * 2]},
        {"certificates": base64url.encode(CERTIFICATES[0])},
        {"crl": "AA"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_refuses_members_of_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        sev_snp.parse(submission(**change))
