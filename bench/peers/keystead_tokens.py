"""Keystead's own verifier in a process of its own, by the protocol of ``verifiers.py``.

KEYSTEAD_ENGINE is read once a process, so a path that is not this CPU's choice needs one. Items are
as in ``jose_libraries.py``; all of a load go to one call.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keystead import Verifier

MAX_LIFETIME_S = 3_600
# A call takes a few milliseconds, which the clock of a thread's CPU time can tell apart.
REPEATS = 4

Call = Callable[[], bytes]

loaded: dict[str, tuple[Call, int]] = {}


def verifier_of(item: Mapping[str, bytes]) -> Verifier:
    """One that is configured as the peers are."""
    return Verifier(
        issuer=item["issuer"].decode(),
        jwks={"keys": [json.loads(item["key"])]},
        audience=item["audience"].decode(),
        allowed_algorithms=[item["algorithm"].decode()],
        max_token_lifetime_s=MAX_LIFETIME_S,
    )


def batch(items: Sequence[Mapping[str, bytes]]) -> Call:
    """One call for all of them."""
    verifier, now = verifier_of(items[0]), int(time.time())
    tokens = [item["token"].decode() for item in items]
    return lambda: verifier.verify_batch(tokens, now=now).ok


def load(question: Mapping[str, Any]) -> dict[str, object]:
    """Keep what is to be verified, once it was told from what is bent."""
    items = [*map(_item, question["items"])]
    call = batch(items)
    if not all(call()):
        return {"fault": "refuses good tokens"}
    if any(any(batch([_item(each)])()) for each in question["bent"]):
        return {"fault": "accepts bent tokens"}
    loaded[question["load"]] = call, len(items)
    return {}


def run(name: str) -> dict[str, object]:
    """All tokens of ``name``, by this thread's CPU time."""
    call, count = loaded[name]
    began = time.thread_time()
    for _ in range(REPEATS):
        call()
    return {"per_second": REPEATS * count / (time.thread_time() - began)}


def main() -> None:
    """Answer until the questions end."""
    for line in sys.stdin:
        question = json.loads(line)
        answer = run(question["run"]) if "run" in question else load(question)
        print(json.dumps(answer), flush=True)


def _item(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(text) for name, text in texts.items()}


if __name__ == "__main__":
    main()
