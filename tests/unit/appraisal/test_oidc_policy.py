"""The rules for workloads' tokens: what may be written, and what must not be left out."""

from pathlib import Path

import pytest

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.errors import ConfigurationError, Reason
from keystead.model import Freshness, OidcProfile
from tests.workload_tokens import GITHUB, issuer_keys, write_keys

URL = 'jwks_url = "https://keys.example/jwks"'
GOOD = f"""
[[oidc.issuers]]
issuer = "{GITHUB}"
profile = "github-actions"
{URL}
[[oidc.issuers.rules]]
repository_id = ["74"]
"""


def parse(text: str, *, folder: Path = Path()) -> AppraisalPolicy:
    return parse_policy(f'id = "test"\nversion = 1\n{text}', folder=folder)


def refusal(text: str, *, folder: Path = Path()) -> tuple[Reason, str]:
    with pytest.raises(ConfigurationError) as refused:
        parse(text, folder=folder)
    return refused.value.reason, refused.value.detail


def of(profile: str, rule: str, *entries: str) -> str:
    head = "\n".join((URL, *entries))
    return (
        f'[[oidc.issuers]]\nissuer = "https://idp.example"\nprofile = "{profile}"\n{head}\n'
        f"[[oidc.issuers.rules]]\n{rule}\n"
    )


def test_good_policy_and_its_defaults() -> None:
    policy = parse(GOOD).oidc
    assert policy is not None and policy.max_age_s == 3_600
    issuer = policy.issuers[GITHUB]
    assert issuer.profile is OidcProfile.GITHUB_ACTIONS
    assert issuer.freshness is Freshness.CHALLENGED and issuer.audiences == frozenset()
    assert issuer.algorithms == {"RS256", "ES256", "PS256"}
    assert (issuer.max_token_age_s, issuer.dated_back_s) == (300, 0)
    assert (issuer.keys.url, issuer.keys.max_age_s) == ("https://keys.example/jwks", 600)
    assert issuer.rules == ({"repository_id": frozenset({"74"})},)


def test_keys_of_a_file_are_read_with_the_policy(tmp_path: Path) -> None:
    write_keys(tmp_path)
    policy = parse(GOOD.replace(URL, 'jwks_file = "jwks.json"'), folder=tmp_path).oidc
    assert policy is not None
    source = policy.issuers[GITHUB].keys
    assert source.url is None and source.keys is not None
    assert [key.kid for key in source.keys] == [key.kid for key in issuer_keys()]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[oidc]\nmax_age_s = 60", "oidc.issuers"),
        (GOOD.split("[[oidc.issuers.rules]]")[0], "oidc.issuers[0].rules"),
        (GOOD.replace('["74"]', "[]"), "oidc.issuers[0].rules[0].repository_id"),
        (GOOD.replace("repository_id", "repository"), "rules[0].repository_id"),
        (GOOD.replace(URL, f"{URL}\nalgorithms = []"), "oidc.issuers[0].algorithms"),
        (of("azure", 'oid = ["1"]'), "oidc.issuers[0].audiences"),
        (of("other", 'sub = ["1"]', 'freshness = "bearer"'), "oidc.issuers[0].audiences"),
    ],
)
def test_nothing_is_allowed_by_silence(text: str, place: str) -> None:
    reason, detail = refusal(text)
    assert reason is Reason.POLICY_EMPTY and place in detail


@pytest.mark.parametrize(
    ("profile", "rule"),
    [
        ("github-actions", 'repository_id = "any"'),
        ("github-actions", 'repository_id = "any"\nref = ["refs/heads/main"]'),
        ("github-actions", 'repository_id = "any"\nrepository = ["acme/rocket"]'),
        ("kubernetes", 'namespace = "any"\nserviceaccount = ["default"]'),
        ("aws-eks", 'namespace = "any"\nserviceaccount = "any"'),
        ("aws-sts", 'sub = "any"'),
        ("azure", 'oid = "any"\ntid = ["1"]'),
        ("gcp", 'sub = "any"\nproject_id = "any"'),
        ("other", 'sub = "any"'),
    ],
)
def test_every_rule_names_somebody(profile: str, rule: str) -> None:
    reason, detail = refusal(of(profile, rule, 'freshness = "bearer"', 'audiences = ["a"]'))
    assert reason is Reason.POLICY_EMPTY and "rules[0]: expected values of one of" in detail


