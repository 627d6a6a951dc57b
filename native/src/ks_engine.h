/*
 * What one way of verifying provides. An engine sees runs of items, not single ones, so that a
 * kernel with several lanes can fill them.
 */
#ifndef KS_ENGINE_H
#define KS_ENGINE_H

#include "ks_verify.h"

extern const char ks_key_no_memory;
#define KS_KEY_NO_MEMORY ((void *)(uintptr_t)&ks_key_no_memory)

typedef struct ks_engine {
    const char *path; /* what ks_verify_path says */

    /*
     * The key ready for use, immutable and shared by all threads; NULL if it is unsuitable, or
     * KS_KEY_NO_MEMORY where that could not be seen, which is no key and is never closed.
     * `parameters` outlives the key; `uses` is how many items of the batch name it.
     */
    void *(*key_open)(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses);
    /* Once for each run of opened keys, some of them NULL, by the thread that opened them: what is
     * cheaper for many keys at once. May be NULL. */
    void (*keys_ready)(void *const *keys, size_t count);
    void (*key_close)(void *key); /* accepts NULL */

    /* One thread's scratch; NULL if there is no memory. */
    void *(*worker_open)(ks_algorithm algorithm);
    void (*worker_close)(void *worker); /* accepts NULL */

    /*
     * `keys` is the whole table; `verdicts` come in as 0, and only a valid item's becomes 1. KS_OK, or
     * KS_E_MEMORY if some verdicts are not meant.
     */
    KS_MUST_CHECK ks_status (*verify)(void *worker, void *const *keys, const ks_verify_item *items,
                                      size_t count, uint8_t *verdicts);
} ks_engine;

extern const ks_engine ks_ecdsa_openssl;   /* ES256, ES384, ES512 */
extern const ks_engine ks_ed25519_openssl; /* Ed25519 */
extern const ks_engine ks_rsa_openssl;     /* RS256, PS256 */

/* A key of ks_ecdsa_openssl, for whoever has made sure himself that it is a point in its full length; one
 * that is none verifies nothing. */
static inline void *ks_ecdsa_key(const ks_public_key *parameters) {
    return (void *)(uintptr_t)parameters;
}

extern const ks_engine ks_rsa_mb;   /* RS256, PS256, for when ks_mb_load has loaded the library */
extern const ks_engine ks_es384_mb; /* ES384, likewise */

extern const ks_engine ks_es256_portable; /* for every CPU */
extern const ks_engine ks_es384_portable;
extern const ks_engine ks_ed25519_portable;
#if defined(__x86_64__)
extern const ks_engine ks_es256_ifma; /* for those of which ks_cpu_has_ifma is true */
extern const ks_engine ks_ed25519_ifma;
#endif

/* Which engine verifies an algorithm on this machine, and why; the engine is NULL if none does. */
typedef struct ks_choice {
    const ks_engine *engine;
    const char *reason; /* a static string */
    ks_forced forced;
} ks_choice;

ks_choice ks_engine_choose(ks_algorithm algorithm);
/* The engines of an algorithm that crypto_mb has; `portable` is NULL if we have none of our own. */
typedef struct ks_mb_paths {
    const ks_engine *openssl, *portable, *with_library;
} ks_mb_paths;

/* The library where it is loaded, or else `portable`, or OpenSSL. */
ks_choice ks_mb_choose(const ks_mb_paths *of);
int ks_cpu_has_ifma(void);

#endif
