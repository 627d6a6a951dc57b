"""A workload's token that answers no challenge is taken once, whatever is tried with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keystead.appraisal import oidc
from keystead.audit import HashChain
from keystead.errors import Reason, Replayed
from keystead.operations import (
    UseOnce,
)
from keystead.storage import SqliteStore
from tests.workload_tokens import (
    GITHUB,
    NOW,
    issuer_keys,
    oidc_evidence,
    oidc_policy,
    platform_claims,
    sign,
)

BEARER = 'freshness = "bearer"\naudiences = ["keystead"]'


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain())
    yield opened
    await opened.close()


def uses(*, now: int = NOW, entries: str = "", **claims: Any) -> tuple[UseOnce, ...]:
    token = sign(platform_claims(**{"aud": "keystead"} | claims), algorithm="ES256")
    return oidc.appraise(
        oidc_evidence(token),
        policy=oidc_policy(entries=f"{BEARER}\n{entries}"),
        nonce=b"\x01" * 32,
        now=now,
        keys={GITHUB: issuer_keys("ES256")},
    ).single_use


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"now": NOW + 200},
        {"entries": "max_token_age_s = 60"},
        {"entries": "dated_back_s = 60"},
        {"iat": NOW - 7},
        {"run_id": "99"},
    ],
    ids=["as it is", "later", "policy", "another policy", "jti, other time", "jti, other claims"],
)
async def test_second_use_is_refused(store: SqliteStore, again: dict[str, Any]) -> None:
    await store.apply(list(uses(jti="t-1")), events=[])
    with pytest.raises(Replayed) as refused:
        await store.apply(list(uses(jti="t-1", **again)), events=[])
    assert refused.value.reason is Reason.EVIDENCE_REPLAYED


async def test_token_without_jti_is_known_too(store: SqliteStore) -> None:
    await store.apply(list(uses()), events=[])
    with pytest.raises(Replayed):
        await store.apply(list(uses()), events=[])
    await store.apply(list(uses(run_id="99")), events=[])
