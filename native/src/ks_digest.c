#include "ks_digest.h"

int ks_digest_open(ks_digest *digest, const char *name) {
    digest->kind = EVP_MD_fetch(NULL, name, NULL);
    digest->state = EVP_MD_CTX_new();
    if (digest->kind != NULL && digest->state != NULL) {
        return 1;
    }
    ks_digest_close(digest);
    return 0;
}

void ks_digest_close(ks_digest *digest) {
    EVP_MD_CTX_free(digest->state);
    EVP_MD_free(digest->kind);
    digest->state = NULL;
    digest->kind = NULL;
}

int ks_digest_compute(ks_digest *digest, ks_view message, uint8_t out[EVP_MAX_MD_SIZE],
                      unsigned *size) {
    return ks_digest_compute_parts(digest, &message, 1, out, size);
}

int ks_digest_compute_parts(ks_digest *digest, const ks_view *parts, size_t count,
                            uint8_t out[EVP_MAX_MD_SIZE], unsigned *size) {
    if (EVP_DigestInit_ex(digest->state, digest->kind, NULL) != 1) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (EVP_DigestUpdate(digest->state, parts[i].data, parts[i].size) != 1) {
            return 0;
        }
    }
    return EVP_DigestFinal_ex(digest->state, out, size) == 1;
}
