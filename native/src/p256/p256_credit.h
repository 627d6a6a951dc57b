/*
 * How much work the kernels may lose.
 *
 * What a kernel does not find valid is verified again by OpenSSL, so a batch of forgeries would cost
 * both. Hence kernels work on credit: a filling of lanes costs what it takes, each signature that it
 * settles earns the verification that OpenSSL was spared, and without credit OpenSSL works alone. A
 * signature that goes past the kernel earns a little, so that a filling is tried again from time to
 * time: no filling costs more than one verification, or 128, so that is once in 128 forgeries, and they
 * are less than 1 % slower than by OpenSSL alone, plus P256_MOST_CREDIT once. With one valid signature
 * in eight the kernels stay on.
 */
#ifndef P256_CREDIT_H
#define P256_CREDIT_H

#include <stddef.h>

/* In 128ths of a verification by OpenSSL, as all costs: four of them, or 32 keys never seen before. */
#define P256_MOST_CREDIT 512

/*
 * How many of `wanted` fillings of `cost` each there is credit for. Nothing is taken yet, so that
 * threads do not keep credit from each other while they work.
 */
size_t ks_p256_credit_for(unsigned cost, size_t wanted);

/* What was earned, less what it cost. */
void ks_p256_credit_settle(long earned);

#endif
