/* One signature at a time: for CPUs without IFMA. */
#include "kernel/kernel_one_lane.h"

#include "ed25519_field_portable.h"
#include "ed25519_memory.h"

#include "ed25519_formulas.h"

#define ED25519_AT_ONCE 1u
#include "ed25519_verify.h"

const ed25519_kernel ks_ed25519_kernel_portable = {
    .path = "portable",
    .lanes = KS_LANES,
    .costs = {{[KS_WIDE] = 10, [KS_COMB] = 25, [KS_POINT] = 54}}, /* bench/ed25519.c */
    .scratch_bytes = ED25519_SCRATCH_BYTES,
    .keys_decode = keys_decode,
    .build_wide = build_wide,
    .build_combs = build_combs,
    .verify_wide = verify_wide,
    .verify_comb = verify_comb,
    .verify_point = verify_point,
};
