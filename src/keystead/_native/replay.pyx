# cython: boundscheck=True, wraparound=False
"""The door to native/include/ks_replay.h."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint8_t

from keystead._native.batch cimport ks_view
from keystead._native.views cimport borrow

MAX_CAPACITY = KS_MAX_REPLAY

# The numbers of ks_replay_verdict.
NEW = <int>KS_REPLAY_NEW
SEEN = <int>KS_REPLAY_SEEN
TOO_OLD = <int>KS_REPLAY_TOO_OLD
FULL = <int>KS_REPLAY_FULL


cdef class _Uses:
    """The C array of one call, freed with this object whatever happens in between."""

    cdef ks_replay_use *array

    def __cinit__(self, Py_ssize_t count):
        self.array = <ks_replay_use *>PyMem_Calloc(<size_t>count, sizeof(ks_replay_use))
        if self.array == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.array)


@cython.final
cdef class ReplayTable:
    """A bounded table of proofs that were seen. See replay.pyi."""

    def __cinit__(self, *, size_t capacity, int64_t not_before):
        if not 1 <= capacity <= KS_MAX_REPLAY:
            raise ValueError(f"capacity is 1 to {KS_MAX_REPLAY}")
        self.handle = ks_replay_open(capacity, not_before)
        if self.handle == NULL:
            raise MemoryError

    def __dealloc__(self):
        ks_replay_close(self.handle)

    def __len__(self):
        return <Py_ssize_t>ks_replay_count(self.handle)

    def refuse_before(self, int64_t time):
        ks_replay_refuse_before(self.handle, time)

    def remember(self, jkt, jti, int64_t first, int64_t last, int64_t now):
        # The GIL stays: it takes less than letting go of it would, and who has the lock never waits
        # for the GIL.
        cdef ks_view key, identifier
        borrow(jkt, &key)
        borrow(jti, &identifier)
        return <int>ks_replay_remember(self.handle, key, identifier, first, last, now)

    def remember_all(self, tuple uses not None, int64_t now):
        cdef size_t count = <size_t>len(uses)
        cdef _Uses borrowed = _Uses(len(uses))
        cdef size_t i
        cdef tuple use
        # The tuples hold every bytes object that the array points into until this function returns.
        for i in range(count):
            use = uses[i]
            if use is None or len(use) != 4:
                raise TypeError("a use is jkt, jti, first and last")
            borrow(use[0], &borrowed.array[i].jkt)
            borrow(use[1], &borrowed.array[i].jti)
            borrowed.array[i].first = use[2]
            borrowed.array[i].last = use[3]
        with nogil:
            ks_replay_remember_all(self.handle, borrowed.array, count, now)
        verdicts = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>count)
        # Not yet seen by anybody else, so it may still be written.
        cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(verdicts)
        for i in range(count):
            out[i] = <uint8_t>borrowed.array[i].verdict
        return verdicts
