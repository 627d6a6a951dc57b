/* The cache of tables and the kernels' credit: bounds, ownership, and when a table is wanted. */
#include <string.h>

#include "check.h"
#include "p256/p256_cache.h"
#include "p256/p256_credit.h"

#define XY_BYTES (2 * P256_OCTETS)

/* Octets that are no key of any other test. */
static void xy_of(uint8_t xy[XY_BYTES], unsigned number) {
    memset(xy, 0xc5, XY_BYTES);
    memcpy(xy, &number, sizeof number);
}

static p256_found look(unsigned number, size_t uses) {
    uint8_t xy[XY_BYTES];
    xy_of(xy, number);
    return ks_p256_cache_look(xy, uses);
}

static p256_table *table_add(p256_table_kind kind, unsigned number) {
    uint8_t xy[XY_BYTES];
    xy_of(xy, number);
    p256_table *table = ks_p256_table_new(kind, xy);
    CHECK(table != NULL);
    ks_p256_cache_add(table);
    return table;
}

static void check_when_tables_are_wanted(void) {
    p256_found found = look(1, 1);
    CHECK(found.table == NULL && !found.wants_comb && !found.wants_wide);
    found = look(1, 1);
    CHECK(found.wants_comb && !found.wants_wide); /* seen before */
    CHECK(look(2, P256_COMB_USES).wants_comb);
    CHECK(!look(3, P256_WIDE_USES - 1).wants_wide);
    CHECK(look(3, 1).wants_wide);
    CHECK(look(4, P256_WIDE_USES).wants_wide);
}

static void check_a_table_is_found_again(void) {
    p256_table *comb = table_add(P256_COMB_TABLE, 1), *wide = table_add(P256_WIDE_TABLE, 4);
    p256_found found = look(1, 1);
    CHECK(found.table == comb && !found.wants_comb);
    ks_p256_table_release(found.table);
    found = look(4, 1);
    CHECK(found.table == wide && !found.wants_comb && !found.wants_wide);
    ks_p256_table_release(found.table);
    CHECK(look(5, 1).table == NULL);
    ks_p256_table_release(comb);
    ks_p256_table_release(wide);
}

/* One more issuer than there are places: the one that was not looked up for longest makes room. */
static void check_wide_tables_are_bounded(void) {
    p256_table *held = table_add(P256_WIDE_TABLE, 100);
    memset(held->as.wide, 0x5a, sizeof *held->as.wide);
    for (unsigned i = 1; i <= P256_MOST_WIDE; i++) {
        ks_p256_table_release(table_add(P256_WIDE_TABLE, 100 + i));
    }
    CHECK(look(100, 1).table == NULL);
    for (unsigned i = 1; i <= P256_MOST_WIDE; i++) {
        p256_found found = look(100 + i, 1);
        CHECK(found.table != NULL && found.table->kind == P256_WIDE_TABLE);
        ks_p256_table_release(found.table);
    }
    CHECK(held->as.wide->window[0][0].x[0] == 0x5a5a5a5a5a5a5a5a); /* ours lives on */
    ks_p256_table_release(held);
}

static void check_combs_are_bounded(void) {
    enum { MANY = 3 * P256_MOST_COMBS };
    unsigned found = 0;
    for (unsigned i = 0; i < MANY; i++) {
        ks_p256_table_release(table_add(P256_COMB_TABLE, 1000 + i));
    }
    for (unsigned i = 0; i < MANY; i++) {
        p256_table *table = look(1000 + i, 1).table;
        found += table != NULL;
        ks_p256_table_release(table);
    }
    CHECK(found > P256_MOST_COMBS / 2 && found <= P256_MOST_COMBS);
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

static void check_credit(void) {
    ks_p256_credit_settle(1000 * P256_MOST_CREDIT);
    CHECK(ks_p256_credit_for(64, 1000) == P256_MOST_CREDIT / 64);
    CHECK(ks_p256_credit_for(64, 1000) == P256_MOST_CREDIT / 64); /* asking takes nothing */
    CHECK(ks_p256_credit_for(64, 3) == 3);
    ks_p256_credit_settle(-P256_MOST_CREDIT);
    CHECK(ks_p256_credit_for(64, 1) == 0);
    ks_p256_credit_settle(-1000); /* another thread's loss */
    CHECK(ks_p256_credit_for(64, 1) == 0);
    ks_p256_credit_settle(1000 + 63);
    CHECK(ks_p256_credit_for(64, 1) == 0);
    ks_p256_credit_settle(1);
    CHECK(ks_p256_credit_for(64, 9) == 1);
    ks_p256_credit_settle(P256_MOST_CREDIT);
}

void test_p256_cache(void) {
    check_when_tables_are_wanted();
    check_a_table_is_found_again();
    check_wide_tables_are_bounded();
    check_combs_are_bounded();
    check_a_crowd_wants_no_wide_tables();
    check_credit();
}
