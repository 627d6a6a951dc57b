/* The kernels for AVX-512 IFMA, compiled over lanes_emulated.h: they run on every CPU, slowly. */
#ifndef EMULATED_H
#define EMULATED_H

#include "ed25519/ed25519_kernel.h"
#include "ks_engine.h"
#include "p256/p256_kernel.h"

extern const p256_kernel p256_kernel_emulated;
extern const ed25519_kernel ed25519_kernel_emulated;

/* What p256_kernel_emulated.build_wide makes, sooner: 26 windows of ten bits (p256_blocks.h). */
#define P256_LIMB_WINDOW_BITS 10u
#define P256_LIMB_WINDOWS 26u
#define P256_LIMB_ENTRIES 512u
int p256_build_limb_table(void *table, const p256_entry *point);

/* An engine with the emulated kernel for Ed25519. */
extern const ks_engine ed25519_emulated;

#endif
