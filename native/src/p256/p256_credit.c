#include "p256_credit.h"

#include "ks_credit.h"

_Static_assert(P256_MOST_CREDIT == KS_MOST_CREDIT, "one bound for all algorithms");

static ks_credit credit = KS_CREDIT_FULL;

size_t ks_p256_credit_for(unsigned cost, size_t wanted) {
    return ks_credit_for(&credit, cost, wanted);
}

void ks_p256_credit_settle(long earned) {
    ks_credit_settle(&credit, earned);
}
