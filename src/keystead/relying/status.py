"""Where a relying party's status lists come from; step 19 asks them.

    status_source("https://issuer.example/status-lists/", ...)   # any list below this URL
    status_source("/var/lib/issuer/status-list.jwt", ...)        # one list, in a file

Lists are read as key sets are, in threads of their own, and kept. A list that is older than its
issuer wants it to be is read again before anybody is answered from it; when that fails, it serves
for ``max_stale_s`` at most, and then tokens are refused with ``status_unavailable``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Set
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from keystead.errors import ConfigurationError, Reason, TokenRejected, Unavailable
from keystead.jose.jwk import PublicJwk
from keystead.relying.forks import start_anew_in_children
from keystead.relying.jwks import DEFAULT_TIMEOUT_S, JwksSource
from keystead.relying.refreshed import Refreshed
from keystead.relying.status_list import (
    MAX_STATUS_LIST_BYTES,
    StatusList,
    verify_status_list,
)
from keystead.relying.steps import Step

# Without a word of the issuer; as long as Keystead's own lists ask for.
DEFAULT_FRESH_FOR_S = 30
# For how long a token that was taken back may still pass while the issuer cannot be reached.
DEFAULT_MAX_STALE_S = 120
# Between two tries for the same list; also what a shorter ``ttl`` counts as.
RETRY_INTERVAL_S = 5
# Lists that are kept, a megabyte each at most; beyond, the one that nobody asked for longest goes.
MAX_LISTS = 64

# Lists whose last time of issue is known, kept or not: an older one must not come after a newer.
MAX_TIMES = 4_096

# Below the URL that was configured: plain segments, so that no ".." leads out of it.
_BELOW = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/(?!$)|$))*")


class StatusSource(Protocol):
    """Where a verifier's status lists come from; safe to call from any thread."""

    def find(self, uri: str, *, now: int) -> StatusList:
        """The list at ``uri``, without waiting.

        Raises ``Unavailable`` (``status_unavailable``) when there is none that still counts, or
        ``TokenRejected`` (``claim_invalid``) when no token may name this URI.
        """
        ...

    def refresh(self, uri: str, *, now: int) -> Future[None] | None:
        """Start what fetching is due; a future only if ``find`` had better wait for it.

        The future is done when the fetch has ended, well or not, and never raises.
        """
        ...

    @property
    def timeout_s(self) -> float:
        """How long to wait for such a future."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListRules:
    """What a status list must satisfy: ``issuer``'s, signed by one of its ``keys``."""

    issuer: str
    keys: JwksSource
    algorithms: Set[str]
    leeway_s: int


