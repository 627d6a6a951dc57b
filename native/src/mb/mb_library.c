/* Loading crypto_mb. What does not load is not there: OpenSSL verifies, and the reason says so. */
#include "mb_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ks_engine.h"
#include "ks_mb.h"
#include "mb_image.h"
#include "mb_known.h"

/* --- trying it ---------------------------------------------------------------------------------- */

/*
 * ES384's verdicts are the library's own, so it must show that it tells good from bad in each lane:
 * every second lane gets the signature with another r. RSA needs no test, its results are compared.
 */
static int tells_good_from_bad(const mb_library *library) {
    uint64_t x_words[MB_P384_WORDS], y_words[MB_P384_WORDS];
    uint8_t bent_r[MB_P384_OCTETS];
    const uint8_t *r[MB_LANES], *s[MB_LANES], *digest[MB_LANES];
    const uint64_t *x[MB_LANES], *y[MB_LANES];
    mb_words_read(x_words, known_x, sizeof known_x);
    mb_words_read(y_words, known_y, sizeof known_y);
    memcpy(bent_r, known_r, sizeof bent_r);
    bent_r[sizeof bent_r - 1] ^= 1;
    for (size_t bent = 0; bent < 2; bent++) {
        for (size_t lane = 0; lane < MB_LANES; lane++) {
            r[lane] = lane % 2 == bent ? bent_r : known_r;
            s[lane] = known_s;
            digest[lane] = known_digest;
            x[lane] = x_words;
            y[lane] = y_words;
        }
        mb_status status = library->es384_verify(r, s, digest, x, y, NULL, NULL);
        for (size_t lane = 0; lane < MB_LANES; lane++) {
            if (mb_lane_is_good(status, lane) != (lane % 2 != bent)) {
                return 0;
            }
        }
    }
    return 1;
}

/* --- opening it --------------------------------------------------------------------------------- */

static int function_find(void *handle, const char *name, void *function) {
    void *found = dlsym(handle, name);
    memcpy(function, &found, sizeof found); /* POSIX: a function's address fits a void * */
    return found != NULL;
}

static int functions_find(mb_library *library) {
    void *in = library->handle;
    return function_find(in, "mbx_is_crypto_mb_applicable", &library->applicable) &&
           function_find(in, "mbx_RSA_pub65537_Method", &library->rsa_method) &&
           function_find(in, "mbx_RSA_Method_BufSize", &library->rsa_scratch_bytes) &&
           function_find(in, "mbx_rsa_public_mb8", &library->rsa_public) &&
           function_find(in, "mbx_nistp384_ecdsa_verify_mb8", &library->es384_verify);
}

static const char *handle_open(mb_library *library, const char *path) {
    char name[sizeof "/proc/self/fd/-2147483648"];
    int image;
    if (path[0] != '/') {
        return "the path of libcrypto_mb is not absolute"; /* and dlopen would search for a name */
    }
    switch (ks_mb_image_open(path, &image)) {
    case MB_IMAGE_UNREADABLE:
        return "libcrypto_mb cannot be read";
    case MB_IMAGE_NOT_ELF:
        return "libcrypto_mb is no library of this machine's kind";
    case MB_IMAGE_OK:
        break;
    }
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", image);
    library->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    (void)close(image);
    return library->handle == NULL ? "the system refuses to load libcrypto_mb" : NULL;
}

const char *ks_mb_library_open(mb_library *library, const char *path) {
    *library = (mb_library){0};
    const char *refusal = handle_open(library, path);
    if (refusal != NULL) {
        return refusal;
    }
    if (!functions_find(library)) {
        refusal = "libcrypto_mb lacks a function";
    } else if (library->applicable(0) == 0) {
        refusal = "libcrypto_mb does not run on this CPU";
    } else if (!tells_good_from_bad(library)) {
        refusal = "libcrypto_mb fails its self-test";
    }
    if (refusal != NULL) {
        (void)dlclose(library->handle);
        *library = (mb_library){0};
    }
    return refusal;
}

/* --- the process's own -------------------------------------------------------------------------- */

static mb_library the_library; /* written before `loaded` points to it, immutable afterwards */
static _Atomic(const mb_library *) loaded;
static _Atomic(const char *) refused; /* NULL until ks_mb_load was called */

int ks_mb_suits_cpu(void) {
    return ks_cpu_has_ifma();
}

void ks_mb_load(const char *path) {
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&once);
    if (atomic_load(&loaded) == NULL && atomic_load(&refused) == NULL) {
        const char *refusal = ks_mb_library_open(&the_library, path);
        atomic_store(&refused, refusal);
        atomic_store(&loaded, refusal == NULL ? &the_library : NULL);
    }
    (void)pthread_mutex_unlock(&once);
}

const mb_library *ks_mb_library_loaded(void) {
    return atomic_load(&loaded);
}

const char *ks_mb_library_refusal(void) {
    const char *refusal = atomic_load(&refused);
    if (refusal != NULL) {
        return refusal;
    }
    return ks_cpu_has_ifma() ? "ipp-crypto is not installed" : "this CPU has no AVX-512 IFMA";
}
