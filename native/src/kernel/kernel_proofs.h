/*
 * Keys under which a signature was valid, for algorithms whose combs are built before a batch is verified.
 * A proof is used up by the comb that is built on it, so that forgeries alone build none, and valid
 * signatures pay for the combs of their own keys.
 */
#ifndef KERNEL_PROOFS_H
#define KERNEL_PROOFS_H

#include <stdatomic.h>
#include <stdint.h>

/* With one to a set, two keys that come in turns would push each other out each time. */
#define KS_PROOF_SLOTS 4u
#define KS_PROOF_SETS 2048u

/* Some word of each key. A fifth key of a set pushes one out, which costs that one its comb for a while. */
typedef struct ks_proofs {
    _Atomic(uint64_t) keys[KS_PROOF_SETS][KS_PROOF_SLOTS];
} ks_proofs;

void ks_proof_give(ks_proofs *proofs, uint64_t key);

/* 1 and the proof is gone, or 0 if there was none. */
int ks_proof_take(ks_proofs *proofs, uint64_t key);

#endif
