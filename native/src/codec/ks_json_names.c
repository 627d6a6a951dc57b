/*
 * Whether a name stands twice in an object. Names are compared as they are, without escapes.
 *
 * Few are compared in pairs, most of which a word of bits spares. Many are sorted, so that no choice
 * of names takes quadratic time; hashing would need a secret for that.
 */
#include <string.h>

#include "codec/ks_json_parser.h"

/* --- few names ---------------------------------------------------------------------------------- */

#define FEW 32u

static int is_same(const ks_json_value *a, const ks_json_value *b) {
    return ks_json_is(a, b->as.text);
}

/* One of 64 bits; the same for the same name. */
static uint64_t bit_of(ks_view name) {
    unsigned first = name.size > 0 ? name.data[0] : 0u;
    unsigned last = name.size > 0 ? name.data[name.size - 1] : 0u;
    return UINT64_C(1) << ((first + 5 * last + 11 * (unsigned)name.size) & 63);
}

static int few_repeat(const ks_json_value *values, size_t at, size_t end) {
    const ks_json_value *names[FEW];
    uint64_t seen = 0;
    for (size_t count = 0; at < end; at = values[at + 1].after, count++) {
        const ks_json_value *name = &values[at];
        uint64_t bit = bit_of(name->as.text);
        for (size_t i = 0; (seen & bit) != 0 && i < count; i++) {
            if (is_same(names[i], name)) {
                return 1;
            }
        }
        seen |= bit;
        names[count] = name;
    }
    return 0;
}

/* --- many names --------------------------------------------------------------------------------- */

/* A member takes five characters at least. */
#define MANY (KS_MAX_JSON_BYTES / 5u + 1u)

/* The first six bytes of a name, and which value it is: most names differ in the former. */
#define INDEX_BITS 16u
_Static_assert(KS_JSON_VALUES(KS_MAX_JSON_BYTES) <= 1u << INDEX_BITS, "an index has 16 bits");

static uint64_t key_of(const ks_json_value *values, size_t at) {
    ks_view name = values[at].as.text;
    uint64_t key = 0;
    for (size_t i = 0; i < 6; i++) {
        key = key << 8 | (i < name.size ? name.data[i] : 0u);
    }
    return key << INDEX_BITS | at;
}

/* Below, at or above 0 as the first name is less than, equal to or greater than the second. */
static int compare(const ks_json_value *values, uint64_t a, uint64_t b) {
    if (a >> INDEX_BITS != b >> INDEX_BITS) {
        return a < b ? -1 : 1;
    }
    ks_view first = values[a & 0xffff].as.text, second = values[b & 0xffff].as.text;
    if (first.size != second.size) {
        return first.size < second.size ? -1 : 1;
    }
    return first.size == 0 ? 0 : memcmp(first.data, second.data, first.size);
}

/* Merges two sorted runs that follow each other; 1 as soon as two names are the same. */
static int runs_merge(const ks_json_value *values, const uint64_t *from, size_t middle, size_t end,
                      uint64_t *to) {
    size_t a = 0, b = middle;
    while (a < middle && b < end) {
        int order = compare(values, from[a], from[b]);
        if (order == 0) {
            return 1;
        }
        *to++ = order < 0 ? from[a++] : from[b++];
    }
    memcpy(to, from + a, (middle - a) * sizeof *to);
    memcpy(to + (middle - a), from + b, (end - b) * sizeof *to);
    return 0;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Equal names meet in some merge, because each run that they are in is sorted. */
static int many_repeat(const ks_json_value *values, size_t at, size_t end) {
    uint64_t keys[2][MANY], *from = keys[0], *to = keys[1];
    size_t count = 0;
    for (; at < end; at = values[at + 1].after) {
        from[count++] = key_of(values, at);
    }
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t start = 0; start < count; start += 2 * run) {
            size_t left = count - start;
            if (runs_merge(values, from + start, least(run, left), least(2 * run, left),
                           to + start)) {
                return 1;
            }
        }
        uint64_t *swapped = from;
        from = to;
        to = swapped;
    }
    return 0;
}

int ks_json_names_repeat(const ks_json *document, size_t object) {
    const ks_json_value *values = document->values;
    size_t end = document->count;
    return values[object].count <= FEW ? few_repeat(values, object + 1, end)
                                       : many_repeat(values, object + 1, end);
}
