/* Decimal numbers as doubles, correctly rounded to even, whatever the program's locale is. */
#ifndef KS_DOUBLE_H
#define KS_DOUBLE_H

#include "ks_status.h"

#define KS_MAX_DOUBLE_CHARS 64u

/*
 * `text` is a number as JSON writes it (RFC 8259 §6). KS_E_MALFORMED if it is longer than
 * KS_MAX_DOUBLE_CHARS or rounds to infinity; KS_E_MEMORY if the C locale could not be had.
 */
KS_MUST_CHECK ks_status ks_double_read(ks_view text, double *out);

#endif