class CachedStatusLists:
    """Lists that ``fetch`` reads by their URI, verified, kept and read again when they are old.

    ``fetch`` returns the list's bytes or raises ``KeysteadError`` or ``OSError``; it runs in a
    thread. ``admits`` says which URIs a token may name.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        rules: StatusListRules,
        *,
        admits: Callable[[str], bool] = lambda uri: True,
        max_stale_s: int = DEFAULT_MAX_STALE_S,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if max_stale_s < 0:
            raise ConfigurationError(detail="max_stale_s is not negative")
        self.timeout_s = timeout_s
        self._fetch = fetch
        self._rules = rules
        self._admits = admits
        self._max_stale_s = max_stale_s
        self._lists: OrderedDict[str, Refreshed[StatusList]] = OrderedDict()
        self._issued_at: OrderedDict[str, int] = OrderedDict()
        self.start_anew()
        start_anew_in_children(self)

    def start_anew(self) -> None:
        """See :class:`keystead.relying.forks.Forked`. What was read stays."""
        self._lock = Lock()

    def find(self, uri: str, *, now: int) -> StatusList:
        """See :meth:`StatusSource.find`."""
        self._check_admitted(uri)
        with self._lock:
            kept = self._lists.get(uri)
        if kept is None:
            raise status_unavailable("nobody asked for it")
        last = kept.last
        if last is None or last.age_s(now) > _fresh_for_s(last.value) + self._max_stale_s:
            raise status_unavailable(kept.last_error)
        if now >= last.value.expires_at + self._rules.leeway_s:
            raise status_unavailable(f"expired; {kept.last_error}")
        return last.value

    def refresh(self, uri: str, *, now: int) -> Future[None] | None:
        """See :meth:`StatusSource.refresh`."""
        if not self._admits(uri):
            return None
        kept = self._kept(uri)
        last = kept.last
        if last is None:
            return kept.start(now)
        age_s, fresh_for_s = last.age_s(now), _fresh_for_s(last.value)
        if age_s * 2 <= fresh_for_s and now < last.value.expires_at:
            return None
        future = kept.start(now)
        return future if age_s > fresh_for_s or now >= last.value.expires_at else None

    def _check_admitted(self, uri: str) -> None:
        if not self._admits(uri):
            raise TokenRejected(
                Reason.CLAIM_INVALID, f"a status list elsewhere: {uri!r}", step=Step.STATUS
            )

    def _kept(self, uri: str) -> Refreshed[StatusList]:
        with self._lock:
            kept = self._lists.get(uri)
            if kept is None:
                kept = self._lists[uri] = self._reading(uri)
                if len(self._lists) > MAX_LISTS:
                    self._lists.popitem(last=False)
            else:
                self._lists.move_to_end(uri)
            return kept

    def _reading(self, uri: str) -> Refreshed[StatusList]:
        return Refreshed(
            lambda now: self._read(uri, now), name="keystead-status", interval_s=RETRY_INTERVAL_S
        )

    def _read(self, uri: str, now: int) -> StatusList:
        rules = self._rules
        found = verify_status_list(
            self._fetch(uri),
            uri=uri,
            keys=lambda kid: _find_key(rules.keys, kid, now),
            algorithms=rules.algorithms,
            issuer=rules.issuer,
            now=now,
            leeway_s=rules.leeway_s,
        )
        self._check_not_older(uri, found.issued_at)
        return found

    def _check_not_older(self, uri: str, issued_at: int) -> None:
        with self._lock:
            if issued_at < self._issued_at.get(uri, issued_at):
                raise Unavailable(Reason.STATUS_UNAVAILABLE, "an older list than the last one")
            self._issued_at[uri] = issued_at
            self._issued_at.move_to_end(uri)
            if len(self._issued_at) > MAX_TIMES:
                self._issued_at.popitem(last=False)


def status_source(
    lists: str | Path | StatusSource,
    rules: StatusListRules,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> StatusSource:
    """The source that ``lists`` means: a URL, a file's path, or a source as it is.

    Below the URL, which may be that of a folder or of one list, are all lists that tokens may name.
    """
    if isinstance(lists, str) and "://" in lists:
        return _lists_below(lists, rules, timeout_s)
    if isinstance(lists, str | Path):
        path = Path(lists)
        _read_file(path)
        return CachedStatusLists(lambda uri: _read_file(path), rules, timeout_s=timeout_s)
    return lists


def _lists_below(url: str, rules: StatusListRules, timeout_s: float) -> StatusSource:
    from keystead.relying.https import Kind, fetcher

    kind = Kind(
        name="status list",
        media_type="application/statuslist+jwt",
        max_bytes=MAX_STATUS_LIST_BYTES,
        reason=Reason.STATUS_UNAVAILABLE,
    )
    fetcher(url, kind, timeout_s=timeout_s)  # what is no URL is refused at once

    def admits(uri: str) -> bool:
        below = uri.removeprefix(url)
        return uri == url or (url.endswith("/") and below != uri and bool(_BELOW.fullmatch(below)))

    return CachedStatusLists(
        lambda uri: fetcher(uri, kind, timeout_s=timeout_s)(),
        rules,
        admits=admits,
        timeout_s=timeout_s,
    )


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One more, so that the parser sees the excess; editors end files with a line's end.
            return file.read(MAX_STATUS_LIST_BYTES + 1).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(detail=f"status list: {error}") from error


def _find_key(keys: JwksSource, kid: str | None, now: int) -> PublicJwk:
    """One of the issuer's keys; whoever calls this is a thread that may wait for them."""
    pending = keys.refresh(kid, now=now)
    if pending is not None:
        wait([pending], timeout=keys.timeout_s)
    return keys.find(kid, now=now)


def _fresh_for_s(found: StatusList) -> int:
    wanted = DEFAULT_FRESH_FOR_S if found.fresh_for_s is None else found.fresh_for_s
    return max(RETRY_INTERVAL_S, wanted)


def status_unavailable(detail: str) -> Unavailable:
    """The error of a token whose status nobody can tell now."""
    return Unavailable(
        Reason.STATUS_UNAVAILABLE, detail, step=Step.STATUS, retry_after_s=RETRY_INTERVAL_S
    )
