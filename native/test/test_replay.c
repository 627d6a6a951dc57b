/* The table of proofs that were seen: its rules, its bounds, and many threads on one table. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ks_replay.h"
#include "replay/replay_siphash.h"

#define NOW INT64_C(1750000000)

static ks_view view_of(const char *text) {
    return (ks_view){(const uint8_t *)text, strlen(text)};
}

static ks_view number_view(const uint32_t *number) {
    return (ks_view){(const uint8_t *)number, sizeof *number};
}

static ks_replay *open_table(size_t capacity, int64_t not_before) {
    ks_replay *table = ks_replay_open(capacity, not_before);
    CHECK(table != NULL);
    return table;
}

static ks_replay_verdict use(ks_replay *table, const char *jti, int64_t first, int64_t last,
                             int64_t now) {
    return ks_replay_remember(table, view_of("jkt"), view_of(jti), first, last, now);
}

static ks_replay_verdict use_number(ks_replay *table, uint32_t number, int64_t last, int64_t now) {
    return ks_replay_remember(table, view_of("jkt"), number_view(&number), 0, last, now);
}

/* --- rules -------------------------------------------------------------------------------------- */

static void check_capacities(void) {
    CHECK(ks_replay_open(0, 0) == NULL);
    CHECK(ks_replay_open(KS_MAX_REPLAY + 1, 0) == NULL);
    ks_replay_close(open_table(1, 0));
    ks_replay_close(open_table(KS_MAX_REPLAY, 0));
    ks_replay_close(NULL);
}

static void check_the_order_of_the_checks(void) {
    ks_replay *table = open_table(2, NOW);
    CHECK(use(table, "a", NOW - 1, NOW + 9, NOW) == KS_REPLAY_TOO_OLD);
    CHECK(ks_replay_count(table) == 0);
    CHECK(use(table, "a", NOW, NOW + 9, NOW) == KS_REPLAY_NEW);
    CHECK(use(table, "a", NOW - 1, NOW + 9, NOW) == KS_REPLAY_TOO_OLD);
    CHECK(use(table, "a", NOW, NOW + 9, NOW) == KS_REPLAY_SEEN);
    CHECK(use(table, "b", NOW, NOW + 4, NOW) == KS_REPLAY_NEW);
    CHECK(use(table, "c", NOW, NOW + 9, NOW) == KS_REPLAY_FULL);
    CHECK(use(table, "b", NOW, NOW + 9, NOW) == KS_REPLAY_SEEN); /* also when full */
    CHECK(use(table, "b", NOW, NOW + 9, NOW + 4) == KS_REPLAY_SEEN);
    CHECK(use(table, "b", NOW, NOW + 4, NOW + 5) == KS_REPLAY_TOO_OLD);
    CHECK(ks_replay_count(table) == 1);
    CHECK(use(table, "b", NOW, NOW + 9, NOW + 5) == KS_REPLAY_NEW);
    CHECK(use(table, "c", NOW, NOW + 9, NOW + 5) == KS_REPLAY_FULL);
    ks_replay_refuse_before(table, NOW + 2);
    ks_replay_refuse_before(table, NOW - 2);
    CHECK(use(table, "a", NOW + 1, NOW + 9, NOW + 5) == KS_REPLAY_TOO_OLD);
    CHECK(use(table, "a", NOW + 2, NOW + 9, NOW + 5) == KS_REPLAY_SEEN);
    ks_replay_close(table);
}

static void check_what_a_proof_is(void) {
    ks_replay *table = open_table(9, 0);
    const char *pairs[][2] = {{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}, {"", ""}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        ks_view jkt = view_of(pairs[i][0]), jti = view_of(pairs[i][1]);
        CHECK(ks_replay_remember(table, jkt, jti, 0, 9, 0) == KS_REPLAY_NEW);
        CHECK(ks_replay_remember(table, jkt, jti, 0, 8, 0) == KS_REPLAY_SEEN);
    }
    ks_view nothing = {NULL, 0};
    CHECK(ks_replay_remember(table, nothing, nothing, 0, 9, 0) == KS_REPLAY_SEEN);
    ks_replay_close(table);
}

