/*
 * Eight signatures at a time: the kernel for x86-64 CPUs with AVX-512 IFMA.
 *
 * Compiled with flags of its own (setup.py, native/Makefile); nothing here may run before
 * ks_cpu_has_ifma() said so.
 */
#include "ed25519_kernel.h"

#if (defined(__AVX512F__) && defined(__AVX512IFMA__)) || defined(KS_LANES_EMULATED)

#include "kernel/kernel_lanes.h"

#include "ed25519_field_lanes.h"
#include "ed25519_memory.h"

#include "ed25519_formulas.h"

#define ED25519_AT_ONCE 2u
#include "ed25519_verify.h"

#include "sha512_lanes.h"

const ed25519_kernel ks_ed25519_kernel_ifma = {
    .path = "ifma",
    .lanes = KS_LANES,
    /* Counted from the P-256 kernel's steps, not measured. */
    .costs = {{[KS_WIDE] = 24, [KS_COMB] = 48, [KS_POINT] = 88}},
    .scratch_bytes = ED25519_SCRATCH_BYTES,
    .keys_decode = keys_decode,
    .build_wide = build_wide,
    .build_combs = build_combs,
    .verify_wide = verify_wide,
    .verify_comb = verify_comb,
    .verify_point = verify_point,
    .hash = hash,
};

#else
/* ISO C wants a declaration in every file; another architecture's build has this one. */
typedef int ed25519_kernel_ifma_is_not_built;
#endif
