"""What a verifier asks of tokens; native/include/ks_token.h is the contract."""

from libc.stdint cimport int64_t

from keystead._native.batch cimport ks_view


cdef extern from "ks_token.h" nogil:
    const unsigned KS_ALGORITHM_NAMES
    const int64_t KS_ANY_AGE

    ctypedef enum ks_protection:
        KS_NON_EXPORTABLE
        KS_MEASURED_CODE
        KS_UNPROTECTED

    ctypedef enum ks_freshness:
        KS_CHALLENGED
        KS_BEARER

    ctypedef struct ks_views:
        const ks_view *items
        size_t count

    ctypedef struct ks_token_rules:
        unsigned algorithms
        ks_view issuer
        ks_view audience
        int64_t now
        int64_t leeway_s
        int64_t max_lifetime_s
        int64_t proof_max_age_s
        int dpop_required
        ks_views scopes
        int64_t minimum_aal
        ks_views acr_values
        int64_t max_authentication_age_s
        int residency_required
        unsigned protections
        unsigned freshnesses
        int hardware_required
        int64_t max_residency_age_s
        int policies_named
        ks_views policies
        int status_required

    const char *ks_algorithm_name(unsigned index) noexcept


# At most 2^61, which is far beyond any date, so that no sum of two such numbers overflows.
cdef inline int64_t near(object seconds) except? -1:
    if type(seconds) is not int:
        raise TypeError(f"whole seconds expected, not {type(seconds).__name__}")
    return <int64_t>max(-0x2000000000000000, min(0x2000000000000000, seconds))


cdef class _Texts:
    cdef tuple kept
    cdef ks_view *views
    cdef ks_views all


cdef class Residency:
    cdef unsigned protections, freshnesses
    cdef bint hardware, policies_named
    cdef int64_t max_age_s
    cdef _Texts policies


cdef class Rules:
    cdef ks_token_rules rules
    cdef _Texts names, scopes, acr_values
    cdef Residency residency
