/* What the parts of the JSON parser share. */
#ifndef KS_JSON_PARSER_H
#define KS_JSON_PARSER_H

#include "codec/ks_json.h"

typedef struct ks_json_parser {
    const uint8_t *end; /* of the text, which is UTF-8 */
    ks_json *out;
    uint8_t *text; /* where in out->text the next string with escapes goes */
    ks_status fault; /* why a reader returned NULL */
    unsigned depth, max_depth;
    int is_ascii;           /* the text, so that a character of it is a byte */
    int has_lone_surrogate; /* some string's escapes made one; it stands there as three bytes */
} ks_json_parser;

/* The next value of the document. KS_JSON_VALUES is how many a text can ask for. */
static inline ks_json_value *ks_json_add(ks_json_parser *self, ks_json_kind kind) {
    ks_json *out = self->out;
    ks_json_value *value = &out->values[out->count++];
    value->kind = (uint8_t)kind;
    value->has_control = 0;
    value->after = (uint32_t)out->count;
    value->count = 0;
    return value;
}

static inline const uint8_t *ks_json_fail(ks_json_parser *self, ks_status fault) {
    self->fault = fault;
    return NULL;
}

/*
 * Readers: each reads one value at `at`, of which there is at least one character, adds it and returns
 * where it ends; NULL if it is at fault. Strings start with their quote.
 */
KS_MUST_CHECK const uint8_t *ks_json_read_string(ks_json_parser *self, const uint8_t *at);
KS_MUST_CHECK const uint8_t *ks_json_read_number(ks_json_parser *self, const uint8_t *at);

/* 1 if two members of the object, which ends the document, have the same name. */
int ks_json_names_repeat(const ks_json *document, size_t object);

/*
 * 1 if brackets nest deeper than `max_depth`, counted in the raw text without a look at its syntax, as
 * `_check_depth` does: strings are left out, and a backslash takes a quote or another backslash with it
 * wherever it stands.
 */
int ks_json_is_deeper(ks_view text, unsigned max_depth);

#endif
