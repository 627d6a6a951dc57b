import hashlib
from pathlib import Path

import pytest

from keystead.appraisal.app_attest_policy import AppAttestPolicy, Environment
from keystead.appraisal.policy import parse_policy
from keystead.errors import ConfigurationError, Reason

APP = "TEAM123456.com.example.app"


def rules(text: str) -> AppAttestPolicy:
    found = parse_policy(f'id = "x"\nversion = 1\n[app-attest]\n{text}', folder=Path()).app_attest
    assert found is not None
    return found


def test_reads_every_entry() -> None:
    found = rules(f'apps = ["{APP}"]\nenvironment = "development"\nmax_age_s = 9')
    assert found.apps == {hashlib.sha256(APP.encode()).digest(): APP}
    assert (found.environment, found.max_age_s) == (Environment.DEVELOPMENT, 9)


def test_asks_for_production_unless_told_otherwise() -> None:
    assert rules(f'apps = ["{APP}"]').environment is Environment.PRODUCTION
    assert Environment.PRODUCTION.aaguid == b"appattest\0\0\0\0\0\0\0"
    assert Environment.DEVELOPMENT.aaguid == b"appattestdevelop"


@pytest.mark.parametrize(
    ("text", "reason", "entry"),
    [
        ("", Reason.POLICY_EMPTY, "app-attest.apps"),
        ("apps = []", Reason.POLICY_EMPTY, "app-attest.apps"),
        (f'apps = ["{APP}"]\npinned_anchors = false', Reason.POLICY_EMPTY, "app-attest.anchors"),
        ('apps = ["com.example.app"]', Reason.CONFIGURATION_INVALID, "apps"),
        ('apps = ["TEAM123456."]', Reason.CONFIGURATION_INVALID, "apps"),
        ('apps = ["TEAM123456.*"]', Reason.CONFIGURATION_INVALID, "apps"),
        (f'apps = "{APP}"', Reason.CONFIGURATION_INVALID, "apps"),
        (f'apps = ["{APP}"]\nenvironment = "any"', Reason.CONFIGURATION_INVALID, "environment"),
        (f'apps = ["{APP}"]\nother = 1', Reason.CONFIGURATION_INVALID, "other"),
        (f'apps = ["{APP}"]\nmax_age_s = 0', Reason.CONFIGURATION_INVALID, "max_age_s"),
    ],
)
def test_what_is_wrong_or_left_open_is_named(text: str, reason: Reason, entry: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        rules(text)
    assert refused.value.reason is reason and entry in refused.value.detail
