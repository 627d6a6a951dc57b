/* What every entry of the native core answers, and how it borrows bytes. */
#ifndef KS_STATUS_H
#define KS_STATUS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The numbers are part of the contract: a new code gets a new number, an old one keeps its own. */
typedef enum ks_status {
    KS_OK = 0,
    KS_E_ARGUMENT = 1,  /* the caller broke the contract: an unknown algorithm, an index out of range */
    KS_E_TOO_LARGE = 2, /* more items, keys or threads than the named bounds allow */
    KS_E_MEMORY = 3,    /* the allocator, or OpenSSL's own set-up, gave nothing */
    KS_E_MALFORMED = 4, /* the bytes do not decode */
    KS_E_DUPLICATE = 5, /* a member twice in one JSON object */
} ks_status;

/* A status that nobody looks at is a check that nobody made. */
#define KS_MUST_CHECK __attribute__((warn_unused_result))

/* Bytes of the caller, borrowed until the call returns. `data` may be NULL when `size` is 0. */
typedef struct ks_view {
    const uint8_t *data;
    size_t size;
} ks_view;

static inline int ks_views_equal(ks_view a, ks_view b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
