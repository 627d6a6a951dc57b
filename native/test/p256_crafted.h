/* ecdsa_crafted.h for P-256. Its file defines OPENSSL_SUPPRESS_DEPRECATED before all else. */
#ifndef P256_CRAFTED_H
#define P256_CRAFTED_H

#include "p256/p256_kernel.h"

#define CURVE_WORDS P256_WORDS
#define CURVE_OCTETS P256_OCTETS
#define CURVE_NID NID_X9_62_prime256v1
#define curve_point_read ks_p256_point_read
#define curve_multipliers ks_p256_multipliers
typedef p256_entry curve_entry;
typedef p256_signature curve_signature;

#include "ecdsa_crafted.h"

#endif
