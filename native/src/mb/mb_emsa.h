/* What a raised RSA signature must look like: the encodings of RFC 8017 §9 with SHA-256, all octets. */
#ifndef MB_EMSA_H
#define MB_EMSA_H

#include "ks_digest.h"

#define MB_SHA256_OCTETS 32u

/*
 * EMSA-PKCS1-v1_5 (§9.2): 1 if `encoded`, as long as the modulus, is the one encoding of `digest`. The
 * size must be at least 62 octets.
 */
int ks_mb_emsa_is_pkcs1(const uint8_t *encoded, size_t size, const uint8_t digest[MB_SHA256_OCTETS]);

/*
 * EMSA-PSS-VERIFY (§9.1.2) with MGF1 of SHA-256 and a salt of 32 octets (RFC 7518 §3.5): 1 if
 * consistent. `size` is that of a modulus whose top bit is set, so emBits is 8 · size - 1; at least 66
 * and at most MB_MOST_MODULUS_OCTETS. `sha256` is scratch.
 */
int ks_mb_emsa_is_pss(ks_digest *sha256, const uint8_t *encoded, size_t size,
                      const uint8_t digest[MB_SHA256_OCTETS]);

#define MB_MOST_MODULUS_OCTETS 512u

#endif
