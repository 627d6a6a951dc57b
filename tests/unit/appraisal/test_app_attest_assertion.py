from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.appraisal.app_attest_assertion import Assertion, verify_assertion
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.jose.jwk import from_public_key
from tests.app_attest_builder import APP_ID, Device
from tests.device_chains import curve_key

DEVICE = Device()
OTHER = Device(curve_key("other device", ec.SECP256R1))
DATA = b"what the app asks for"


def verified(assertion: bytes | None = None, **changes: Any) -> Assertion:
    arguments: dict[str, Any] = {
        "key": DEVICE.jwk,
        "app_id": APP_ID,
        "client_data": DATA,
        "last_counter": 6,
    }
    made = DEVICE.assertion(DATA, counter=7) if assertion is None else assertion
    return verify_assertion(made, **(arguments | changes))


def refusal(assertion: bytes | None = None, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        verified(assertion, **named)
    return refused.value.reason, refused.value.step


def test_says_which_key_signed_what_and_how_often_it_has() -> None:
    found = verified()
    assert found == Assertion(app_id=APP_ID, key_id=DEVICE.key_id, client_data=DATA, counter=7)


def test_step_15_another_apps_assertion_is_refused() -> None:
    foreign = DEVICE.assertion(DATA, counter=7, app_id="TEAM123456.com.example.other")
    assert refusal(foreign) == (Reason.APP_MISMATCH, 15)
    assert refusal(app_id="TEAM123456.com.example.other") == (Reason.APP_MISMATCH, 15)


def test_step_16_another_key_or_other_data_are_refused() -> None:
    assert refusal(OTHER.assertion(DATA, counter=7)) == (Reason.EVIDENCE_SIGNATURE, 16)
    assert refusal(key=OTHER.jwk) == (Reason.EVIDENCE_SIGNATURE, 16)
    assert refusal(client_data=DATA + b"!") == (Reason.EVIDENCE_SIGNATURE, 16)
    bent = DEVICE.assertion(DATA, counter=7, signature=b"\x30\x06\x02\x01\x01\x02\x01\x01")
    assert refusal(bent) == (Reason.EVIDENCE_SIGNATURE, 16)


def test_step_16_a_raised_counter_is_under_the_signature() -> None:
    made = DEVICE.assertion(DATA, counter=7)
    assert made.count(b"\x00\x00\x00\x07") == 1
    raised = made.replace(b"\x00\x00\x00\x07", b"\x00\x00\x00\x09")
    assert refusal(raised) == (Reason.EVIDENCE_SIGNATURE, 16)


def test_step_16_a_key_of_another_curve_is_refused() -> None:
    key = from_public_key(curve_key("p384").public_key())
    assert refusal(key=key) == (Reason.KEY_MISMATCH, 16)


@pytest.mark.parametrize("last", [7, 8, 2**32])
def test_step_17_a_counter_that_does_not_rise_is_refused(last: int) -> None:
    assert refusal(last_counter=last) == (Reason.COUNTER_NOT_RISING, 17)


def test_step_17_the_first_assertion_counts_from_one() -> None:
    first = DEVICE.assertion(DATA, counter=1)
    assert verified(first, last_counter=0).counter == 1
    zero = DEVICE.assertion(DATA, counter=0)
    assert refusal(zero, last_counter=0) == (Reason.COUNTER_NOT_RISING, 17)
    last = DEVICE.assertion(DATA, counter=2**32 - 1)
    assert verified(last, last_counter=2**32 - 2).counter == 2**32 - 1


def test_an_attestation_is_no_assertion() -> None:
    with pytest.raises(Malformed):
        verified(DEVICE.attestation())
