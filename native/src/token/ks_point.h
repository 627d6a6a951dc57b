/* The points that are public keys, by the rules of src/keystead/jose/jwk.py. */
#ifndef KS_POINT_H
#define KS_POINT_H

#include "ks_verify.h"

#define KS_ED25519_BYTES 32u

/* How long a coordinate is (RFC 7518 §6.2.1.2, RFC 8037 §2); 0 for an algorithm whose keys are no points. */
size_t ks_coordinate_bytes(ks_algorithm algorithm);

/*
 * 0 if these KS_ED25519_BYTES octets cannot be a key: y is p or above, or of a point of small order. Whether
 * there is a point with that y, each verification sees.
 */
int ks_may_be_ed25519(const uint8_t *x);

#endif
