#include "mb_lanes.h"

/* Fillings that are cheaper than OpenSSL: the last one may have too few signatures for that. */
static size_t fillings_of(size_t count, unsigned cost) {
    return count / MB_LANES + (count % MB_LANES * KS_COST_OPENSSL > cost);
}

static size_t jobs_verify(const mb_job *jobs, size_t count, mb_filling *fill, void *worker) {
    size_t valid = 0;
    for (size_t done = 0; done < count; done += MB_LANES) {
        fill(worker, jobs + done, count - done < MB_LANES ? count - done : MB_LANES);
    }
    for (size_t i = 0; i < count; i++) {
        valid += *jobs[i].verdict;
    }
    return valid;
}

void ks_mb_group_verify(const mb_group *group, ks_credit *credit, unsigned cost, mb_filling *fill,
                        void *worker) {
    for (size_t done = 0; done < group->count;) {
        size_t left = group->count - done;
        size_t fillings = ks_credit_for(credit, cost, fillings_of(left, cost));
        if (fillings == 0) {
            ks_credit_settle(credit, (long)left);
            return;
        }
        size_t count = fillings * MB_LANES < left ? fillings * MB_LANES : left;
        size_t valid = jobs_verify(group->jobs + done, count, fill, worker);
        ks_credit_settle(credit, (long)(valid * KS_COST_OPENSSL) - (long)(fillings * cost));
        done += count;
    }
}
