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
    return EVP_DigestInit_ex(digest->state, digest->kind, NULL) == 1 &&
           EVP_DigestUpdate(digest->state, message.data, message.size) == 1 &&
           EVP_DigestFinal_ex(digest->state, out, size) == 1;
}
