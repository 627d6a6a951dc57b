/* Which keys a batch names. */
#include <stdlib.h>

#include "ks_tokens.h"

int ks_tokens_sort_out_names(ks_tokens *batch) {
    ks_naming *items = calloc(batch->count + 1, sizeof *items);
    size_t count = 0;
    batch->names = calloc(batch->count + 1, sizeof *batch->names);
    if (items == NULL || batch->names == NULL) {
        free(items);
        return 0;
    }
    for (size_t i = 0; i < batch->count; i++) {
        ks_token *token = &batch->tokens[i];
        token->name = KS_UNNAMED;
        if (!ks_is_refused(token->refusal)) {
            items[count++] = (ks_naming){token->algorithm, token->kid, &token->name};
        }
    }
    batch->name_count = ks_names_number(items, count, batch->names);
    free(items);
    return 1;
}

size_t ks_tokens_names(const ks_tokens *batch) {
    return batch->name_count;
}

ks_key_wanted ks_tokens_name(const ks_tokens *batch, size_t index) {
    const ks_naming *name = &batch->names[index];
    return (ks_key_wanted){name->tag, name->text};
}

size_t ks_tokens_name_of(const ks_tokens *batch, size_t index) {
    uint32_t name = batch->tokens[index].name;
    return name < batch->name_count ? name : batch->name_count;
}
