/*
 * A FAKE of Intel's crypto_mb for tests: the same functions, computed by OpenSSL, one lane after the other,
 * on any CPU. It counts its calls and lies when told to.
 */
#ifndef FAKE_CRYPTO_MB_H
#define FAKE_CRYPTO_MB_H

#include <stdatomic.h>

typedef enum fake_lie {
    FAKE_HONEST,
    FAKE_WRONG,    /* other numbers; every ES384 signature is "valid"; the status is good */
    FAKE_IDLE,     /* writes no result; every ES384 signature is "valid"; the status is good */
    FAKE_REFUSING, /* the right numbers, and a bad status for each lane */
} fake_lie;

/* The fake exports one of these as `fake_crypto_mb`. */
typedef struct fake_control {
    atomic_int lie;
    atomic_uint rsa_calls;
    atomic_uint es384_calls;
} fake_control;

#endif