@pytest.mark.parametrize(
    ("profile", "rule"),
    [
        ("github-actions", 'repository_id = "any"\nrepository_owner_id = ["65"]'),
        ("kubernetes", 'namespace = ["shop"]\nserviceaccount = "any"'),
        ("aws-sts", 'sub = "any"\naws_account = ["123456789012"]'),
        ("azure", 'oid = "any"\nxms_mirid = ["/subscriptions/1"]'),
        ("gcp", 'sub = "any"\nproject_number = ["42"]'),
        ("other", 'sub = "any"\nproject = ["rocket"]'),
    ],
)
def test_rules_may_name_a_whole_owner(profile: str, rule: str) -> None:
    assert parse(of(profile, rule, 'freshness = "bearer"', 'audiences = ["a"]')).oidc


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (GOOD + GOOD, "oidc.issuers[1].issuer"),
        (GOOD.replace(URL, ""), "oidc.issuers[0]: exactly one"),
        (GOOD.replace(URL, f'{URL}\njwks_file = "a"'), "oidc.issuers[0]: exactly one"),
        (GOOD.replace(URL, 'jwks_file = "absent.json"'), "absent.json"),
        (of("other", 'sub = ["1"]'), "oidc.issuers[0].freshness"),
        (
            of("azure", 'oid = ["1"]', 'freshness = "challenged"'),
            "oidc.issuers[0].freshness",
        ),
        (GOOD.replace(URL, f'{URL}\naudiences = ["a"]'), "oidc.issuers[0].audiences"),
        (
            of("azure", 'oid = ["1"]', 'audiences = ["keystead:a"]'),
            "oidc.issuers[0].audiences",
        ),
        (GOOD.replace(GITHUB, "http://idp.example"), "issuer"),
        (GOOD.replace(GITHUB, "https://idp.example?a=b"), "issuer"),
        (GOOD.replace("https://keys.example/jwks", "http://keys.example/jwks"), "jwks_url"),
        (GOOD.replace("https://keys", "http://localhost.evil"), "jwks_url"),
        (GOOD.replace(URL, f"{URL}\nmax_token_age_s = 301"), "max_token_age_s"),
        (GOOD.replace(URL, f"{URL}\ndated_back_s = 301"), "dated_back_s"),
        (GOOD.replace(URL, f'{URL}\nalgorithms = ["HS256"]'), "algorithms"),
        (GOOD.replace("github-actions", "github"), "profile"),
        (GOOD.replace(URL, f"{URL}\nrepository = 1"), "repository"),
        (GOOD.replace('["74"]', "74"), "rules"),
        (GOOD.replace('["74"]', '"some"'), "rules"),
    ],
)
def test_wrong_entries_are_named(text: str, place: str) -> None:
    reason, detail = refusal(text)
    assert reason is Reason.CONFIGURATION_INVALID and place in detail


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_developers_own_provider_may_do_without_tls(host: str) -> None:
    text = GOOD.replace(GITHUB, f"http://{host}").replace("https://keys.example", f"http://{host}")
    assert parse(text).oidc


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "oct"}]}'])
def test_file_without_keys_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "jwks.json").write_text(content)
    text = GOOD.replace(URL, 'jwks_file = "jwks.json"')
    reason, detail = refusal(text, folder=tmp_path)
    assert reason is Reason.CONFIGURATION_INVALID and "jwks.json" in detail
