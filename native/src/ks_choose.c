/*
 * Which engine verifies what. The CPU decides, once a process; KEYSTEAD_ENGINE=openssl, portable or
 * ifma forces ES256 onto one path, for tests and for comparing; mb/mb_choose.c has the other algorithms
 * whose path can be forced.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"

static ks_choice es256;
static pthread_once_t es256_once = PTHREAD_ONCE_INIT;

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

static const ks_engine *engine_ifma(void) {
#if defined(__x86_64__)
    return ks_cpu_has_ifma() ? &ks_es256_ifma : NULL;
#else
    return NULL;
#endif
}

static ks_choice choose_forced(const char *name) {
    if (strcmp(name, "openssl") == 0) {
        return (ks_choice){&ks_ecdsa_openssl, "KEYSTEAD_ENGINE=openssl", KS_FORCED};
    }
    if (strcmp(name, "portable") == 0) {
        return (ks_choice){&ks_es256_portable, "KEYSTEAD_ENGINE=portable", KS_FORCED};
    }
    if (strcmp(name, "ifma") == 0 && engine_ifma() != NULL) {
        return (ks_choice){engine_ifma(), "KEYSTEAD_ENGINE=ifma", KS_FORCED};
    }
    if (strcmp(name, "ifma") == 0) {
        return (ks_choice){&ks_ecdsa_openssl, "KEYSTEAD_ENGINE=ifma does not run on this CPU",
                           KS_FORCED};
    }
    return (ks_choice){&ks_ecdsa_openssl, "KEYSTEAD_ENGINE names no path", KS_FORCED_UNKNOWN};
}

static void choose_es256(void) {
    const char *forced = getenv("KEYSTEAD_ENGINE");
    /* crypto_mb is the name of a path that ES256 does not have. */
    if (forced != NULL && *forced != '\0' && strcmp(forced, "crypto_mb") != 0) {
        es256 = choose_forced(forced);
    } else if (engine_ifma() != NULL) {
        es256 = (ks_choice){engine_ifma(), "this CPU has AVX-512 IFMA", KS_FORCED_NOT};
    } else {
        es256 = (ks_choice){&ks_es256_portable, "this CPU has no AVX-512 IFMA", KS_FORCED_NOT};
    }
}

ks_choice ks_engine_choose(ks_algorithm algorithm) {
    static const char no_kernel[] = "there is no kernel for this algorithm";
    switch (algorithm) {
    case KS_ES256:
        if (pthread_once(&es256_once, choose_es256) != 0) {
            return (ks_choice){&ks_ecdsa_openssl, "the choice could not be made", KS_FORCED_NOT};
        }
        return es256;
    case KS_ES384:
        return ks_mb_choose(&ks_es384_mb, &ks_ecdsa_openssl);
    case KS_ES512:
        return (ks_choice){&ks_ecdsa_openssl, no_kernel, KS_FORCED_NOT};
    case KS_ED25519:
        return (ks_choice){&ks_ed25519_openssl, no_kernel, KS_FORCED_NOT};
    case KS_RS256:
    case KS_PS256:
        return ks_mb_choose(&ks_rsa_mb, &ks_rsa_openssl);
    }
    return (ks_choice){NULL, NULL, KS_FORCED_NOT};
}
