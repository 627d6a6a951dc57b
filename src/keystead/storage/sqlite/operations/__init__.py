"""What a unit of work may do inside its transaction: one function an operation.

Each runs on the writer's connection and either changes rows or raises what the operation's
docstring in :mod:`keystead.model` promises; the writer takes back a refused unit as a whole.
"""

from keystead.storage.sqlite.operations.run import run_operation

__all__ = ["run_operation"]
