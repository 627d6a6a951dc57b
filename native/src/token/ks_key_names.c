/*
 * Which keys a batch names. Nearly always it is one, so a token is compared with the first few names; what
 * is none of them is sorted, so that tokens which all name another key cost no more than sorting does.
 */
#include <stdlib.h>

#include "ks_tokens.h"

#define FIRST_NAMES 8u
#define UNNAMED UINT32_MAX

static int same(const ks_token *token, const ks_key_wanted *name) {
    return token->algorithm == name->algorithm &&
           (token->kid.data == NULL) == (name->kid.data == NULL) &&
           ks_views_equal(token->kid, name->kid);
}

static uint32_t add(ks_tokens *batch, const ks_token *token) {
    batch->names[batch->name_count] = (ks_key_wanted){token->algorithm, token->kid};
    return (uint32_t)batch->name_count++;
}

/* The index of its name among the first few, which are added as long as there is room for them. */
static uint32_t find_among_first(ks_tokens *batch, const ks_token *token) {
    size_t seen = batch->name_count;
    for (size_t i = 0; i < seen; i++) {
        if (same(token, &batch->names[i])) {
            return (uint32_t)i;
        }
    }
    return seen < FIRST_NAMES ? add(batch, token) : UNNAMED;
}

static int compare_views(ks_view a, ks_view b) {
    if ((a.data == NULL) != (b.data == NULL)) {
        return a.data == NULL ? -1 : 1;
    }
    if (a.size != b.size) {
        return a.size < b.size ? -1 : 1;
    }
    return a.size == 0 ? 0 : memcmp(a.data, b.data, a.size);
}

static int compare(const void *left, const void *right) {
    const ks_token *a = *(ks_token *const *)left, *b = *(ks_token *const *)right;
    if (a->algorithm != b->algorithm) {
        return a->algorithm < b->algorithm ? -1 : 1;
    }
    return compare_views(a->kid, b->kid);
}

static void name_in_order(ks_tokens *batch, ks_token **unnamed, size_t count) {
    qsort(unnamed, count, sizeof *unnamed, compare);
    for (size_t i = 0; i < count; i++) {
        int known = i > 0 && compare(&unnamed[i - 1], &unnamed[i]) == 0;
        unnamed[i]->name = known ? unnamed[i - 1]->name : add(batch, unnamed[i]);
    }
}

int ks_tokens_sort_out_names(ks_tokens *batch) {
    ks_token **unnamed = calloc(batch->count + 1, sizeof *unnamed);
    size_t count = 0;
    batch->names = calloc(batch->count + 1, sizeof *batch->names);
    if (unnamed == NULL || batch->names == NULL) {
        free(unnamed);
        return 0;
    }
    for (size_t i = 0; i < batch->count; i++) {
        ks_token *token = &batch->tokens[i];
        token->name = ks_is_refused(token->refusal) ? UNNAMED : find_among_first(batch, token);
        if (!ks_is_refused(token->refusal) && token->name == UNNAMED) {
            unnamed[count++] = token;
        }
    }
    name_in_order(batch, unnamed, count);
    free(unnamed);
    return 1;
}
