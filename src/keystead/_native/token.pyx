# cython: boundscheck=True, wraparound=False
"""The door to native/include/ks_token.h: many tokens or requests in one call."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint8_t

from keystead._native.batch cimport KS_E_ARGUMENT, KS_E_MEMORY, KS_OK, ks_status, ks_view
from keystead._native.replay cimport ReplayTable
from keystead._native.rules cimport Rules, ks_algorithm_name, ks_token_rules, near
from keystead._native.views cimport borrow, borrow_ascii, copy_of

cdef extern from "Python.h":
    object PyUnicode_FromObject(object text)

MAX_TOKENS = KS_MAX_TOKENS

REFUSED_AS = {
    KS_AS_MALFORMED: "malformed",
    KS_AS_TOKEN_REJECTED: "token",
    KS_AS_PROOF_REJECTED: "proof",
    KS_AS_REPLAYED: "replayed",
    KS_AS_UNAVAILABLE: "unavailable",
}
REASONS = {
    KS_R_MALFORMED: "malformed",
    KS_R_TOO_LARGE: "too_large",
    KS_R_DUPLICATE_MEMBER: "duplicate_member",
    KS_R_ALGORITHM_NOT_ALLOWED: "algorithm_not_allowed",
    KS_R_KEY_UNKNOWN: "key_unknown",
    KS_R_KEY_UNSUITABLE: "key_unsuitable",
    KS_R_PRIVATE_KEY_MEMBER: "private_key_member",
    KS_R_CRITICAL_HEADER_UNKNOWN: "critical_header_unknown",
    KS_R_SIGNATURE_INVALID: "signature_invalid",
    KS_R_TYPE_MISMATCH: "type_mismatch",
    KS_R_CLAIM_MISSING: "claim_missing",
    KS_R_CLAIM_INVALID: "claim_invalid",
    KS_R_ISSUER_MISMATCH: "issuer_mismatch",
    KS_R_AUDIENCE_MISMATCH: "audience_mismatch",
    KS_R_EXPIRED: "expired",
    KS_R_NOT_YET_VALID: "not_yet_valid",
    KS_R_LIFETIME_TOO_LONG: "lifetime_too_long",
    KS_R_BINDING_MISSING: "binding_missing",
    KS_R_KEY_BINDING_MISMATCH: "key_binding_mismatch",
    KS_R_SCOPE_INSUFFICIENT: "scope_insufficient",
    KS_R_RESIDENCY_INSUFFICIENT: "residency_insufficient",
    KS_R_AUTHENTICATION_INSUFFICIENT: "authentication_insufficient",
    KS_R_PROOF_MISSING: "proof_missing",
    KS_R_PROOF_NOT_SINGLE: "proof_not_single",
    KS_R_METHOD_MISMATCH: "method_mismatch",
    KS_R_URL_MISMATCH: "url_mismatch",
    KS_R_PROOF_TOO_OLD: "proof_too_old",
    KS_R_PROOF_IN_FUTURE: "proof_in_future",
    KS_R_TOKEN_HASH_MISMATCH: "token_hash_mismatch",
    KS_R_PROOF_REPLAYED: "proof_replayed",
    KS_R_REPLAY_MEMORY_FULL: "replay_memory_full",
    KS_R_TOKEN_REVOKED: "token_revoked",
    KS_R_TOKEN_SUSPENDED: "token_suspended",
    KS_R_STATUS_UNKNOWN: "status_unknown",
    KS_R_STATUS_UNAVAILABLE: "status_unavailable",
}

# Tokens between two chances for signal handlers: some milliseconds where the engine has tables of the
# issuer's key, some tens of them where OpenSSL verifies. Other threads of Python run all the while.
cdef size_t SLICE = 512
# Algorithms that take OpenSSL a millisecond.
_SLOW = frozenset({"ES384", "ES512"})
cdef size_t SLOW_SLICE = 32
# A stranger chooses the algorithm of a proof.
cdef size_t PROOF_SLICE = 128
cdef class TokenBatch:
    """See token.pyi."""

    cdef ks_tokens *batch
    cdef ks_view *texts
    cdef ks_request *requests
    cdef ks_token_rules rules
    cdef Rules kept_rules
    cdef size_t count
    # Every object that the arrays look into.
    cdef list kept
    cdef bint busy
    # Whether the signatures were verified, and whether the steps that were begun were made of every
    # token: until then nothing passed.
    cdef bint signed, verified

    def __cinit__(self, tokens, Rules rules not None, *, now, unsigned threads):
        self.kept = list(tokens)
        self.count = <size_t>len(self.kept)
        self.kept_rules = rules
        self.rules = rules.rules
        self.rules.now = near(now)
        self.texts = <ks_view *>PyMem_Calloc(self.count + 1, sizeof(ks_view))
        if self.texts == NULL:
            raise MemoryError
        cdef size_t i
        for i in range(self.count):
            self.kept[i] = _read_sent(self.kept[i], &self.texts[i])
        cdef ks_status status
        with nogil:
            status = ks_tokens_open(self.texts, self.count, &self.rules, threads, &self.batch)
        _raise_status(status)

    def __dealloc__(self):
        ks_tokens_close(self.batch)
        PyMem_Free(self.requests)
        PyMem_Free(self.texts)

    def __len__(self):
        return self.count

    def names(self):
        found = []
        cdef ks_key_wanted name
        cdef size_t i
        for i in range(ks_tokens_names(self.batch)):
            name = ks_tokens_name(self.batch, i)
            algorithm = (<bytes>ks_algorithm_name(name.algorithm)).decode("ascii")
            found.append((algorithm, copy_of(name.kid) if name.kid.data != NULL else None))
        return found

    def verify(self, keys, *, unsigned threads):
        keys = tuple(keys)
        if self.signed:
            raise ValueError("these tokens were verified")
        if <size_t>len(keys) != ks_tokens_names(self.batch):
            raise ValueError("a key or None is expected for each name")
        cdef _Keys named = _Keys(keys)
        cdef size_t step = SLICE if _SLOW.isdisjoint(name for name, _ in self.names()) else SLOW_SLICE
        cdef size_t first = 0
        cdef size_t last
        cdef ks_status status = KS_OK
        self._enter()
        try:
            while first < self.count and status == KS_OK:
                last = min(first + step, self.count)
                with nogil:
                    status = ks_tokens_verify(self.batch, named.keys, first, last, threads)
                PyErr_CheckSignals()
                first = last
        finally:
            self.busy = False
        _raise_status(status)
        self.signed = True
        self.verified = not self.rules.status_required

    def lists(self):
        if not self.signed:
            raise ValueError("these tokens were not verified")
        _raise_status(ks_tokens_find_lists(self.batch))
        return [copy_of(ks_tokens_list(self.batch, i)) for i in range(ks_tokens_lists(self.batch))]

    def check_status(self, lists):
        lists = tuple(lists)
        if <size_t>len(lists) != ks_tokens_lists(self.batch):
            raise ValueError("a list or None is expected for each that is named")
        cdef _Lists named = _Lists(lists)
        cdef ks_status status
        self._enter()
        try:
            with nogil:
                status = ks_tokens_check_status(self.batch, named.lists)
        finally:
            self.busy = False
        _raise_status(status)
        self.verified = True

    def prove(self, requests, *, unsigned threads):
        requests = tuple(requests)
        self._check_verified()
        if <size_t>len(requests) != self.count or self.requests != NULL:
            raise ValueError("a request is expected for each token, once")
        self.verified = False  # a call that ends early leaves tokens whose proofs nobody looked at
        self._read_requests(requests)
        cdef size_t first = 0
        cdef size_t last
        cdef ks_status status
        self._enter()
        try:
            while True:  # once for a batch of none, too: steps in order are what C asks for
                last = min(first + PROOF_SLICE, self.count)
                with nogil:
                    status = ks_tokens_prove(self.batch, self.requests, first, last, threads)
                PyErr_CheckSignals()
                first = last
                if first == self.count or status != KS_OK:
                    break
        finally:
            self.busy = False
        _raise_status(status)
        self.verified = True

    def remember(self, ReplayTable seen not None):
        self._check_verified()
        if self.requests == NULL:
            raise ValueError("no proofs were looked at")
        cdef ks_status status
        self._enter()
        try:
            with nogil:
                status = ks_tokens_remember(self.batch, seen.handle, 0, self.count)
        finally:
            self.busy = False
        _raise_status(status)

    def ok(self):
        self._check_verified()
        out = bytearray(self.count)
        cdef uint8_t[::1] bytes_of = out
        cdef size_t i
        for i in range(self.count):
            bytes_of[i] = ks_tokens_refusal(self.batch, i).refused_as == 0
        return out

    def refusal(self, size_t index):
        cdef ks_refusal found = ks_tokens_refusal(self.batch, self._at(index))
        return found.refused_as, found.reason, found.step

    def name_of(self, size_t index):
        return ks_tokens_name_of(self.batch, self._at(index))

    def list_of(self, size_t index):
        return ks_tokens_list_of(self.batch, self._at(index))

    def payload(self, size_t index):
        return copy_of(ks_tokens_payload(self.batch, self._at(index)))

    def proven(self, size_t index):
        cdef ks_proven proof = ks_tokens_proven(self.batch, self._at(index))
        if proof.jkt.data == NULL:
            return None
        return copy_of(proof.jkt), copy_of(proof.jti), proof.issued_at

    cdef int _check_verified(self) except -1:
        if not self.verified:
            raise ValueError("these tokens were not verified")
        return 0

    cdef size_t _at(self, size_t index) except? 0:
        if index >= self.count:
            raise IndexError("no such item in the batch")
        return index

    cdef int _enter(self) except -1:
        if self.busy:
            raise RuntimeError("another thread is using this batch")
        self.busy = True
        return 0

    cdef int _read_requests(self, tuple requests) except -1:
        self.requests = <ks_request *>PyMem_Calloc(self.count + 1, sizeof(ks_request))
        if self.requests == NULL:
            raise MemoryError
        cdef size_t i
        cdef ks_request *to
        for i in range(self.count):
            to = &self.requests[i]
            request = requests[i]
            self.kept.append(_read_proof(request.proof, to))
            self.kept.append(_read_text(request.method, &to.method))
            self.kept.append(_read_text(request.url, &to.url))
        return 0


cdef class _Keys:
    """The keys of one call, and the bytes that they look into."""

    cdef tuple kept
    cdef ks_named_key *keys

    def __cinit__(self, tuple keys):
        self.kept = keys
        self.keys = <ks_named_key *>PyMem_Calloc(<size_t>len(keys) + 1, sizeof(ks_named_key))
        if self.keys == NULL:
            raise MemoryError
        cdef size_t i
        for i in range(<size_t>len(keys)):
            if keys[i] is None:
                self.keys[i].refusal = ks_refusal(
                    KS_AS_TOKEN_REJECTED, KS_R_KEY_UNKNOWN, KS_STEP_KEY
                )
                continue
            first, second = keys[i]
            borrow(first, &self.keys[i].key.first)
            borrow(second, &self.keys[i].key.second)

    def __dealloc__(self):
        PyMem_Free(self.keys)


cdef class _Lists:
    """The status lists of one call, and the bytes that they look into."""

    cdef tuple kept
    cdef ks_status_list *lists

    def __cinit__(self, tuple lists):
        self.kept = lists
        self.lists = <ks_status_list *>PyMem_Calloc(<size_t>len(lists) + 1, sizeof(ks_status_list))
        if self.lists == NULL:
            raise MemoryError
        cdef size_t i
        for i in range(<size_t>len(lists)):
            if lists[i] is None:
                self.lists[i].refusal = ks_refusal(
                    KS_AS_UNAVAILABLE, KS_R_STATUS_UNAVAILABLE, KS_STEP_STATUS
                )
                continue
            statuses, bits = lists[i]
            borrow(statuses, &self.lists[i].statuses)
            self.lists[i].bits = bits

    def __dealloc__(self):
        PyMem_Free(self.lists)


cdef object _read_sent(object text, ks_view *out):
    """The object that `out` looks into. What is no string is as malformed as one outside ASCII."""
    if not isinstance(text, str):
        return None
    text = PyUnicode_FromObject(text)  # of a subclass, the string that it is
    if not borrow_ascii(text, out):
        out.size = <size_t>len(text)
    return text


cdef object _read_text(object text, ks_view *out):
    """The object that `out` looks into: the text in UTF-8, empty if it is no string."""
    if not isinstance(text, str):
        return None
    text = PyUnicode_FromObject(text)
    if borrow_ascii(text, out):
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    borrow(encoded, out)
    return encoded


cdef object _read_proof(object proof, ks_request *to):
    """The object that the proof's view looks into. `proof` is a `DPoP` header's value, or all."""
    to.presented = bool(proof)
    if proof is not None and not isinstance(proof, (str, list, tuple)):
        to.proofs = KS_PROOF_MANY  # whatever it is, it is not one proof
        return None
    values = () if proof is None else (proof,) if isinstance(proof, str) else tuple(proof)
    if len(values) == 0:
        to.proofs = KS_PROOF_NONE
        return None
    to.proofs = KS_PROOF_ONE if len(values) == 1 else KS_PROOF_MANY
    kept = _read_sent(values[0], &to.proof)
    if to.proof.data == NULL and kept is not None and "," in kept:
        to.proofs = KS_PROOF_MANY  # C cannot look for a comma in what is not ASCII
    return kept


cdef int _raise_status(ks_status status) except -1:
    if status == KS_OK:
        return 0
    if status == KS_E_MEMORY:
        raise MemoryError
    if status == KS_E_ARGUMENT:
        raise ValueError("a step out of order, or a parameter that is none: threads, bits")
    raise ValueError("more tokens or threads than one batch takes")
