/*
 * Strict JSON (RFC 8259, I-JSON of RFC 7493): one object, one meaning, bounded. The rules, and which of
 * two faults is the one that is named, are those of `parse_object` in src/keystead/codec/json.py.
 *
 * A document is an array of values in the order of the text. An object is followed by its members,
 * name and value in turn, an array by its items; `after` says where a value and all within it end:
 *
 *     {"aud":["a","b"],"exp":7}      0 OBJECT  1 "aud"  2 ARRAY  3 "a"  4 "b"  5 "exp"  6 INTEGER
 *                                    after = 7          after = 5
 */
#ifndef KS_JSON_H
#define KS_JSON_H

#include "ks_status.h"

/* The names of the bounds in codec/json.py; its other bounds cannot be reached within this size. */
#define KS_MAX_JSON_BYTES 8192u
#define KS_MAX_JSON_DEPTH 16u

/* Values that a text of so many bytes can hold, and bytes that its strings can take. */
#define KS_JSON_VALUES(bytes) ((bytes) / 2u + KS_MAX_JSON_DEPTH + 2u)

typedef enum ks_json_kind {
    KS_JSON_NULL = 0,
    KS_JSON_FALSE = 1,
    KS_JSON_TRUE = 2,
    KS_JSON_INTEGER = 3,
    KS_JSON_NUMBER = 4, /* written with a fraction or an exponent; finite */
    KS_JSON_STRING = 5,
    KS_JSON_ARRAY = 6,
    KS_JSON_OBJECT = 7,
} ks_json_kind;

typedef struct ks_json_value {
    uint8_t kind;        /* ks_json_kind */
    uint8_t has_control; /* of a string: U+0000 to U+001F or U+007F stands in it */
    uint32_t after;      /* index of what follows this value and all within it */
    uint32_t count;      /* an object's members, an array's items, a string's characters (code points) */
    union {
        ks_view text; /* UTF-8 without escapes, in the input or in the document's `text` */
        int64_t integer;
        double number;
    } as;
} ks_json_value;

/*
 * The memory that a document is parsed into: the caller's, for texts of at most KS_MAX_JSON_BYTES, used
 * again for the next document. About 160 KB.
 */
typedef struct ks_json {
    size_t count;
    ks_json_value values[KS_JSON_VALUES(KS_MAX_JSON_BYTES)];
    uint8_t text[KS_MAX_JSON_BYTES]; /* strings that had escapes */
} ks_json;

/*
 * Parses the one object that `in` is; `out` borrows `in`.
 *
 * KS_E_TOO_LARGE   more than KS_MAX_JSON_BYTES, or deeper than `max_depth` (the outer object counts)
 * KS_E_DUPLICATE   a member twice in one object, compared without escapes
 * KS_E_MALFORMED   not UTF-8, not JSON, not an object, a number out of range (integers: 64 bits with
 *                  sign, the lowest one left out; others: a finite double of at most 64 characters),
 *                  NaN, a lone surrogate
 */
KS_MUST_CHECK ks_status ks_json_parse_object(ks_view in, unsigned max_depth, ks_json *out);

/* The index of the value of the member of `object` (an index) that is called `name`; 0 if none is. */
size_t ks_json_member(const ks_json *document, size_t object, const char *name);

/* Whether `value` is a string of exactly these bytes. */
int ks_json_is(const ks_json_value *value, ks_view text);

#endif
