"""The C core's batch entry; native/include/ks_verify.h is the contract."""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "ks_status.h" nogil:
    ctypedef enum ks_status:
        KS_OK
        KS_E_ARGUMENT
        KS_E_TOO_LARGE
        KS_E_MEMORY

    ctypedef struct ks_view:
        const uint8_t *data
        size_t size


cdef extern from "ks_verify.h" nogil:
    ctypedef enum ks_algorithm:
        pass

    ctypedef enum ks_forced:
        KS_FORCED_NOT
        KS_FORCED
        KS_FORCED_UNKNOWN

    const unsigned KS_MAX_BATCH
    const unsigned KS_MAX_THREADS
    const unsigned KS_STEP_TO_THE_END

    ctypedef struct ks_public_key:
        ks_view first
        ks_view second

    ctypedef struct ks_verify_item:
        ks_view message
        ks_view signature
        uint32_t key

    ctypedef struct ks_batch:
        pass

    enum:
        KS_MAX_POINT_BYTES

    int ks_point_read(ks_algorithm algorithm, ks_view x, ks_view y, uint8_t *out,
                      ks_public_key *key) noexcept

    ks_status ks_batch_open(ks_algorithm algorithm, const ks_public_key *keys, size_t key_count,
                            const ks_verify_item *items, size_t count, unsigned threads,
                            uint8_t *verdicts, ks_batch **batch) noexcept
    ks_status ks_batch_step(ks_batch *batch, unsigned most_ms, int *done) noexcept
    void ks_batch_close(ks_batch *batch) noexcept
    const char *ks_verify_path(ks_algorithm algorithm) noexcept
    const char *ks_verify_path_reason(ks_algorithm algorithm) noexcept
    ks_forced ks_verify_path_forced(ks_algorithm algorithm) noexcept


cdef extern from "ks_mb.h" nogil:
    int ks_mb_suits_cpu() noexcept
    void ks_mb_load(const char *path) noexcept
