import pytest

from keystead.errors import Reason, Refused, Unavailable
from keystead.hardware.tpm2.response_codes import TpmError


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x101, "TPM_RC_FAILURE (0x101)"),
        (0x1DF, "TPM_RC_INTEGRITY (0x1df, parameter 1)"),
        (0x18B, "TPM_RC_HANDLE (0x18b, handle 1)"),
        (0x99D, "TPM_RC_POLICY_FAIL (0x99d, session 1)"),
        (0x922, "TPM_RC_RETRY (0x922)"),
        (0x7FF, "TPM_RC_unlisted (0x7ff, parameter 7)"),
    ],
)
def test_says_what_the_tpm_blamed(code: int, said: str) -> None:
    assert str(TpmError(code, "TPM2_SIGN")) == f"TPM2_SIGN: {said}"


@pytest.mark.parametrize("code", [0x100, 0x101, 0x902, 0x903, 0x921, 0x922, 0x923, 0x910, 0x18B])
def test_a_tpm_that_is_busy_full_or_failed_is_unavailable(code: int) -> None:
    error = TpmError(code, "TPM2_SIGN").for_caller()
    assert isinstance(error, Unavailable)
    assert error.reason is Reason.HARDWARE_UNAVAILABLE


@pytest.mark.parametrize("code", [0x1DF, 0x99D, 0x3E0, 0x98E, 0x143, 0x149, 0x907])
def test_everything_else_is_refused(code: int) -> None:
    error = TpmError(code, "TPM2_SIGN").for_caller()
    assert isinstance(error, Refused)
    assert error.reason is Reason.HARDWARE_REFUSED


@pytest.mark.parametrize(
    ("code", "stale"),
    [(0x910, True), (0x18B, True), (0x902, True), (0x903, True), (0x1CB, False), (0x99D, False)],
)
def test_knows_when_a_fresh_start_may_help(code: int, stale: bool) -> None:
    assert TpmError(code, "TPM2_SIGN").stale is stale


def test_a_handle_as_a_parameter_is_the_callers_mistake() -> None:
    assert not TpmError(0x1CB, "TPM2_FLUSH_CONTEXT").lost_handle
