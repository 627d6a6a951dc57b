#include "lanes_emulated.h"

#include "emulated.h"

#include "ed25519/ed25519_engine.h"
#include "ed25519/ed25519_key.h"

#define ks_ed25519_kernel_ifma ed25519_kernel_emulated
#include "ed25519/ed25519_kernel_ifma.c"

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)algorithm;
    return ks_ed25519_key_open(&ed25519_kernel_emulated, parameters, uses);
}

static void *worker_open(ks_algorithm algorithm) {
    (void)algorithm;
    return ks_ed25519_worker_open(&ed25519_kernel_emulated);
}

const ks_engine ed25519_emulated = {
    .path = "emulated",
    .key_open = key_open,
    .keys_ready = ks_ed25519_keys_ready,
    .key_close = ks_ed25519_key_close,
    .worker_open = worker_open,
    .worker_close = ks_ed25519_worker_close,
    .verify = ks_ed25519_verify,
};
