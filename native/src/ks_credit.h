/*
 * How much work a kernel may lose.
 *
 * What a kernel does not find valid is verified again by OpenSSL, so a batch of forgeries would cost
 * both. Hence kernels work on credit: a filling of lanes costs what it takes, each signature that it
 * settles earns the verification that OpenSSL was spared, and without credit OpenSSL works alone. A
 * signature that goes past the kernel earns a little, so that a filling is tried again from time to
 * time. Costs are relative to the algorithm's own verification by OpenSSL, so each has its own credit.
 */
#ifndef KS_CREDIT_H
#define KS_CREDIT_H

#include <stdatomic.h>
#include <stddef.h>

/* One verification by OpenSSL; all costs are in its 128ths, and a signature past the kernel earns one. */
#define KS_COST_OPENSSL 128u
/* Four verifications: what a stream of forgeries can make a kernel lose before the first refusal. */
#define KS_MOST_CREDIT 512

/*
 * Shared by all threads, and no secret: it says how many of the last signatures were valid. Below 0
 * where several threads lost at once what each of them had seen to be there.
 */
typedef struct ks_credit {
    atomic_long balance;
} ks_credit;

#define KS_CREDIT_FULL {KS_MOST_CREDIT}

/*
 * How many of `wanted` fillings of `cost` each there is credit for. Nothing is taken yet, so that
 * threads do not keep credit from each other while they work.
 */
size_t ks_credit_for(ks_credit *credit, unsigned cost, size_t wanted);

/* What was earned, less what it cost. */
void ks_credit_settle(ks_credit *credit, long earned);

#endif
