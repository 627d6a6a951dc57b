# cython: boundscheck=True, wraparound=False
"""The door to native/include/ks_verify.h and ks_mb.h: convert, release the GIL, verify, convert."""

import threading

from cpython.exc cimport PyErr_CheckSignals
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint8_t, uint32_t

from keystead._native.views cimport borrow, borrow_ascii, copy_of

# What the main thread works between two looks for signals, and up to 10 ms more.
cdef unsigned STEP_MS = 5

MAX_BATCH = KS_MAX_BATCH
MAX_THREADS = KS_MAX_THREADS

# The numbers of ks_algorithm.
cdef enum:
    ED25519 = 4
ALGORITHMS = {"ES256": 1, "ES384": 2, "ES512": 3, "Ed25519": ED25519, "RS256": 5, "PS256": 6}

# The numbers of ks_forced.
FORCED_NOT = KS_FORCED_NOT
FORCED = KS_FORCED
FORCED_UNKNOWN = KS_FORCED_UNKNOWN


cdef class _Buffers:
    """The C arrays of one call, freed with this object whatever happens in between."""

    cdef ks_public_key *keys
    cdef ks_verify_item *items

    def __cinit__(self, Py_ssize_t key_count, Py_ssize_t count):
        self.keys = <ks_public_key *>PyMem_Calloc(<size_t>key_count, sizeof(ks_public_key))
        self.items = <ks_verify_item *>PyMem_Calloc(<size_t>count, sizeof(ks_verify_item))
        if self.keys == NULL or self.items == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.keys)
        PyMem_Free(self.items)


cdef int _check_sizes(tuple keys, tuple key_of, tuple messages, tuple signatures) except -1:
    if len(signatures) != len(messages) or len(key_of) != len(messages):
        raise ValueError("messages, signatures and keys must be equally many")
    if len(messages) > <Py_ssize_t>KS_MAX_BATCH or len(keys) > <Py_ssize_t>KS_MAX_BATCH:
        raise ValueError(f"more than {KS_MAX_BATCH} items in one batch")
    return 0


cdef int _raise_status(ks_status status) except -1:
    if status == KS_OK:
        return 0
    if status == KS_E_MEMORY:
        raise MemoryError
    raise ValueError("the batch is too large" if status == KS_E_TOO_LARGE else "bad argument")


def verify_batch(int algorithm, tuple keys not None, tuple key_of not None,
                 tuple messages not None, tuple signatures not None, unsigned threads):
    """One byte for each item: 1 valid, 0 not. See batch.pyi."""
    _check_sizes(keys, key_of, messages, signatures)
    cdef size_t key_count = <size_t>len(keys)
    cdef size_t count = <size_t>len(messages)
    cdef _Buffers buffers = _Buffers(len(keys), len(messages))
    cdef size_t i
    cdef tuple parameters
    # The tuples hold every bytes object that the arrays point into until this function returns.
    for i in range(key_count):
        parameters = keys[i]
        if parameters is None or len(parameters) != 2:
            raise TypeError("a key is a pair of bytes")
        borrow(parameters[0], &buffers.keys[i].first)
        borrow(parameters[1], &buffers.keys[i].second)
    for i in range(count):
        borrow(messages[i], &buffers.items[i].message)
        borrow(signatures[i], &buffers.items[i].signature)
        buffers.items[i].key = key_of[i]
    verdicts = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>count)
    # Not yet seen by anybody else, so it may still be written.
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(verdicts)
    cdef ks_status status
    cdef ks_batch *batch
    with nogil:
        status = ks_batch_open(<ks_algorithm>algorithm, buffers.keys, key_count, buffers.items,
                               count, threads, out, &batch)
    _raise_status(status)
    try:
        _finish(batch)
    finally:
        with nogil:
            ks_batch_close(batch)
    return verdicts


cdef int _finish(ks_batch *batch) except -1:
    """Verifies to the end; raises what the handler of a signal raises meanwhile."""
    cdef ks_status status
    cdef int done
    cdef unsigned step_ms = STEP_MS
    while True:
        with nogil:
            status = ks_batch_step(batch, step_ms, &done)
        _raise_status(status)
        if done:
            return 0
        # Handlers run in the main thread alone: no other one needs to come back for them.
        if threading.get_ident() != threading.main_thread().ident:
            step_ms = KS_STEP_TO_THE_END
        PyErr_CheckSignals()


cdef tuple UNSUITABLE = (b"", b"")


def key_table(int algorithm, tuple point, tuple keys not None, read):
    """The distinct keys, and for each item the index of its own. See batch.pyi."""
    cdef dict index_by_id = {}  # `keys` keeps them all alive, so that an id means one key
    cdef dict index_by_value = {}
    cdef list key_of = []
    for key in keys:
        index = index_by_id.get(<size_t><void *>key)
        if index is None:
            parameters = None
            if type(key) is dict and point is not None:
                parameters = bare_point(algorithm, point[0], point[1], key)
            if parameters is None:
                parameters = read(key)
            index = index_by_value.setdefault(parameters, len(index_by_value))
            index_by_id[<size_t><void *>key] = index
        key_of.append(index)
    return tuple(index_by_value), tuple(key_of)


cpdef tuple bare_point(int algorithm, object kty, object crv, dict jwk):
    """The parameters of a key without other members. See batch.pyi."""
    if jwk is None:
        return None
    cdef bint has_y = algorithm != ED25519
    if len(jwk) != (4 if has_y else 3):
        return None
    # Held here, whatever becomes of the mapping.
    found_kty, found_crv, x = jwk.get("kty"), jwk.get("crv"), jwk.get("x")
    y = jwk.get("y") if has_y else ""
    cdef ks_view x_text, y_text
    if type(found_kty) is not str or type(found_crv) is not str:
        return None
    if not borrow_ascii(x, &x_text) or not borrow_ascii(y, &y_text):
        return None
    cdef uint8_t[KS_MAX_POINT_BYTES] octets
    cdef ks_public_key key
    if found_kty != kty or found_crv != crv:
        return UNSUITABLE
    if not ks_point_read(<ks_algorithm>algorithm, x_text, y_text, octets, &key):
        return UNSUITABLE
    return copy_of(key.first), copy_of(key.second)


def path_of(int algorithm):
    """The name of the code path that verifies ``algorithm`` on this machine."""
    cdef const char *path = ks_verify_path(<ks_algorithm>algorithm)
    if path == NULL:
        raise ValueError("unknown algorithm number")
    return path.decode("ascii")


def path_reason_of(int algorithm):
    """Why this machine takes that path."""
    cdef const char *reason = ks_verify_path_reason(<ks_algorithm>algorithm)
    if reason == NULL:
        raise ValueError("unknown algorithm number")
    return reason.decode("ascii")


def path_forced_of(int algorithm):
    """Whether the environment chose it: FORCED_NOT, FORCED or FORCED_UNKNOWN."""
    if ks_verify_path(<ks_algorithm>algorithm) == NULL:
        raise ValueError("unknown algorithm number")
    return <int>ks_verify_path_forced(<ks_algorithm>algorithm)


def multi_buffer_suits():
    """Whether this CPU has what Intel's multi-buffer library is written for."""
    return ks_mb_suits_cpu() != 0


def load_multi_buffer(bytes path not None):
    """Loads that library from its absolute path; the first call decides."""
    # The terminating zero is C's; one in the middle would make another path of it.
    if type(path) is not bytes or b"\0" in path:
        raise ValueError("a path without zero bytes is expected")
    cdef const char *name = PyBytes_AS_STRING(path)
    with nogil:
        ks_mb_load(name)
