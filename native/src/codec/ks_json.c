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

static ks_status value_read(ks_json_parser *self);

/* Goes to the next character that is no white space; 0 if none is left. */
static int next(ks_json_parser *self) {
    while (self->at < self->end) {
        uint8_t character = *self->at;
        if (character > ' ' ||
            (character != ' ' && character != '\n' && character != '\r' && character != '\t')) {
            return 1;
        }
        self->at++;
    }
    return 0;
}

/* Goes behind `character` if that is next. */
static int take(ks_json_parser *self, uint8_t character) {
    if (next(self) && *self->at == character) {
        self->at++;
        return 1;
    }
    return 0;
}

static ks_status word_read(ks_json_parser *self, const char *word, ks_json_kind kind) {
    size_t size = strlen(word);
    if ((size_t)(self->end - self->at) < size || memcmp(self->at, word, size) != 0) {
        return KS_E_MALFORMED;
    }
    self->at += size;
    (void)ks_json_add(self, kind);
    return KS_OK;
}

/* --- objects and arrays ------------------------------------------------------------------------- */

static ks_status member_read(ks_json_parser *self) {
    if (!next(self) || *self->at != '"') {
        return KS_E_MALFORMED;
    }
    ks_status status = ks_json_read_string(self);
    if (status != KS_OK) {
        return status;
    }
    return take(self, ':') ? value_read(self) : KS_E_MALFORMED;
}

/* Members or items, until `closing`. */
static ks_status list_read(ks_json_parser *self, ks_json_value *of, uint8_t closing,
                           ks_status (*read)(ks_json_parser *)) {
    if (take(self, closing)) {
        return KS_OK;
    }
    do {
        ks_status status = read(self);
        if (status != KS_OK) {
            return status;
        }
        of->count++;
    } while (take(self, ','));
    return take(self, closing) ? KS_OK : KS_E_MALFORMED;
}

static ks_status nested_read(ks_json_parser *self, ks_json_kind kind) {
    if (self->depth == self->max_depth) {
        return KS_E_TOO_LARGE;
    }
    self->depth++;
    self->at++;
    size_t index = self->out->count;
    ks_json_value *of = ks_json_add(self, kind);
    ks_status status = kind == KS_JSON_OBJECT ? list_read(self, of, '}', member_read)
                                              : list_read(self, of, ']', value_read);
    if (status == KS_OK && kind == KS_JSON_OBJECT && ks_json_names_repeat(self->out, index)) {
        status = KS_E_DUPLICATE;
    }
    of->after = (uint32_t)self->out->count;
    self->depth--;
    return status;
}

static ks_status value_read(ks_json_parser *self) {
    if (!next(self)) {
        return KS_E_MALFORMED;
    }
    switch (*self->at) {
    case '"':
        return ks_json_read_string(self);
    case '{':
        return nested_read(self, KS_JSON_OBJECT);
    case '[':
        return nested_read(self, KS_JSON_ARRAY);
    case 't':
        return word_read(self, "true", KS_JSON_TRUE);
    case 'f':
        return word_read(self, "false", KS_JSON_FALSE);
    case 'n':
        return word_read(self, "null", KS_JSON_NULL);
    default:
        return ks_json_read_number(self);
    }
}

/* --- documents ---------------------------------------------------------------------------------- */

static ks_status document_read(ks_json_parser *self) {
    ks_status status = value_read(self);
    if (status != KS_OK) {
        return status;
    }
    int is_object = self->out->values[0].kind == KS_JSON_OBJECT;
    return !next(self) && is_object && !self->has_lone_surrogate ? KS_OK : KS_E_MALFORMED;
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
        .at = in.data,
        .end = in.data + in.size,
        .out = out,
        .text = out->text,
        .max_depth = max_depth,
        .is_ascii = encoding == KS_UTF8_ASCII,
    };
    ks_status status = document_read(&parser);
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