static void check_times_at_the_ends(void) {
    ks_replay *table = open_table(9, INT64_MIN);
    CHECK(use(table, "a", INT64_MIN, INT64_MAX, INT64_MIN) == KS_REPLAY_NEW);
    CHECK(use(table, "b", INT64_MIN, 0, INT64_MIN) == KS_REPLAY_NEW);
    CHECK(use(table, "c", INT64_MIN, -1, INT64_MIN) == KS_REPLAY_TOO_OLD); /* it starts at 0 */
    CHECK(use(table, "d", INT64_MAX, INT64_MAX - 1, INT64_MAX - 1) == KS_REPLAY_NEW);
    CHECK(ks_replay_count(table) == 2);
    CHECK(use(table, "b", INT64_MIN, INT64_MAX, INT64_MAX) == KS_REPLAY_NEW);
    CHECK(use(table, "a", INT64_MIN, INT64_MAX, INT64_MAX) == KS_REPLAY_SEEN);
    CHECK(ks_replay_count(table) == 2);
    ks_replay_refuse_before(table, INT64_MAX);
    CHECK(use(table, "a", INT64_MAX - 1, INT64_MAX, 0) == KS_REPLAY_TOO_OLD);
    CHECK(use(table, "a", INT64_MAX, INT64_MAX, 0) == KS_REPLAY_SEEN);
    ks_replay_close(table);
}

static void check_a_batch_is_in_order(void) {
    enum { COUNT = 100 };
    ks_replay *table = open_table(COUNT / 2 + 3, 0);
    uint32_t numbers[COUNT];
    ks_replay_use uses[COUNT];
    memset(uses, 0, sizeof uses);
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i / 2; /* each twice */
        uses[i].jti = number_view(&numbers[i]);
        uses[i].last = i == 9 ? NOW - 1 : NOW + i;
    }
    ks_replay_remember_all(table, uses, COUNT, NOW);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(uses[i].verdict == (i == 9        ? KS_REPLAY_TOO_OLD
                                  : i % 2 == 0 ? KS_REPLAY_NEW
                                               : KS_REPLAY_SEEN));
    }
    CHECK(ks_replay_count(table) == COUNT / 2);
    ks_replay_remember_all(table, NULL, 0, INT64_MAX); /* nothing, not even its time */
    CHECK(ks_replay_count(table) == COUNT / 2);
    ks_replay_close(table);
}

/* --- against an obvious table ------------------------------------------------------------------- */

enum { MODEL_CAPACITY = 40, MODEL_IDS = 64 };

typedef struct model {
    int64_t horizon;
    int64_t last[MODEL_IDS]; /* or −1 */
} model;

static size_t model_count(const model *self) {
    size_t count = 0;
    for (size_t i = 0; i < MODEL_IDS; i++) {
        count += self->last[i] >= self->horizon;
    }
    return count;
}

static ks_replay_verdict model_use(model *self, uint32_t id, int64_t last, int64_t now) {
    self->horizon = now > self->horizon ? now : self->horizon;
    if (last < self->horizon) {
        return KS_REPLAY_TOO_OLD;
    }
    if (self->last[id] >= self->horizon) {
        return KS_REPLAY_SEEN;
    }
    if (model_count(self) >= MODEL_CAPACITY) {
        return KS_REPLAY_FULL;
    }
    self->last[id] = last;
    return KS_REPLAY_NEW;
}

static void check_as_the_model_says(void) {
    ks_replay *table = open_table(MODEL_CAPACITY, 0);
    model expected;
    memset(&expected, 0xff, sizeof expected);
    expected.horizon = 0;
    uint32_t state = 1;
    unsigned seen[KS_REPLAY_FULL + 1] = {0};
    for (int64_t step = 0; step < 100000; step++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223); /* Knuth, TAOCP 2, §3.3.4 */
        uint32_t id = state >> 8 & (MODEL_IDS - 1);
        int64_t now = step / 16 + (state >> 14 & 3), last = now - 2 + (state >> 16 & 15);
        ks_replay_verdict verdict = use_number(table, id, last, now);
        CHECK(verdict == model_use(&expected, id, last, now));
        seen[verdict]++;
        if ((state >> 20 & 7) == 0) {
            CHECK(ks_replay_count(table) == model_count(&expected));
        }
    }
    for (int verdict = KS_REPLAY_NEW; verdict <= KS_REPLAY_FULL; verdict++) {
        CHECK(seen[verdict] > 100);
    }
    ks_replay_close(table);
}

/* --- growth ------------------------------------------------------------------------------------- */

/* Through several segments, with the seconds in both directions and each its own. */
static void check_a_large_table(int64_t step) {
    enum { COUNT = 5000 };
    int64_t base = NOW + COUNT;
    ks_replay *table = open_table(COUNT, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(use_number(table, i, base + step * i, NOW) == KS_REPLAY_NEW);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(use_number(table, i, base, NOW) == KS_REPLAY_SEEN);
    }
    CHECK(use_number(table, COUNT, base, NOW) == KS_REPLAY_FULL);
    CHECK(ks_replay_count(table) == COUNT);
    CHECK(use_number(table, COUNT, NOW + 3 * COUNT, NOW + 3 * COUNT) == KS_REPLAY_NEW);
    CHECK(ks_replay_count(table) == 1);
    for (uint32_t i = 1; i < COUNT; i++) {
        CHECK(use_number(table, COUNT + i, NOW + 3 * COUNT, NOW) == KS_REPLAY_NEW);
    }
    CHECK(use_number(table, 0, NOW + 3 * COUNT, NOW) == KS_REPLAY_FULL);
    ks_replay_close(table);
}

