/*
 * Typed members of a JSON object: the `get_*` and `find_*` of src/keystead/codec/json.py, with their
 * bounds. Each answers KS_R_NONE, or the reason that the readable reader's `Malformed` would have.
 *
 * A member is given by the index of its value, as ks_members_find finds it; 0 is none. `required` and
 * `optional` are the caller's matter: no reader here is called with 0.
 */
#ifndef KS_MEMBERS_H
#define KS_MEMBERS_H

#include "codec/ks_json.h"
#include "ks_refusal.h"

/* The names of the bounds in codec/json.py and jose/jwt.py. */
#define KS_MAX_STRING_CHARS 2048u
#define KS_MAX_LIST_ITEMS 100u
#define KS_MAX_NUMERIC_DATE INT64_C(253402300799)

typedef struct ks_name {
    const char *text;
    size_t size;
} ks_name;

#define KS_NAME(literal) {literal, sizeof(literal) - 1}

/*
 * found[i] := the index of the value of `names[i]` in `object`, 0 where there is none. Answers how many
 * members have none of these names. One walk over the object, quickest where it has the names' order.
 */
size_t ks_members_find(const ks_json *document, size_t object, const ks_name *names, size_t count,
                       uint32_t *found);

/* A string without control characters, of 1 to `max_chars` characters. */
KS_MUST_CHECK ks_reason ks_member_string(const ks_json *document, size_t at, size_t max_chars,
                                         ks_view *text);
/* An integer from `least` to `most`, both included. */
KS_MUST_CHECK ks_reason ks_member_integer(const ks_json *document, size_t at, int64_t least,
                                          int64_t most, int64_t *value);
/* A NumericDate (RFC 7519 §2) as whole seconds, rounded down. */
KS_MUST_CHECK ks_reason ks_member_date(const ks_json *document, size_t at, int64_t *date);
KS_MUST_CHECK ks_reason ks_member_bool(const ks_json *document, size_t at, int *value);
KS_MUST_CHECK ks_reason ks_member_object(const ks_json *document, size_t at);
/* An array of such strings; its items are the values from at + 1 on, one index each. */
KS_MUST_CHECK ks_reason ks_member_strings(const ks_json *document, size_t at, size_t max_items,
                                          size_t max_chars);

/* Whether `text` is exactly this name. */
int ks_text_is(ks_view text, ks_name name);
/* The index of the name that `text` is, `count` if it is none. */
size_t ks_text_choose(ks_view text, const ks_name *names, size_t count);

#endif
