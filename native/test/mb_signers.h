/* Keys and signatures for the tests of the engines on crypto_mb, made by OpenSSL. */
#ifndef MB_SIGNERS_H
#define MB_SIGNERS_H

#include <openssl/evp.h>

#include "ks_verify.h"

#define SIGNER_MOST_OCTETS 520u

typedef struct signer {
    ks_algorithm algorithm;
    EVP_PKEY *key;
    uint8_t first[SIGNER_MOST_OCTETS];
    uint8_t second[SIGNER_MOST_OCTETS];
    ks_public_key parameters;
} signer;

typedef struct signed_item {
    uint8_t message[8];
    uint8_t signature[SIGNER_MOST_OCTETS];
    ks_verify_item item; /* of the two above; its key is 0 */
} signed_item;

/* `bits` and `exponent` of RSA; a curve has neither. */
void signer_open(signer *self, ks_algorithm algorithm, unsigned bits, unsigned long exponent);
void signer_close(signer *self);

/* Signs the number `counter`; `salt` octets of it in PS256. */
void signer_sign_salted(const signer *self, uint64_t counter, int salt, signed_item *into);
void signer_sign(const signer *self, uint64_t counter, signed_item *into);

#endif
