/*
 * Base64url without padding, and only its canonical form (RFC 7515 §2, RFC 4648 §5): the rules of
 * src/keystead/codec/base64url.py. One value has one spelling, so that two tokens never decode to the
 * same bytes.
 */
#ifndef KS_BASE64URL_H
#define KS_BASE64URL_H

#include "ks_status.h"

/* What decoding may write beyond the result: it stores whole registers. */
#define KS_BASE64URL_SLACK 64u

/* How many bytes `size` characters spell. */
static inline size_t ks_base64url_bytes(size_t size) {
    return size / 4 * 3 + size % 4 * 3 / 4;
}

/*
 * `out` has room for ks_base64url_bytes(text.size) + KS_BASE64URL_SLACK bytes and does not overlap the
 * text. KS_E_MALFORMED for a character outside the alphabet (padding and white space are), an
 * impossible length, or trailing bits that are not zero; what is in `out` then means nothing.
 */
KS_MUST_CHECK ks_status ks_base64url_decode(ks_view text, uint8_t *out);

/* Writes (4 * size + 2) / 3 characters. */
void ks_base64url_encode(const uint8_t *data, size_t size, uint8_t *out);

#endif
