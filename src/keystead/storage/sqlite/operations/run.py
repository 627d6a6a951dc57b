"""The table of operations."""

from __future__ import annotations

import sqlite3
from typing import assert_never

from keystead.operations import (
    BindKey,
    EndBinding,
    EnrolHost,
    KeepDevice,
    KeepEvidence,
    Operation,
    PutCheckpoint,
    PutEntry,
    PutFact,
    PutGrant,
    PutKey,
    PutResult,
    RaiseCounter,
    RefuseEarlierSubjects,
    RemoveEntry,
    RemoveHost,
    RequireLaterSubject,
    RequireLiveBinding,
    RequireLiveGrant,
    RevokeGrant,
    SetKeyState,
    UseOnce,
)
from keystead.storage.sqlite.operations import (
    bindings,
    counters,
    delegations,
    grants,
    hosts,
    keys,
    once,
)


def run_operation(connection: sqlite3.Connection, operation: Operation) -> None:
    """Run one operation; raises its documented error, or sqlite3.Error."""
    match operation:
        case UseOnce():
            once.use(connection, operation)
        case RaiseCounter():
            counters.raise_counter(connection, operation)
        case RequireLiveBinding():
            bindings.require_live(connection, operation)
        case RequireLiveGrant():
            grants.require_live(connection, operation)
        case PutResult():
            bindings.put_result(connection, operation)
        case BindKey():
            bindings.bind(connection, operation)
        case KeepEvidence():
            bindings.keep_evidence(connection, operation)
        case KeepDevice():
            bindings.keep_device(connection, operation)
        case EndBinding():
            bindings.end(connection, operation)
        case PutGrant():
            grants.put(connection, operation)
        case RevokeGrant():
            grants.revoke(connection, operation)
        case RefuseEarlierSubjects():
            delegations.refuse_earlier(connection, operation)
        case RequireLaterSubject():
            delegations.require_later(connection, operation)
        case EnrolHost():
            hosts.enrol(connection, operation)
        case RemoveHost():
            hosts.remove(connection, operation)
        case PutEntry():
            hosts.put_entry(connection, operation)
        case RemoveEntry():
            hosts.remove_entry(connection, operation)
        case PutKey():
            keys.put(connection, operation)
        case SetKeyState():
            keys.set_state(connection, operation)
        case PutCheckpoint():
            keys.put_checkpoint(connection, operation)
        case PutFact():
            keys.put_fact(connection, operation)
        case _:
            assert_never(operation)
