# cython: boundscheck=True, wraparound=False
"""The door to what native/include/ks_token.h has a verifier ask of tokens."""

from cpython.mem cimport PyMem_Calloc, PyMem_Free

from keystead._native.views cimport borrow

# The values of keystead.model's enums.
_PROTECTIONS = {
    "non-exportable": KS_NON_EXPORTABLE, "measured-code": KS_MEASURED_CODE, "none": KS_UNPROTECTED
}
_FRESHNESS = {"challenged": KS_CHALLENGED, "bearer": KS_BEARER}


cdef int64_t _age(object seconds) except? -1:
    return KS_ANY_AGE if seconds is None else near(seconds)


cdef unsigned _bits(object names, object numbers) except? 0xFFFF:
    cdef unsigned bits = 0
    for name in names:
        bits |= 1u << <unsigned>numbers[name]
    return bits


def _algorithm_numbers():
    return {(<bytes>ks_algorithm_name(i)).decode("ascii"): i for i in range(KS_ALGORITHM_NAMES)}


_ALGORITHMS = _algorithm_numbers()


cdef class _Texts:
    """An array of views, and the bytes that they look into."""

    def __cinit__(self, texts):
        self.kept = tuple(texts)
        self.views = <ks_view *>PyMem_Calloc(<size_t>len(self.kept) + 1, sizeof(ks_view))
        if self.views == NULL:
            raise MemoryError
        cdef size_t i
        for i in range(<size_t>len(self.kept)):
            borrow(self.kept[i], &self.views[i])
        self.all.items = self.views
        self.all.count = <size_t>len(self.kept)

    def __dealloc__(self):
        PyMem_Free(self.views)


cdef class Residency:
    """See rules.pyi."""

    # Not __init__, which could be called again: a batch looks into what is kept here.
    def __cinit__(self, *, protections, freshness, hardware, max_age_s, policies):
        self.protections = _bits(protections, _PROTECTIONS)
        self.freshnesses = _bits(freshness, _FRESHNESS)
        self.hardware = hardware
        self.max_age_s = _age(max_age_s)
        self.policies_named = policies is not None
        self.policies = _Texts(policies or ())


cdef class Rules:
    """See rules.pyi."""

    # Not __init__: see Residency.
    def __cinit__(self, *, algorithms, issuer, audience, leeway_s, max_lifetime_s, proof_max_age_s,
                  dpop_required, scopes, minimum_aal, acr_values, max_authentication_age_s,
                  Residency residency, status_required):
        self.names = _Texts((issuer, audience))
        self.scopes = _Texts(scopes)
        self.acr_values = _Texts(acr_values)
        self.residency = residency
        self.rules.algorithms = _bits(algorithms, _ALGORITHMS)
        self.rules.issuer = self.names.views[0]
        self.rules.audience = self.names.views[1]
        self.rules.leeway_s = near(leeway_s)
        self.rules.max_lifetime_s = near(max_lifetime_s)
        self.rules.proof_max_age_s = near(proof_max_age_s)
        self.rules.dpop_required = bool(dpop_required)
        self.rules.scopes = self.scopes.all
        self.rules.minimum_aal = minimum_aal or 0
        self.rules.acr_values = self.acr_values.all
        self.rules.max_authentication_age_s = _age(max_authentication_age_s)
        self.rules.status_required = bool(status_required)
        if residency is not None:
            self.rules.residency_required = True
            self.rules.protections = residency.protections
            self.rules.freshnesses = residency.freshnesses
            self.rules.hardware_required = residency.hardware
            self.rules.max_residency_age_s = residency.max_age_s
            self.rules.policies_named = residency.policies_named
            self.rules.policies = residency.policies.all
