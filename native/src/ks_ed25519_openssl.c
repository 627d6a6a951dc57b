/* Ed25519 (RFC 8032, RFC 8037) with OpenSSL's EVP interface. */
#include <openssl/evp.h>

#include "ks_engine.h"

#define KEY_BYTES 32u
#define SIGNATURE_BYTES 64u

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)uses;
    (void)algorithm;
    if (parameters->first.size != KEY_BYTES || parameters->second.size != 0) {
        return NULL;
    }
    /* Thirty-two octets that are no point are refused at each verification. */
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, parameters->first.data, KEY_BYTES);
}

static void key_close(void *key) {
    EVP_PKEY_free(key);
}

static void *worker_open(ks_algorithm algorithm) {
    (void)algorithm;
    return EVP_MD_CTX_new();
}

static void worker_close(void *worker) {
    EVP_MD_CTX_free(worker);
}

static int verify_one(EVP_MD_CTX *state, EVP_PKEY *key, const ks_verify_item *item) {
    if (key == NULL || item->signature.size != SIGNATURE_BYTES) {
        return 0;
    }
    /* Without the reset, EVP_DigestVerifyInit would keep the key of the item before and ignore ours. */
    return EVP_MD_CTX_reset(state) == 1 &&
           EVP_DigestVerifyInit(state, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(state, item->signature.data, item->signature.size, item->message.data,
                            item->message.size) == 1;
}

static ks_status verify(void *worker, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = (uint8_t)verify_one(worker, keys[items[i].key], &items[i]);
    }
    return KS_OK;
}

const ks_engine ks_ed25519_openssl = {
    .path = "openssl",
    .key_open = key_open,
    .key_close = key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
