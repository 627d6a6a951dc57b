/*
 * URLs as DPoP compares them: RFC 9449 §4.3 with the normalisation of RFC 3986 §6.2.2 and §6.2.3, by the
 * rules of src/keystead/jose/htu.py.
 */
#ifndef KS_HTU_H
#define KS_HTU_H

#include "ks_status.h"

/* What web servers accept as a request line; a normalised URL may be one character longer. */
#define KS_MAX_URL_CHARS 2048u

/*
 * Writes the one spelling of `url` (UTF-8) to `out`, which has room for KS_MAX_URL_CHARS + 1 bytes, and
 * its length to `*size`.
 *
 * KS_E_TOO_LARGE   more than KS_MAX_URL_CHARS characters (code points)
 * KS_E_MALFORMED   anything but an absolute http or https URL without user information
 */
KS_MUST_CHECK ks_status ks_htu_normalise(ks_view url, uint8_t *out, size_t *size);

#endif
