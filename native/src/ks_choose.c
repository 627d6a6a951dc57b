/*
 * Which engine verifies what. The CPU decides, once a process; KEYSTEAD_ENGINE=openssl, portable or
 * ifma forces the algorithms that have kernels onto one path, for tests and for comparing; mb/mb_choose.c
 * has the other algorithms whose path can be forced.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"

/* The engines of an algorithm that has kernels. */
typedef struct paths {
    const ks_engine *openssl, *portable, *ifma; /* `ifma` is NULL on other architectures */
} paths;

#if defined(__x86_64__)
static const paths es256_paths = {&ks_ecdsa_openssl, &ks_es256_portable, &ks_es256_ifma};
static const paths ed25519_paths = {&ks_ed25519_openssl, &ks_ed25519_portable, &ks_ed25519_ifma};
#else
static const paths es256_paths = {&ks_ecdsa_openssl, &ks_es256_portable, NULL};
static const paths ed25519_paths = {&ks_ed25519_openssl, &ks_ed25519_portable, NULL};
#endif

static const ks_mb_paths es384_paths = {&ks_ecdsa_openssl, &ks_es384_portable, &ks_es384_mb};
static const ks_mb_paths rsa_paths = {&ks_rsa_openssl, NULL, &ks_rsa_mb};

static ks_choice es256, ed25519;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

int ks_cpu_has_ifma(void) {
#if defined(__x86_64__)
    /* Also asks whether the operating system saves the registers. */
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

static int runs_ifma(const paths *of) {
    return of->ifma != NULL && ks_cpu_has_ifma();
}

static ks_choice choose_forced(const paths *of, const char *name) {
    if (strcmp(name, "openssl") == 0) {
        return (ks_choice){of->openssl, "KEYSTEAD_ENGINE=openssl", KS_FORCED};
    }
    if (strcmp(name, "portable") == 0) {
        return (ks_choice){of->portable, "KEYSTEAD_ENGINE=portable", KS_FORCED};
    }
    if (strcmp(name, "ifma") == 0 && runs_ifma(of)) {
        return (ks_choice){of->ifma, "KEYSTEAD_ENGINE=ifma", KS_FORCED};
    }
    if (strcmp(name, "ifma") == 0) {
        return (ks_choice){of->openssl, "KEYSTEAD_ENGINE=ifma does not run on this CPU", KS_FORCED};
    }
    return (ks_choice){of->openssl, "KEYSTEAD_ENGINE names no path", KS_FORCED_UNKNOWN};
}

static ks_choice choose(const paths *of) {
    const char *forced = getenv("KEYSTEAD_ENGINE");
    /* crypto_mb is the name of a path that these do not have. */
    if (forced != NULL && *forced != '\0' && strcmp(forced, "crypto_mb") != 0) {
        return choose_forced(of, forced);
    }
    if (runs_ifma(of)) {
        return (ks_choice){of->ifma, "this CPU has AVX-512 IFMA", KS_FORCED_NOT};
    }
    return (ks_choice){of->portable, "this CPU has no AVX-512 IFMA", KS_FORCED_NOT};
}

static void choose_all(void) {
    es256 = choose(&es256_paths);
    ed25519 = choose(&ed25519_paths);
}

static ks_choice chosen(const ks_choice *among, const paths *of) {
    if (pthread_once(&chosen_once, choose_all) != 0) {
        return (ks_choice){of->openssl, "the choice could not be made", KS_FORCED_NOT};
    }
    return *among;
}

ks_choice ks_engine_choose(ks_algorithm algorithm) {
    static const char no_kernel[] = "there is no kernel for this algorithm";
    switch (algorithm) {
    case KS_ES256:
        return chosen(&es256, &es256_paths);
    case KS_ED25519:
        return chosen(&ed25519, &ed25519_paths);
    case KS_ES384:
        return ks_mb_choose(&es384_paths);
    case KS_ES512:
        return (ks_choice){&ks_ecdsa_openssl, no_kernel, KS_FORCED_NOT};
    case KS_RS256:
    case KS_PS256:
        return ks_mb_choose(&rsa_paths);
    }
    return (ks_choice){NULL, NULL, KS_FORCED_NOT};
}
