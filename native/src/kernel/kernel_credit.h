/*
 * How much work the kernels may lose.
 *
 * What a kernel does not find valid is verified again by OpenSSL, so a batch of forgeries would cost
 * both. Hence kernels work on credit: a filling of lanes costs what it takes, each signature that it
 * settles earns the verification that OpenSSL was spared, and without credit OpenSSL works alone. A
 * signature that goes past the kernel earns a little, so that a filling is tried again from time to
 * time: no filling costs more than one verification, or 128, so that is once in 128 forgeries, and they
 * are less than 1 % slower than by OpenSSL alone, plus KS_MOST_CREDIT once. With one valid signature
 * in eight the kernels stay on.
 */
#ifndef KERNEL_CREDIT_H
#define KERNEL_CREDIT_H

#include <stdatomic.h>
#include <stddef.h>

/* What one filling of a kernel's lanes costs, in 128ths of one verification by OpenSSL. */
#define KS_COST_OPENSSL 128u
/* In 128ths as well: eight of them, so that kernels without lanes see forty signatures at once. */
#define KS_MOST_CREDIT 1024

/*
 * An algorithm's credit, shared by all threads, and no secret: it says how many of the last signatures
 * were valid. Below 0 where several threads lost at once what each of them had seen to be there.
 */
typedef atomic_long ks_credit;
#define KS_CREDIT_FULL KS_MOST_CREDIT /* to begin with */

/*
 * How many of `wanted` fillings of `cost` each there is credit for. Nothing is taken yet, so that
 * threads do not keep credit from each other while they work.
 */
size_t ks_credit_for(ks_credit *credit, unsigned cost, size_t wanted);

/* What was earned, less what it cost. */
void ks_credit_settle(ks_credit *credit, long earned);

#endif
