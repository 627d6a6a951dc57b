/*
 * Whether crypto_mb or OpenSSL verifies RS256, PS256 and ES384. KEYSTEAD_ENGINE=openssl forbids the
 * library and crypto_mb asks for it; the names of ES256's kernels leave the choice alone.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"
#include "mb_library.h"

typedef enum wish { WISH_NONE, WISH_OPENSSL, WISH_CRYPTO_MB, WISH_UNKNOWN } wish;

static wish wished = WISH_UNKNOWN;
static pthread_once_t wished_once = PTHREAD_ONCE_INIT;

static void wish_read(void) {
    const char *name = getenv("KEYSTEAD_ENGINE");
    if (name == NULL || *name == '\0' || strcmp(name, "portable") == 0 ||
        strcmp(name, "ifma") == 0) {
        wished = WISH_NONE;
    } else if (strcmp(name, "openssl") == 0) {
        wished = WISH_OPENSSL;
    } else if (strcmp(name, "crypto_mb") == 0) {
        wished = WISH_CRYPTO_MB;
    }
}

ks_choice ks_mb_choose(const ks_engine *with, const ks_engine *openssl) {
    if (pthread_once(&wished_once, wish_read) != 0) {
        return (ks_choice){openssl, "the choice could not be made", KS_FORCED_NOT};
    }
    if (wished == WISH_UNKNOWN) {
        return (ks_choice){openssl, "KEYSTEAD_ENGINE names no path", KS_FORCED_UNKNOWN};
    }
    if (wished == WISH_OPENSSL) {
        return (ks_choice){openssl, "KEYSTEAD_ENGINE=openssl", KS_FORCED};
    }
    ks_forced forced = wished == WISH_CRYPTO_MB ? KS_FORCED : KS_FORCED_NOT;
    if (ks_mb_library_loaded() == NULL) {
        return (ks_choice){openssl, ks_mb_library_refusal(), forced};
    }
    return (ks_choice){
        with, forced ? "KEYSTEAD_ENGINE=crypto_mb" : "ipp-crypto is installed and runs on this CPU",
        forced};
}
