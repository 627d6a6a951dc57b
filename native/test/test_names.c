/* Whether two items get one number exactly if they name the same: with few names, and with many. */
#include <string.h>

#include "check.h"
#include "token/ks_names.h"

#define MOST_ITEMS 64u

static const uint8_t letters[] = "aaabbb";

typedef struct named {
    uint32_t tag;
    ks_view text;
} named;

static int is_same(const named *a, const named *b) {
    return a->tag == b->tag && (a->text.data == NULL) == (b->text.data == NULL) &&
           ks_views_equal(a->text, b->text);
}

static void check_numbers(const named *names, size_t count) {
    ks_naming items[MOST_ITEMS], distinct[MOST_ITEMS];
    uint32_t numbers[MOST_ITEMS];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = UINT32_MAX;
        items[i] = (ks_naming){names[i].tag, names[i].text, &numbers[i]};
    }
    size_t found = ks_names_number(items, count, distinct);
    CHECK(found <= count);
    for (size_t i = 0; i < count; i++) {
        CHECK(numbers[i] < found);
        const ks_naming *called = &distinct[numbers[i]];
        const named again = {called->tag, called->text};
        CHECK(is_same(&names[i], &again));
        for (size_t j = 0; j < i; j++) {
            CHECK((numbers[i] == numbers[j]) == is_same(&names[i], &names[j]));
        }
    }
    for (size_t i = 0; i < found; i++) {
        size_t named_by = 0;
        for (size_t j = 0; j < count; j++) {
            named_by += numbers[j] == i;
        }
        CHECK(named_by > 0);
    }
}

/* No text is not the empty one, nor one text another of its size, nor a tag another. */
static void check_what_differs(void) {
    static const named names[] = {
        {0, {NULL, 0}}, {0, {letters, 0}}, {1, {NULL, 0}},     {1, {letters, 0}},
        {0, {letters, 3}}, {0, {letters + 3, 3}}, {0, {letters, 2}}, {1, {letters, 3}},
        {0, {NULL, 0}}, {0, {letters, 0}}, {0, {letters + 1, 2}}, {0, {letters + 3, 3}},
    };
    check_numbers(names, sizeof names / sizeof *names);
    for (size_t i = 0; i + 1 < sizeof names / sizeof *names; i++) {
        check_numbers(names + i, 2);
    }
}

/* So many names that most of them are sorted, and each of them again and again. */
static void check_many(void) {
    static const char texts[MOST_ITEMS + 1] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    named names[MOST_ITEMS];
    for (size_t different = 1; different <= MOST_ITEMS; different++) {
        for (size_t i = 0; i < MOST_ITEMS; i++) {
            size_t which = 37 * i % different;
            names[i] = (named){(uint32_t)(which % 3), {(const uint8_t *)texts + which, which % 5 != 4}};
        }
        check_numbers(names, MOST_ITEMS);
    }
    check_numbers(names, 0);
}

void test_names(void) {
    check_what_differs();
    check_many();
}
