/* UTF-8 (RFC 3629), strictly: no surrogates, nothing longer than it need be, nothing above U+10FFFF. */
#ifndef KS_UTF8_H
#define KS_UTF8_H

#include "ks_status.h"

typedef enum ks_utf8 {
    KS_UTF8_NOT = 0,
    KS_UTF8_ASCII = 1, /* a character is a byte */
    KS_UTF8_WIDE = 2,
} ks_utf8;

ks_utf8 ks_utf8_check(ks_view text);

/* Code points of what is UTF-8; surrogates encoded as three bytes count as well. */
size_t ks_utf8_count(ks_view text);

/* Writes `point` and returns how many bytes that took: 1 to 4. Surrogates are written like others. */
size_t ks_utf8_write(uint32_t point, uint8_t *out);

#endif