/* --- the secret hash ---------------------------------------------------------------------------- */

static void check_siphash_as_openssl(void) {
    uint8_t key[REPLAY_KEY_BYTES], secret[16], tag[8];
    for (uint8_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)(37 * i + 200);
    }
    for (uint8_t i = 0; i < sizeof secret; i++) {
        secret[i] = (uint8_t)(91 * i + 130);
    }
    unsigned c = 1, d = 3, size = sizeof tag;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_END,
    };
    size_t written;
    EVP_MAC *kind = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(kind);
    CHECK(EVP_MAC_init(mac, secret, sizeof secret, parameters) == 1);
    CHECK(EVP_MAC_update(mac, key, sizeof key) == 1);
    CHECK(EVP_MAC_final(mac, tag, &written, sizeof tag) == 1 && written == sizeof tag);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(kind);
    replay_secret as_words = {sip_load(secret), sip_load(secret + 8)};
    CHECK(replay_siphash(as_words, key) == sip_load(tag));
}

/* --- threads ------------------------------------------------------------------------------------ */

enum { THREADS = 8, SHARED_IDS = 4000, BATCH = 50 };

typedef struct race {
    ks_replay *table;
    atomic_uint won[SHARED_IDS];
} race;

/* Every thread tries every proof, in batches and one by one, while the clock goes on. */
static void *race_run(void *context) {
    race *self = context;
    for (uint32_t from = 0; from < SHARED_IDS; from += BATCH) {
        uint32_t numbers[BATCH];
        ks_replay_use uses[BATCH];
        for (uint32_t i = 0; i < BATCH; i++) {
            numbers[i] = from + i;
            uses[i] = (ks_replay_use){view_of("jkt"), number_view(&numbers[i]), NOW,
                                      NOW + SHARED_IDS, 0};
        }
        ks_replay_remember_all(self->table, uses, BATCH / 2, NOW + from);
        for (uint32_t i = 0; i < BATCH; i++) {
            if (i >= BATCH / 2) {
                uses[i].verdict = use_number(self->table, numbers[i], uses[i].last, NOW + from);
            }
            CHECK(uses[i].verdict == KS_REPLAY_NEW || uses[i].verdict == KS_REPLAY_SEEN);
            atomic_fetch_add(&self->won[from + i], uses[i].verdict == KS_REPLAY_NEW);
        }
        CHECK(ks_replay_count(self->table) >= from + BATCH);
        ks_replay_refuse_before(self->table, -1);
    }
    return NULL;
}

static void check_one_of_many_threads_wins(void) {
    static race shared;
    pthread_t threads[THREADS];
    shared.table = open_table(SHARED_IDS, 0);
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, race_run, &shared) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (size_t i = 0; i < SHARED_IDS; i++) {
        CHECK(atomic_load(&shared.won[i]) == 1);
    }
    CHECK(ks_replay_count(shared.table) == SHARED_IDS);
    ks_replay_close(shared.table);
}

typedef struct busy {
    ks_replay *table;
    atomic_int over;
} busy;

static void *busy_run(void *context) {
    busy *self = context;
    for (uint32_t i = 1; !atomic_load(&self->over); i++) {
        CHECK(use_number(self->table, i, NOW + i, NOW + i) == KS_REPLAY_NEW);
    }
    return NULL;
}

/* A child that is forked in the middle of it has a table of its own, and no lock that stays shut. */
static void check_a_fork_leaves_the_lock_open(void) {
    busy self = {.table = open_table(10, 0)};
    atomic_init(&self.over, 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, busy_run, &self) == 0);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(use_number(self.table, 0, INT64_MAX, NOW) == KS_REPLAY_NEW ? 0 : 1);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    atomic_store(&self.over, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    ks_replay_close(self.table);
}

void test_replay(void) {
    check_capacities();
    check_the_order_of_the_checks();
    check_what_a_proof_is();
    check_times_at_the_ends();
    check_a_batch_is_in_order();
    check_as_the_model_says();
    check_a_large_table(1);
    check_a_large_table(-1);
    check_a_large_table(0);
    check_siphash_as_openssl();
    check_one_of_many_threads_wins();
    check_a_fork_leaves_the_lock_open();
}
