"""The table of proofs that were seen; native/include/ks_replay.h is the contract."""

cimport cython
from libc.stdint cimport int64_t

from keystead._native.batch cimport ks_view


cdef extern from "ks_replay.h" nogil:
    ctypedef enum ks_replay_verdict:
        KS_REPLAY_NEW
        KS_REPLAY_SEEN
        KS_REPLAY_TOO_OLD
        KS_REPLAY_FULL

    const unsigned KS_MAX_REPLAY

    ctypedef struct ks_replay:
        pass

    ctypedef struct ks_replay_use:
        ks_view jkt
        ks_view jti
        int64_t first
        int64_t last
        ks_replay_verdict verdict

    ks_replay *ks_replay_open(size_t capacity, int64_t not_before) noexcept
    void ks_replay_close(ks_replay *self) noexcept
    ks_replay_verdict ks_replay_remember(ks_replay *self, ks_view jkt, ks_view jti, int64_t first,
                                         int64_t last, int64_t now) noexcept
    void ks_replay_remember_all(ks_replay *self, ks_replay_use *uses, size_t count,
                                int64_t now) noexcept
    size_t ks_replay_count(ks_replay *self) noexcept
    void ks_replay_refuse_before(ks_replay *self, int64_t time) noexcept


@cython.final
cdef class ReplayTable:
    # Never NULL, and open as long as the object lives: another door that holds the object may use
    # it without the GIL.
    cdef ks_replay *handle
