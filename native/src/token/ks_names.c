#include "ks_names.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_NAMES 8u

static int compare_texts(ks_view a, ks_view b) {
    if ((a.data == NULL) != (b.data == NULL)) {
        return a.data == NULL ? -1 : 1;
    }
    if (a.size != b.size) {
        return a.size < b.size ? -1 : 1;
    }
    return a.size == 0 ? 0 : memcmp(a.data, b.data, a.size);
}

static int compare(const void *left, const void *right) {
    const ks_naming *a = left, *b = right;
    if (a->tag != b->tag) {
        return a->tag < b->tag ? -1 : 1;
    }
    return compare_texts(a->text, b->text);
}

/* The index of the item's name among the first `count`, which is `count` if it is none of them. */
static size_t find(const ks_naming *distinct, size_t count, const ks_naming *item) {
    size_t at = 0;
    while (at < count && compare(&distinct[at], item) != 0) {
        at++;
    }
    return at;
}

size_t ks_names_number(ks_naming *items, size_t count, ks_naming *distinct) {
    size_t names = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = find(distinct, names, &items[i]);
        if (at < FIRST_NAMES) {
            distinct[at] = items[i];
            names += at == names;
            *items[i].number = (uint32_t)at;
        } else {
            items[others++] = items[i];
        }
    }
    qsort(items, others, sizeof *items, compare);
    for (size_t i = 0; i < others; i++) {
        if (i == 0 || compare(&items[i - 1], &items[i]) != 0) {
            distinct[names++] = items[i];
        }
        *items[i].number = (uint32_t)(names - 1);
    }
    return names;
}
