from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import Malformed
from keystead.evidence import kinds, tdx
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.intel_builder import collateral
from tests.tdx_builder import Td, td_log

TD = Td()
QUOTE = TD.quote()
COLLATERAL = collateral()


def submission(**changes: Any) -> Submission:
    members = tdx.encode(quote=QUOTE, collateral=COLLATERAL)
    wanted = {name: value for name, value in (members | changes).items() if value is not None}
    return parse_envelope(encode_envelope(kind=EvidenceKind.TDX, evidence=wanted))


def test_reads_what_is_encoded() -> None:
    found = kinds.parse(submission())
    assert isinstance(found, tdx.TdxEvidence)
    assert QUOTE.startswith(found.quote.signed)
    assert found.collateral.members == COLLATERAL
    assert (found.nonce, found.key, found.event_log) == (None, None, None)


def test_an_event_log_may_come_along() -> None:
    log, _ = td_log([(1, b"firmware")])
    made = tdx.encode(quote=QUOTE, collateral=COLLATERAL, event_log=log)
    found = tdx.parse(submission(event_log=made["event_log"]))
    assert found.event_log is not None and len(found.event_log.events) > 1


@pytest.mark.parametrize(
    "change",
    [
        {"quote": None},
        {"quote": ""},
        {"quote": base64url.encode(QUOTE[:-1])},
        {"quote": base64url.encode(QUOTE) + "="},
        {"collateral": None},
        {"collateral": {}},
        {"collateral": "AA"},
        {"collateral": COLLATERAL | {"more": "x"}},
        {"event_log": "AA"},
        {"event_log": ""},
        {"report": "AA"},
    ],
    ids=lambda change: str(list(change))[:40],
)
def test_refuses_members_of_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        tdx.parse(submission(**change))
