/* ecdsa_crafted.h for P-384. Its file defines OPENSSL_SUPPRESS_DEPRECATED before all else. */
#ifndef P384_CRAFTED_H
#define P384_CRAFTED_H

#include "p384/p384_kernel.h"

#define CURVE_WORDS P384_WORDS
#define CURVE_OCTETS P384_OCTETS
#define CURVE_NID NID_secp384r1
#define curve_point_read ks_p384_point_read
#define curve_multipliers ks_p384_multipliers
typedef p384_entry curve_entry;
typedef p384_signature curve_signature;

#include "ecdsa_crafted.h"

#endif
