from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keystead.appraisal import chain_cache, path
from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.path import Untrusted
from tests.device_chains import DAY_S, NOW, authorities, chain, curve_key

GOOD = chain(curve_key("leaf"))


class Counted:
    """The path builder, and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._build = path.build_path
        monkeypatch.setattr(chain_cache, "build_path", self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.count += 1
        return self._build(*arguments, **named)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_path_is_built_once_and_believed_at_any_time_it_holds(counted: Counted) -> None:
    cache = ChainCache(GOOD.anchors())
    first = cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW)
    for at in (first.not_before, NOW + 1, first.not_after):
        assert cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=at) is first
    assert (counted.count, len(cache)) == (1, 1)


def test_a_remembered_path_ends_when_its_certificates_do(counted: Counted) -> None:
    cache = ChainCache(GOOD.anchors())
    first = cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW)
    for at in (first.not_before - 1, first.not_after + 1):
        with pytest.raises(Untrusted):
            cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=at)
    assert counted.count == 3
    assert cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW) is first


def test_a_refusal_is_not_remembered(counted: Counted) -> None:
    cache = ChainCache(GOOD.anchors())
    for _ in range(2):
        with pytest.raises(Untrusted):
            cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW + 9 * DAY_S)
    assert (counted.count, len(cache)) == (2, 0)
    assert cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW).holds_at(NOW)


def test_other_certificates_are_another_path(counted: Counted) -> None:
    cache = ChainCache(GOOD.anchors())
    cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW)
    cache.path(GOOD.leaf, intermediates=GOOD.bundle[1:], at=NOW)
    with pytest.raises(Untrusted):
        cache.path(GOOD.leaf, intermediates=(), at=NOW)
    with pytest.raises(Untrusted):
        cache.path(GOOD.leaf + GOOD.bundle[0], intermediates=GOOD.bundle[1:], at=NOW)
    with pytest.raises(Untrusted):
        cache.path(GOOD.leaf, intermediates=authorities("other"), at=NOW)
    assert (counted.count, len(cache)) == (5, 2)


def test_other_anchors_share_no_memory() -> None:
    cache = ChainCache(GOOD.anchors())
    cache.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW)
    other = ChainCache(chain(curve_key("leaf"), maker="other").anchors())
    with pytest.raises(Untrusted):
        other.path(GOOD.leaf, intermediates=GOOD.bundle, at=NOW)


def test_the_one_used_longest_ago_goes_first(counted: Counted) -> None:
    leaves = [chain(curve_key(f"leaf {n}")).leaf for n in range(3)]
    cache = ChainCache(GOOD.anchors(), capacity=2)
    for leaf in (leaves[0], leaves[1], leaves[0], leaves[2]):
        cache.path(leaf, intermediates=GOOD.bundle, at=NOW)
    assert (counted.count, len(cache)) == (3, 2)
    cache.path(leaves[0], intermediates=GOOD.bundle, at=NOW)
    assert counted.count == 3
    cache.path(leaves[1], intermediates=GOOD.bundle, at=NOW)
    assert counted.count == 4


def test_threads_share_it() -> None:
    leaves = [chain(curve_key(f"leaf {n}")).leaf for n in range(4)]
    cache = ChainCache(GOOD.anchors(), capacity=3)

    def ask(number: int) -> bool:
        leaf = leaves[number % 4]
        return cache.path(leaf, intermediates=GOOD.bundle, at=NOW).holds_at(NOW)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(80)))
    assert len(cache) == 3
