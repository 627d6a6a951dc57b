"""Memory of a service that does nothing: just started, and after it issued many tokens."""

from __future__ import annotations

import random
import time

from bench.figures import figure
from bench.installation import PLAIN, running
from bench.process import memory_mb
from bench.progress import each_round

question = "How much memory does the service hold while nobody asks it for anything?"

EXCHANGES = 1_000
# Proofs are good for a minute, and a TPM makes some hundreds of them a second.
BATCH = 250
SETTLE_S = 2.0


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` starts; swtpm, which stands for a chip, is not counted."""
    chance = random.Random(seed)
    states: dict[str, list[dict[str, float]]] = {"started": [], "after_exchanges": []}
    for _ in each_round(rounds, what="start"):
        with running() as installation:
            time.sleep(SETTLE_S)
            states["started"].append(memory_mb(installation.pid))
            for _ in range(EXCHANGES // BATCH):
                requests = installation.exchanges(BATCH, audience=PLAIN, chance=chance)
                installation.send(requests)
            time.sleep(SETTLE_S)
            states["after_exchanges"].append(memory_mb(installation.pid))
    cases = {
        state: {name: figure([one[name] for one in seen], unit="mb") for name in seen[0]}
        for state, seen in states.items()
    }
    return {"question": question, "exchanges": EXCHANGES, "cases": cases}
