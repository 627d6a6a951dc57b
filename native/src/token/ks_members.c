#include "ks_members.h"

#include <string.h>

int ks_text_is(ks_view text, ks_name name) {
    return text.size == name.size && memcmp(text.data, name.text, name.size) == 0;
}

size_t ks_text_choose(ks_view text, const ks_name *names, size_t count) {
    size_t i = 0;
    while (i < count && !ks_text_is(text, names[i])) {
        i++;
    }
    return i;
}

/* As ks_text_choose, but looks from `first` on: members mostly come in the order of the names. */
static size_t choose_from(ks_view text, const ks_name *names, size_t count, size_t first) {
    for (size_t i = 0; i < count; i++) {
        size_t at = first + i < count ? first + i : first + i - count;
        if (ks_text_is(text, names[at])) {
            return at;
        }
    }
    return count;
}

size_t ks_members_find(const ks_json *document, size_t object, const ks_name *names, size_t count,
                       uint32_t *found) {
    const ks_json_value *values = document->values;
    size_t others = 0, next = 0;
    memset(found, 0, count * sizeof *found);
    for (size_t at = object + 1; at < values[object].after; at = values[at + 1].after) {
        size_t which = choose_from(values[at].as.text, names, count, next);
        if (which == count) {
            others++;
            continue;
        }
        found[which] = (uint32_t)at + 1;
        next = which + 1 < count ? which + 1 : 0;
    }
    return others;
}

ks_reason ks_member_string(const ks_json *document, size_t at, size_t max_chars, ks_view *text) {
    const ks_json_value *value = &document->values[at];
    if (value->kind != KS_JSON_STRING) {
        return KS_R_MALFORMED;
    }
    if (value->count > max_chars) {
        return KS_R_TOO_LARGE;
    }
    if (value->has_control || value->count == 0) {
        return KS_R_MALFORMED;
    }
    *text = value->as.text;
    return KS_R_NONE;
}

ks_reason ks_member_integer(const ks_json *document, size_t at, int64_t least, int64_t most,
                            int64_t *value) {
    const ks_json_value *of = &document->values[at];
    if (of->kind != KS_JSON_INTEGER || of->as.integer < least || of->as.integer > most) {
        return KS_R_MALFORMED;
    }
    *value = of->as.integer;
    return KS_R_NONE;
}

ks_reason ks_member_date(const ks_json *document, size_t at, int64_t *date) {
    const ks_json_value *value = &document->values[at];
    if (value->kind == KS_JSON_NUMBER) {
        /* The bound is below 2^53, so it is exact; of what is not negative, C's conversion is the floor. */
        if (!(value->as.number >= 0 && value->as.number <= (double)KS_MAX_NUMERIC_DATE)) {
            return KS_R_MALFORMED;
        }
        *date = (int64_t)value->as.number;
        return KS_R_NONE;
    }
    return ks_member_integer(document, at, 0, KS_MAX_NUMERIC_DATE, date);
}

ks_reason ks_member_bool(const ks_json *document, size_t at, int *value) {
    uint8_t kind = document->values[at].kind;
    *value = kind == KS_JSON_TRUE;
    return kind == KS_JSON_TRUE || kind == KS_JSON_FALSE ? KS_R_NONE : KS_R_MALFORMED;
}

ks_reason ks_member_object(const ks_json *document, size_t at) {
    return document->values[at].kind == KS_JSON_OBJECT ? KS_R_NONE : KS_R_MALFORMED;
}

ks_reason ks_member_strings(const ks_json *document, size_t at, size_t max_items,
                            size_t max_chars) {
    const ks_json_value *list = &document->values[at];
    if (list->kind != KS_JSON_ARRAY) {
        return KS_R_MALFORMED;
    }
    if (list->count > max_items) {
        return KS_R_TOO_LARGE;
    }
    for (size_t item = at + 1; item < list->after; item = document->values[item].after) {
        ks_view ignored;
        ks_reason reason = ks_member_string(document, item, max_chars, &ignored);
        if (reason != KS_R_NONE) {
            return reason;
        }
    }
    return KS_R_NONE;
}
