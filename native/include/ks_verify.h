/*
 * Verifying many signatures in one call.
 *
 * Only public data passes here, so how long a call takes may depend on it.
 */
#ifndef KS_VERIFY_H
#define KS_VERIFY_H

#include <stdint.h>

#include "ks_status.h"

/* JOSE algorithms (RFC 7518 §3.1, RFC 8037 §3.1). The numbers are part of the contract. */
typedef enum ks_algorithm {
    KS_ES256 = 1,
    KS_ES384 = 2,
    KS_ES512 = 3,
    KS_ED25519 = 4,
    KS_RS256 = 5,
    KS_PS256 = 6,
} ks_algorithm;

/* Items and keys of one batch: built keys of RSA 8192 take 5 KB each. */
#define KS_MAX_BATCH 16384u
/* Threads of one batch: more than the cores of a large host gain nothing. */
#define KS_MAX_THREADS 64u

/* RSA moduli, in bits: shorter ones are weak (RFC 7518 §3.3), longer ones make the verifier work. */
#define KS_MIN_RSA_BITS 2048
#define KS_MAX_RSA_BITS 8192
/* RSA exponents: 3 has a history of forgeries, and a long one is work that a stranger orders. */
#define KS_MIN_RSA_EXPONENT 65537u
#define KS_MAX_RSA_EXPONENT_BITS 32

/*
 * The parameters of a public key, as the octets that its JWK spells:
 *   ES256, ES384, ES512   first = x, second = y, each exactly as long as the field (RFC 7518 §6.2.1)
 *   Ed25519               first = x of 32 octets, second empty (RFC 8037 §2); points of small order
 *                         verify as in OpenSSL, so whoever reads keys refuses them before
 *   RS256, PS256          first = n, second = e, big-endian without leading zeros (RFC 7518 §6.3.1)
 */
typedef struct ks_public_key {
    ks_view first;
    ks_view second;
} ks_public_key;

typedef struct ks_verify_item {
    ks_view message;   /* unhashed */
    ks_view signature; /* ES*: r ‖ s of field length each; Ed25519: 64 octets; RSA: as long as n */
    uint32_t key;      /* index into the keys of the batch */
} ks_verify_item;

/* Two coordinates of the longest curve, P-521. */
#define KS_MAX_POINT_BYTES 132u

/*
 * The point that is a key for ES256, ES384, ES512 or Ed25519, from its JWK's members in base64url, each of
 * the field's full length; `y` is empty for Ed25519. The octets go to `out`, where `key` looks. 0 if the
 * members spell anything else, or if it is a point of Ed25519 that no key can be: of small order, or with
 * a coordinate of p or above. Whether a point is on its curve, the engine looks.
 */
int ks_point_read(ks_algorithm algorithm, ks_view x, ks_view y, uint8_t out[KS_MAX_POINT_BYTES],
                  ks_public_key *key);

/* A batch that is being verified, in as many steps as the caller likes. */
typedef struct ks_batch ks_batch;

/*
 * Begins to verify `count` items, each under the key that it names; a key is built once however many
 * items name it. `*batch` becomes NULL, or what ks_batch_close must be called with; until then
 * everything is borrowed.
 *
 * `threads` is how many threads may work: the one that calls ks_batch_step, and helpers that live no
 * longer than the batch and go on between the steps. 1 makes none.
 *
 * KS_OK           there is a batch
 * KS_E_ARGUMENT   unknown algorithm, an item's key index not below `key_count`, zero threads
 * KS_E_TOO_LARGE  count or key_count above KS_MAX_BATCH, threads above KS_MAX_THREADS
 * KS_E_MEMORY     could not be set up
 */
KS_MUST_CHECK ks_status ks_batch_open(ks_algorithm algorithm, const ks_public_key *keys,
                                      size_t key_count, const ks_verify_item *items, size_t count,
                                      unsigned threads, uint8_t *verdicts, ks_batch **batch);

/* To the end, however long it takes. */
#define KS_STEP_TO_THE_END 0u

/*
 * Works for about `most_ms`: a step ends with the run of items that is under way then, which takes up
 * to 10 ms where every signature goes to OpenSSL (ks_verify.c has the sizes). One thread at a time.
 *
 * KS_OK        with `*done` 1, every verdict is meant; with 0, call again
 * KS_E_MEMORY  could not be set up; only ks_batch_close is left
 *
 * `verdicts[i]` is 1 where item i is valid and 0 where it is not. An unsuitable key (wrong size, not
 * on the curve, out of the bounds above) makes its own items 0 and nothing else.
 */
KS_MUST_CHECK ks_status ks_batch_step(ks_batch *batch, unsigned most_ms, int *done);

/* Waits for the runs that helpers work on, and frees all. Verdicts that are not meant become 0. */
void ks_batch_close(ks_batch *batch); /* accepts NULL */

/*
 * All of that in one call. Whatever is not KS_OK leaves every verdict 0 (and writes none when the
 * count is too large).
 */
KS_MUST_CHECK ks_status ks_verify_batch(ks_algorithm algorithm, const ks_public_key *keys,
                                        size_t key_count, const ks_verify_item *items, size_t count,
                                        unsigned threads, uint8_t *verdicts);

/* Whether the environment chose an algorithm's path. The numbers are part of the contract. */
typedef enum ks_forced {
    KS_FORCED_NOT = 0,     /* the CPU chose */
    KS_FORCED = 1,         /* KEYSTEAD_ENGINE did; where this CPU cannot run that path, OpenSSL verifies */
    KS_FORCED_UNKNOWN = 2, /* KEYSTEAD_ENGINE names no path that there is: OpenSSL verifies */
} ks_forced;

/* The code path that `algorithm` takes on this machine, as a static string; NULL if unknown. */
const char *ks_verify_path(ks_algorithm algorithm);
/* Why it takes that one: a static string for operators; NULL if unknown. */
const char *ks_verify_path_reason(ks_algorithm algorithm);
/* Whether it was forced; KS_FORCED_NOT if `algorithm` is unknown. */
ks_forced ks_verify_path_forced(ks_algorithm algorithm);

#endif
