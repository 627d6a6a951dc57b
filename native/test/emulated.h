/* The kernels for AVX-512 IFMA, compiled over lanes_emulated.h: they run on every CPU, slowly. */
#ifndef EMULATED_H
#define EMULATED_H

#include "ed25519/ed25519_kernel.h"
#include "ks_engine.h"
#include "p256/p256_kernel.h"

extern const p256_kernel p256_kernel_emulated;
extern const ed25519_kernel ed25519_kernel_emulated;

/* An engine with the latter. */
extern const ks_engine ed25519_emulated;

#endif
