/* Whether its issuer has taken a token back, step 19: what src/keystead/relying/status_list.py says. */
#include <stdlib.h>
#include <string.h>

#include "ks_claim_reader.h"
#include "ks_tokens.h"

static const ks_name status_list_name = KS_NAME("status_list");

enum { IDX, URI, REFERENCE_NAMES };
static const ks_name reference_names[REFERENCE_NAMES] = {
    [IDX] = KS_NAME("idx"),
    [URI] = KS_NAME("uri"),
};

/* The values of a status that everybody knows. */
enum { VALID = 0, INVALID = 1, SUSPENDED = 2 };

static const ks_refusal unknown_yet = {KS_AS_UNAVAILABLE, KS_R_STATUS_UNAVAILABLE, KS_STEP_STATUS};

/* --- what a token says -------------------------------------------------------------------------- */

/* The object that must stand at `at`; 0 if it does not, and then the reader has refused. */
static uint32_t demand_object(ks_claim_reader *reader, uint32_t at) {
    ks_claim_demand(reader, at);
    return ks_claim_object(reader, at);
}

static ks_listed read_reference(ks_claim_reader *reader, uint32_t status) {
    ks_listed found = {{NULL, 0}, 0};
    uint32_t reference = 0, at[REFERENCE_NAMES] = {0};
    if (demand_object(reader, status) != 0) {
        (void)ks_members_find(reader->document, status, &status_list_name, 1, &reference);
        reference = demand_object(reader, reference);
    }
    if (reference != 0) {
        (void)ks_members_find(reader->document, reference, reference_names, REFERENCE_NAMES, at);
        ks_claim_demand(reader, at[IDX]);
        found.index = ks_claim_integer(reader, at[IDX], 0, INT64_MAX);
        found.uri = ks_claim_demand_string(reader, at[URI], KS_MAX_STRING_CHARS);
    }
    return found;
}

ks_refusal ks_listed_read(const ks_json *document, uint32_t status, uint8_t *memory,
                          ks_listed *out) {
    ks_claim_reader reader = {.document = document, .step = KS_STEP_STATUS};
    ks_listed found = read_reference(&reader, status);
    if (ks_claim_refused(&reader)) {
        return reader.refusal;
    }
    /* One that was written with escapes stands in the document, which is used again. */
    memcpy(memory, found.uri.data, found.uri.size);
    *out = (ks_listed){{memory, found.uri.size}, found.index};
    return unknown_yet;
}

/* --- which lists there are ---------------------------------------------------------------------- */

ks_status ks_tokens_find_lists(ks_tokens *batch) {
    if (!batch->rules->status_required || batch->lists != NULL) {
        return KS_E_ARGUMENT;
    }
    ks_naming *items = calloc(batch->count + 1, sizeof *items);
    ks_naming *lists = calloc(batch->count + 1, sizeof *lists);
    size_t count = 0;
    if (items == NULL || lists == NULL) {
        free(items);
        free(lists);
        return KS_E_MEMORY;
    }
    for (size_t i = 0; i < batch->count; i++) {
        ks_token *token = &batch->tokens[i];
        token->list = KS_UNNAMED;
        if (token->listed.uri.data != NULL) {
            items[count++] = (ks_naming){0, token->listed.uri, &token->list};
        }
    }
    batch->list_count = ks_names_number(items, count, lists);
    batch->lists = lists;
    free(items);
    return KS_OK;
}

size_t ks_tokens_lists(const ks_tokens *batch) {
    return batch->list_count;
}

ks_view ks_tokens_list(const ks_tokens *batch, size_t index) {
    return batch->lists[index].text;
}

size_t ks_tokens_list_of(const ks_tokens *batch, size_t index) {
    uint32_t list = batch->tokens[index].list;
    return batch->lists != NULL && list < batch->list_count ? list : batch->list_count;
}

/* --- what they say ------------------------------------------------------------------------------ */

static int has_bits(const ks_status_list *list) {
    return list->bits == 1 || list->bits == 2 || list->bits == 4 || list->bits == 8;
}

static ks_refusal look_up(const ks_status_list *list, uint64_t index) {
    if (ks_is_refused(list->refusal)) {
        return list->refusal;
    }
    unsigned in_a_byte = 8u / list->bits;
    if (index >= (uint64_t)list->statuses.size * in_a_byte) {
        return ks_token_rejected(KS_R_STATUS_UNKNOWN, KS_STEP_STATUS);
    }
    unsigned shift = (unsigned)(index % in_a_byte) * list->bits;
    unsigned mask = (1u << list->bits) - 1u;
    switch ((unsigned)list->statuses.data[index / in_a_byte] >> shift & mask) {
    case VALID:
        return ks_accepted;
    case INVALID:
        return ks_token_rejected(KS_R_TOKEN_REVOKED, KS_STEP_STATUS);
    case SUSPENDED:
        return ks_token_rejected(KS_R_TOKEN_SUSPENDED, KS_STEP_STATUS);
    default:
        return ks_token_rejected(KS_R_STATUS_UNKNOWN, KS_STEP_STATUS);
    }
}

ks_status ks_tokens_check_status(ks_tokens *batch, const ks_status_list *lists) {
    if (batch->lists == NULL) {
        return KS_E_ARGUMENT;
    }
    for (size_t i = 0; i < batch->list_count; i++) {
        if (!ks_is_refused(lists[i].refusal) && !has_bits(&lists[i])) {
            return KS_E_ARGUMENT;
        }
    }
    for (size_t i = 0; i < batch->count; i++) {
        size_t list = ks_tokens_list_of(batch, i);
        if (list < batch->list_count) {
            batch->tokens[i].refusal =
                look_up(&lists[list], (uint64_t)batch->tokens[i].listed.index);
        }
    }
    return KS_OK;
}
