/* Loading crypto_mb: what loads, what does not and why, and files that are not what they say. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ks_mb.h"
#include "ks_verify.h"
#include "mb/mb_image.h"
#include "mb/mb_library.h"

/* The fakes are built beside the folder of this program. */
static void fake_path(char path[PATH_MAX], const char *name) {
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 64);
    CHECK(length > 0);
    for (int up = 0; up < 2; up++) {
        while (length > 0 && path[--length] != '/') {
        }
    }
    CHECK(snprintf(path + length, 64, "/fakes/%s.so", name) > 0);
}

static void check_refusals(void) {
    static const struct {
        const char *name, *refusal;
    } refusals[] = {
        {"inapplicable", "libcrypto_mb does not run on this CPU"},
        {"incomplete", "libcrypto_mb lacks a function"},
        {"yes_man", "libcrypto_mb fails its self-test"},
        {"absent", "libcrypto_mb cannot be read"},
    };
    char path[PATH_MAX];
    mb_library library;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        fake_path(path, refusals[i].name);
        const char *refusal = ks_mb_library_open(&library, path);
        CHECK(refusal != NULL && strcmp(refusal, refusals[i].refusal) == 0);
        CHECK(library.handle == NULL);
    }
    CHECK(ks_mb_library_open(&library, "libcrypto.so.3") != NULL); /* which a search would find */
    CHECK(ks_mb_library_open(&library, "") != NULL);
    CHECK(ks_mb_library_open(&library, "/dev/zero") != NULL);
    CHECK(ks_mb_library_open(&library, "/") != NULL);
}

static mb_image_status image_of(const uint8_t *data, size_t size) {
    char path[] = "/tmp/keystead-image-XXXXXX";
    int image, file = mkstemp(path);
    CHECK(file >= 0 && write(file, data, size) == (ssize_t)size && close(file) == 0);
    mb_image_status status = ks_mb_image_open(path, &image);
    CHECK((status == MB_IMAGE_OK) == (image >= 0));
    CHECK(unlink(path) == 0 && (image < 0 || close(image) == 0));
    return status;
}

/* Cut short anywhere, and with each octet of its headers bent: refused or taken, never read outside. */
static void check_spoilt_images(void) {
    static uint8_t data[1u << 18];
    char path[PATH_MAX];
    fake_path(path, "honest");
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t size = fread(data, 1, sizeof data, file);
    CHECK(size > 4096 && size < sizeof data && fclose(file) == 0);
    CHECK(image_of(data, size) == MB_IMAGE_OK);
    for (size_t cut = 0; cut < 1024; cut += 13) {
        CHECK(image_of(data, cut) != MB_IMAGE_OK);
    }
    for (size_t cut = 1024; cut < size; cut += 509) {
        (void)image_of(data, cut);
    }
    for (size_t at = 0; at < 64 + 12 * 56; at++) {
        uint8_t was = data[at];
        data[at] = (uint8_t)~was;
        (void)image_of(data, size);
        data[at] = was;
    }
    for (size_t at = 0; at < 6; at++) {
        data[at] ^= 1;
        CHECK(image_of(data, size) == MB_IMAGE_NOT_ELF);
        data[at] ^= 1;
    }
}

static void check_paths(const char *rsa_path, const char *es384_path, const char *reason) {
    static const ks_algorithm algorithms[] = {KS_RS256, KS_PS256, KS_ES384};
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        const char *path = algorithms[i] == KS_ES384 ? es384_path : rsa_path;
        CHECK(strcmp(ks_verify_path(algorithms[i]), path) == 0);
        CHECK(strcmp(ks_verify_path_reason(algorithms[i]), reason) == 0);
        CHECK(ks_verify_path_forced(algorithms[i]) == KS_FORCED_NOT);
    }
}

void test_mb_library(void) {
    char path[PATH_MAX];
    check_refusals();
    check_spoilt_images();
    CHECK(ks_mb_library_loaded() == NULL);
    check_paths("openssl", "portable", ks_mb_suits_cpu() ? "ipp-crypto is not installed"
                                                         : "this CPU has no AVX-512 IFMA");
    fake_path(path, "honest");
    ks_mb_load(path);
    check_paths("crypto_mb", "crypto_mb", "ipp-crypto is installed and runs on this CPU");
    ks_mb_load("/nowhere"); /* the first call has decided */
    check_paths("crypto_mb", "crypto_mb", "ipp-crypto is installed and runs on this CPU");
}
