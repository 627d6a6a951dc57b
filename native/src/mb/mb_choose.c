/*
 * Whether crypto_mb, a kernel of our own or OpenSSL verifies RS256, PS256 and ES384. KEYSTEAD_ENGINE=openssl
 * forbids the library and crypto_mb asks for it; portable forces ES384, which has such a kernel. The name of
 * a kernel that an algorithm has none of leaves its choice alone.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"
#include "mb_library.h"

typedef enum wish { WISH_NONE, WISH_OPENSSL, WISH_PORTABLE, WISH_CRYPTO_MB, WISH_UNKNOWN } wish;

static wish wished = WISH_UNKNOWN;
static pthread_once_t wished_once = PTHREAD_ONCE_INIT;

static void wish_read(void) {
    const char *name = getenv("KEYSTEAD_ENGINE");
    if (name == NULL || *name == '\0' || strcmp(name, "ifma") == 0) {
        wished = WISH_NONE;
    } else if (strcmp(name, "openssl") == 0) {
        wished = WISH_OPENSSL;
    } else if (strcmp(name, "portable") == 0) {
        wished = WISH_PORTABLE;
    } else if (strcmp(name, "crypto_mb") == 0) {
        wished = WISH_CRYPTO_MB;
    }
}

static ks_choice choose_without_library(const ks_mb_paths *of) {
    const ks_engine *engine = of->portable != NULL ? of->portable : of->openssl;
    return (ks_choice){engine, ks_mb_library_refusal(), KS_FORCED_NOT};
}

ks_choice ks_mb_choose(const ks_mb_paths *of) {
    if (pthread_once(&wished_once, wish_read) != 0) {
        return (ks_choice){of->openssl, "the choice could not be made", KS_FORCED_NOT};
    }
    if (wished == WISH_UNKNOWN) {
        return (ks_choice){of->openssl, "KEYSTEAD_ENGINE names no path", KS_FORCED_UNKNOWN};
    }
    if (wished == WISH_OPENSSL) {
        return (ks_choice){of->openssl, "KEYSTEAD_ENGINE=openssl", KS_FORCED};
    }
    if (wished == WISH_PORTABLE && of->portable != NULL) {
        return (ks_choice){of->portable, "KEYSTEAD_ENGINE=portable", KS_FORCED};
    }
    if (wished == WISH_CRYPTO_MB) {
        return ks_mb_library_loaded() != NULL
                   ? (ks_choice){of->with_library, "KEYSTEAD_ENGINE=crypto_mb", KS_FORCED}
                   : (ks_choice){of->openssl, ks_mb_library_refusal(), KS_FORCED};
    }
    if (ks_mb_library_loaded() == NULL) {
        return choose_without_library(of);
    }
    return (ks_choice){of->with_library, "ipp-crypto is installed and runs on this CPU",
                       KS_FORCED_NOT};
}
