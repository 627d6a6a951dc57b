/*
 * The grammar of RFC 8259, as CPython's decoder reads it: white space is four characters, and a name
 * that stands twice is found when its object closes. Recursion is bounded by the depth of the text.
 */
#include "codec/ks_json.h"

#include <string.h>

#include "codec/ks_json_parser.h"
#include "codec/ks_utf8.h"

/* MAX_COMMAS and MAX_BRACKETS of codec/json.py. */
_Static_assert(KS_MAX_JSON_BYTES <= 20000u, "commas and brackets need bounds of their own");

static const uint8_t *value_read(ks_json_parser *self, const uint8_t *at);

static int is_space(uint8_t character) {
    return character == ' ' || character == '\n' || character == '\r' || character == '\t';
}

/* The next character that is no white space, or the end. */
static inline const uint8_t *next(const ks_json_parser *self, const uint8_t *at) {
    while (at < self->end && *at <= ' ' && is_space(*at)) {
        at++;
    }
    return at;
}

static inline int stands(const ks_json_parser *self, const uint8_t *at, uint8_t character) {
    return at < self->end && *at == character;
}

static const uint8_t *word_read(ks_json_parser *self, const uint8_t *at, const char *word,
                                ks_json_kind kind) {
    size_t size = strlen(word);
    if ((size_t)(self->end - at) < size || memcmp(at, word, size) != 0) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    (void)ks_json_add(self, kind);
    return at + size;
}

/* --- objects and arrays ------------------------------------------------------------------------- */

static inline const uint8_t *member_read(ks_json_parser *self, const uint8_t *at) {
    if (!stands(self, at, '"')) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    at = ks_json_read_string(self, at);
    if (at == NULL) {
        return NULL;
    }
    at = next(self, at);
    return stands(self, at, ':') ? value_read(self, next(self, at + 1))
                                 : ks_json_fail(self, KS_E_MALFORMED);
}

/* Members or items, until `closing`. */
static inline const uint8_t *list_read(ks_json_parser *self, const uint8_t *at, ks_json_value *of,
                                       uint8_t closing) {
    at = next(self, at);
    if (stands(self, at, closing)) {
        return at + 1;
    }
    for (;; at = next(self, at + 1)) {
        at = closing == '}' ? member_read(self, at) : value_read(self, at);
        if (at == NULL) {
            return NULL;
        }
        of->count++;
        at = next(self, at);
        if (!stands(self, at, ',')) {
            break;
        }
    }
    return stands(self, at, closing) ? at + 1 : ks_json_fail(self, KS_E_MALFORMED);
}

static const uint8_t *array_read(ks_json_parser *self, const uint8_t *at) {
    ks_json_value *of = ks_json_add(self, KS_JSON_ARRAY);
    at = list_read(self, at, of, ']');
    of->after = (uint32_t)self->out->count;
    return at;
}

static const uint8_t *object_read(ks_json_parser *self, const uint8_t *at) {
    size_t index = self->out->count;
    ks_json_value *of = ks_json_add(self, KS_JSON_OBJECT);
    at = list_read(self, at, of, '}');
    of->after = (uint32_t)self->out->count;
    if (at != NULL && ks_json_names_repeat(self->out, index)) {
        return ks_json_fail(self, KS_E_DUPLICATE);
    }
    return at;
}

static const uint8_t *nested_read(ks_json_parser *self, const uint8_t *at) {
    if (self->depth == self->max_depth) {
        return ks_json_fail(self, KS_E_TOO_LARGE);
    }
    self->depth++;
    at = *at == '{' ? object_read(self, at + 1) : array_read(self, at + 1);
    self->depth--;
    return at;
}

static const uint8_t *value_read(ks_json_parser *self, const uint8_t *at) {
    if (at == self->end) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    switch (*at) {
    case '"':
        return ks_json_read_string(self, at);
    case '{':
    case '[':
        return nested_read(self, at);
    case 't':
        return word_read(self, at, "true", KS_JSON_TRUE);
    case 'f':
        return word_read(self, at, "false", KS_JSON_FALSE);
    case 'n':
        return word_read(self, at, "null", KS_JSON_NULL);
    default:
        return ks_json_read_number(self, at);
    }
}

/* --- documents ---------------------------------------------------------------------------------- */

static ks_status document_read(ks_json_parser *self, const uint8_t *at) {
    at = value_read(self, next(self, at));
    if (at == NULL) {
        return self->fault;
    }
    int is_object = self->out->values[0].kind == KS_JSON_OBJECT;
    int is_whole = next(self, at) == self->end;
    return is_whole && is_object && !self->has_lone_surrogate ? KS_OK : KS_E_MALFORMED;
}

ks_status ks_json_parse_object(ks_view in, unsigned max_depth, ks_json *out) {
    out->count = 0;
    if (max_depth > KS_MAX_JSON_DEPTH) {
        return KS_E_ARGUMENT;
    }
    if (in.size > KS_MAX_JSON_BYTES) {
        return KS_E_TOO_LARGE;
    }
    ks_utf8 encoding = ks_utf8_check(in);
    if (in.size == 0 || encoding == KS_UTF8_NOT) {
        return KS_E_MALFORMED;
    }
    ks_json_parser parser = {
        .end = in.data + in.size,
        .out = out,
        .text = out->text,
        .max_depth = max_depth,
        .is_ascii = encoding == KS_UTF8_ASCII,
    };
    ks_status status = document_read(&parser, in.data);
    if (status != KS_OK) {
        out->count = 0;
        /* That it is too deep is said before anything else. Of a text that was read to its end the
         * depth is known, and need not be counted in advance. */
        return ks_json_is_deeper(in, max_depth) ? KS_E_TOO_LARGE : status;
    }
    return KS_OK;
}

/* --- what is in them ---------------------------------------------------------------------------- */

size_t ks_json_member(const ks_json *document, size_t object, const char *name) {
    const ks_json_value *values = document->values;
    ks_view wanted = {(const uint8_t *)name, strlen(name)};
    size_t end = values[object].after;
    for (size_t at = object + 1; at < end; at = values[at + 1].after) {
        if (ks_json_is(&values[at], wanted)) {
            return at + 1;
        }
    }
    return 0;
}

int ks_json_is(const ks_json_value *value, ks_view text) {
    return value->kind == KS_JSON_STRING && value->as.text.size == text.size &&
           (text.size == 0 || memcmp(value->as.text.data, text.data, text.size) == 0);
}
