#include "kernel_run.h"

/* The items of a run that go one way. */
typedef struct group {
    size_t places[KS_MOST_JOBS];
    size_t count;
} group;

void ks_runner_close(ks_runner *self) {
    if (self->scheme != NULL) {
        self->scheme->openssl->worker_close(self->openssl);
    }
}

/* Fillings that are cheaper than OpenSSL: the last one may have too few signatures for that. */
static size_t fillings_of(size_t count, unsigned lanes, unsigned cost) {
    return count / lanes + (count % lanes * KS_COST_OPENSSL > cost);
}

/* What credit does not pay for, or too few lanes would share, stays for OpenSSL. */
static void group_verify(const ks_runner *self, void *worker, ks_way way, const group *all,
                         const uint8_t *verdicts) {
    ks_credit *credit = self->scheme->credit;
    unsigned lanes = self->lanes, cost = self->costs.of[way];
    for (size_t done = 0; done < all->count;) {
        size_t left = all->count - done;
        size_t fillings = ks_credit_for(credit, cost, fillings_of(left, lanes, cost));
        if (fillings == 0) {
            ks_credit_settle(credit, (long)left);
            return;
        }
        size_t count = fillings * lanes < left ? fillings * lanes : left, valid = 0;
        self->scheme->jobs_verify(worker, way, all->places + done, count);
        for (size_t i = done; i < done + count; i++) {
            valid += verdicts[all->places[i]];
        }
        ks_credit_settle(credit, (long)(valid * KS_COST_OPENSSL) - (long)(fillings * cost));
        done += count;
    }
}

static ks_status openssl_verify(ks_runner *self, void *key, const ks_verify_item *item,
                                uint8_t *verdict) {
    const ks_scheme *scheme = self->scheme;
    if (self->openssl == NULL) {
        self->openssl = scheme->openssl->worker_open(scheme->algorithm);
    }
    void *for_openssl = scheme->key_openssl(key);
    if (self->openssl == NULL) {
        return KS_E_MEMORY;
    }
    if (for_openssl == NULL) {
        return KS_OK; /* and the verdict stays 0, as for any key that OpenSSL does not take */
    }
    ks_verify_item alone = {item->message, item->signature, 0};
    return scheme->openssl->verify(self->openssl, &for_openssl, &alone, 1, verdict);
}

static ks_status run_verify(ks_runner *self, void *worker, void *const *keys,
                            const ks_verify_item *items, size_t count, uint8_t *verdicts) {
    group groups[KS_KERNEL_WAYS];
    ks_way ways[KS_MOST_JOBS];
    for (int way = 0; way < KS_KERNEL_WAYS; way++) {
        groups[way].count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        void *key = keys[items[i].key];
        ways[i] = key == NULL ? KS_REFUSED
                              : self->scheme->job_read(worker, i, key, &items[i], &verdicts[i]);
        if (ways[i] < KS_KERNEL_WAYS) {
            group *to = &groups[ways[i]];
            to->places[to->count++] = i;
        }
    }
    for (int way = 0; way < KS_KERNEL_WAYS; way++) {
        group_verify(self, worker, (ks_way)way, &groups[way], verdicts);
    }
    ks_status status = KS_OK;
    for (size_t i = 0; i < count && status == KS_OK; i++) {
        if (ways[i] != KS_REFUSED && verdicts[i] == 0) {
            status = openssl_verify(self, keys[items[i].key], &items[i], &verdicts[i]);
        }
        if (verdicts[i] == 1 && (ways[i] == KS_POINT || ways[i] == KS_OPENSSL)) {
            self->scheme->key_proved(keys[items[i].key]);
        }
    }
    return status;
}

ks_status ks_runner_verify(ks_runner *self, void *worker, void *const *keys,
                           const ks_verify_item *items, size_t count, uint8_t *verdicts) {
    ks_status status = KS_OK;
    for (size_t from = 0; from < count && status == KS_OK; from += KS_MOST_JOBS) {
        size_t run = count - from < KS_MOST_JOBS ? count - from : KS_MOST_JOBS;
        status = run_verify(self, worker, keys, items + from, run, verdicts + from);
    }
    return status;
}
