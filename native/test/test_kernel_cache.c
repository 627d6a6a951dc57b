/* The cache of tables and the kernels' credit: bounds, ownership, and when a table is wanted. */
#include <string.h>

#include "check.h"
#include "kernel/kernel_cache.h"
#include "kernel/kernel_credit.h"
#include "kernel/kernel_proofs.h"

#define POINTS_BYTES 64u

/* Octets that are no key of any other test. */
static ks_key_name name_of(unsigned number) {
    ks_key_name name;
    memset(&name, 0xc5, sizeof name);
    memcpy(&name, &number, sizeof number);
    return name;
}

static ks_found look(unsigned number, size_t uses) {
    ks_key_name name = name_of(number);
    return ks_cache_look(KS_CACHE_P256_WORDS, &name, uses);
}

static ks_table *table_add(ks_table_kind kind, unsigned number) {
    ks_key_name name = name_of(number);
    ks_table *table = ks_table_new(KS_CACHE_P256_WORDS, kind, &name, POINTS_BYTES);
    CHECK(table != NULL);
    ks_cache_add(table);
    return table;
}

static void check_when_tables_are_wanted(void) {
    ks_found found = look(1, 1);
    CHECK(found.table == NULL && !found.wants_comb && !found.wants_wide);
    found = look(1, 1);
    CHECK(found.wants_comb && !found.wants_wide); /* seen before */
    CHECK(look(2, KS_COMB_USES).wants_comb);
    CHECK(!look(3, KS_WIDE_USES - 1).wants_wide);
    CHECK(look(3, 1).wants_wide);
    CHECK(look(4, KS_WIDE_USES).wants_wide);
}

static void check_a_table_is_found_again(void) {
    ks_table *comb = table_add(KS_COMB_TABLE, 1), *wide = table_add(KS_WIDE_TABLE, 4);
    ks_found found = look(1, 1);
    CHECK(found.table == comb && !found.wants_comb);
    ks_table_release(found.table);
    found = look(4, 1);
    CHECK(found.table == wide && !found.wants_comb && !found.wants_wide);
    ks_table_release(found.table);
    CHECK(look(5, 1).table == NULL);
    ks_table_release(comb);
    ks_table_release(wide);
}

/* One more issuer than there are places: the one that was not looked up for longest makes room. */
static void check_wide_tables_are_bounded(void) {
    ks_table *held = table_add(KS_WIDE_TABLE, 100);
    memset(held->points, 0x5a, POINTS_BYTES);
    for (unsigned i = 1; i <= KS_MOST_WIDE; i++) {
        ks_table_release(table_add(KS_WIDE_TABLE, 100 + i));
    }
    CHECK(look(100, 1).table == NULL);
    for (unsigned i = 1; i <= KS_MOST_WIDE; i++) {
        ks_found found = look(100 + i, 1);
        CHECK(found.table != NULL && found.table->kind == KS_WIDE_TABLE);
        ks_table_release(found.table);
    }
    CHECK(*(const uint64_t *)held->points == 0x5a5a5a5a5a5a5a5a); /* ours lives on */
    ks_table_release(held);
}

static void check_combs_are_bounded(void) {
    enum { MANY = 3 * KS_MOST_COMBS };
    unsigned found = 0;
    for (unsigned i = 0; i < MANY; i++) {
        ks_table_release(table_add(KS_COMB_TABLE, 1000 + i));
    }
    for (unsigned i = 0; i < MANY; i++) {
        ks_table *table = look(1000 + i, 1).table;
        found += table != NULL;
        ks_table_release(table);
    }
    CHECK(found > KS_MOST_COMBS / 2 && found <= KS_MOST_COMBS);
}

/* Many keys that each come often: wide tables would push each other out. */
static void check_a_crowd_wants_no_wide_tables(void) {
    unsigned wanted = 0;
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 512; i++) {
            wanted += (unsigned)look(50000 + i, 32).wants_wide;
        }
    }
    CHECK(wanted == 0);
    unsigned issuer = 0; /* with half of all uses */
    for (unsigned i = 0; i < 1024; i++) {
        CHECK(!look(50000 + i % 512, 32).wants_wide);
        issuer += (unsigned)look(60000, 32).wants_wide;
    }
    CHECK(issuer > 0);
}

/* Keys that come in turns, many fewer than there are combs: all of them are known the second time. */
static void check_keys_in_turns_are_remembered(void) {
    enum { KEYS = 512 };
    unsigned wanted = 0;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            wanted += (unsigned)look(70000 + i, 1).wants_comb;
        }
    }
    CHECK(wanted == KEYS);
}

/* Two keys of one set, proved in turns, as where a batch is verified in pieces. */
static void check_proofs(void) {
    static ks_proofs proofs;
    const uint64_t first = KS_PROOF_SETS + 7, second = 2 * KS_PROOF_SETS + 7;
    CHECK(!ks_proof_take(&proofs, first) && !ks_proof_take(&proofs, 0));
    ks_proof_give(&proofs, first);
    ks_proof_give(&proofs, first);
    ks_proof_give(&proofs, second);
    CHECK(ks_proof_take(&proofs, first) && !ks_proof_take(&proofs, first));
    CHECK(ks_proof_take(&proofs, second) && !ks_proof_take(&proofs, second));
    for (uint64_t i = 1; i <= 3 * KS_PROOF_SLOTS; i++) { /* more than a set holds */
        ks_proof_give(&proofs, i * KS_PROOF_SETS + 7);
    }
    unsigned kept = 0;
    for (uint64_t i = 1; i <= 3 * KS_PROOF_SLOTS; i++) {
        kept += (unsigned)ks_proof_take(&proofs, i * KS_PROOF_SETS + 7);
    }
    CHECK(kept == KS_PROOF_SLOTS);
}

static void check_credit(void) {
    static ks_credit credit = KS_CREDIT_FULL;
    ks_credit_settle(&credit, 1000 * KS_MOST_CREDIT);
    CHECK(ks_credit_for(&credit, 64, 1000) == KS_MOST_CREDIT / 64);
    CHECK(ks_credit_for(&credit, 64, 1000) == KS_MOST_CREDIT / 64); /* asking takes nothing */
    CHECK(ks_credit_for(&credit, 64, 3) == 3);
    ks_credit_settle(&credit, -KS_MOST_CREDIT);
    CHECK(ks_credit_for(&credit, 64, 1) == 0);
    ks_credit_settle(&credit, -1000); /* another thread's loss */
    CHECK(ks_credit_for(&credit, 64, 1) == 0);
    ks_credit_settle(&credit, 1000 + 63);
    CHECK(ks_credit_for(&credit, 64, 1) == 0);
    ks_credit_settle(&credit, 1);
    CHECK(ks_credit_for(&credit, 64, 9) == 1);
}

void test_kernel_cache(void) {
    check_when_tables_are_wanted();
    check_a_table_is_found_again();
    check_wide_tables_are_bounded();
    check_combs_are_bounded();
    check_a_crowd_wants_no_wide_tables();
    check_keys_in_turns_are_remembered();
    check_proofs();
    check_credit();
}
