"""Benchmarks: one file a question (``question``, ``run(*, seed, rounds)``), run by ``__main__``.

    python -m bench [NAME] [--json] [--rounds N] [--seed N]

``docs/benchmarks.md`` has the figures, and on which machine they were measured.
"""
