/*
 * JSON: the array of a document is what ks_json.h says, and a document that is written from it and
 * parsed again is the same document. The first byte of the input is the depth.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/ks_json.h"
#include "codec/ks_utf8.h"

/* What is written may be longer than what was parsed: control characters become six. */
#define MOST_WRITTEN (8u * KS_MAX_JSON_BYTES)

static ks_json first, second;
static char written[MOST_WRITTEN];
static size_t written_size;

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

/* --- the array ---------------------------------------------------------------------------------- */

static void string_check(const ks_json_value *value) {
    ks_view text = value->as.text;
    int has_control = 0;
    require(ks_utf8_check(text) != KS_UTF8_NOT);
    require(value->count == ks_utf8_count(text));
    for (size_t i = 0; i < text.size; i++) {
        has_control |= text.data[i] < ' ' || text.data[i] == 0x7f;
    }
    require(value->has_control == has_control);
}

/* Returns the index behind the value at `at`, which its `after` must be. */
static size_t value_check(const ks_json *of, size_t at, unsigned depth) {
    const ks_json_value *value = &of->values[at];
    size_t after = at + 1;
    require(at < of->count && value->kind <= KS_JSON_OBJECT);
    if (value->kind == KS_JSON_STRING) {
        string_check(value);
    } else if (value->kind == KS_JSON_ARRAY || value->kind == KS_JSON_OBJECT) {
        require(depth > 0);
        for (uint32_t i = 0; i < value->count; i++) {
            if (value->kind == KS_JSON_OBJECT) {
                require(of->values[after].kind == KS_JSON_STRING);
                after = value_check(of, after, 0);
            }
            after = value_check(of, after, depth - 1);
        }
    }
    require(after == value->after);
    return after;
}

/* --- writing ------------------------------------------------------------------------------------ */

static void put(const void *bytes, size_t size) {
    require(size <= MOST_WRITTEN - written_size);
    memcpy(written + written_size, bytes, size);
    written_size += size;
}

static void put_string(ks_view text) {
    char escape[8];
    put("\"", 1);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < ' ' || byte == '"' || byte == '\\') {
            put(escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", byte));
        } else {
            put(&byte, 1);
        }
    }
    put("\"", 1);
}

static void put_scalar(const ks_json_value *value) {
    char number[40];
    switch (value->kind) {
    case KS_JSON_INTEGER:
        put(number, (size_t)snprintf(number, sizeof number, "%" PRId64, value->as.integer));
        break;
    case KS_JSON_NUMBER:
        put(number, (size_t)snprintf(number, sizeof number, "%.17e", value->as.number));
        break;
    case KS_JSON_STRING:
        put_string(value->as.text);
        break;
    case KS_JSON_NULL:
        put("null", 4);
        break;
    default:
        put(value->kind == KS_JSON_TRUE ? "true " : "false", 5);
    }
}

static void put_value(const ks_json *of, size_t at) {
    const ks_json_value *value = &of->values[at];
    if (value->kind != KS_JSON_ARRAY && value->kind != KS_JSON_OBJECT) {
        put_scalar(value);
        return;
    }
    put(value->kind == KS_JSON_ARRAY ? "[" : "{", 1);
    for (size_t i = at + 1; i < value->after; i = of->values[i].after) {
        put(",", i == at + 1 ? 0 : 1);
        if (value->kind == KS_JSON_OBJECT) {
            put_scalar(&of->values[i++]);
            put(":", 1);
        }
        put_value(of, i);
    }
    put(value->kind == KS_JSON_ARRAY ? "]" : "}", 1);
}

/* --- the same again ----------------------------------------------------------------------------- */

static void same_value(const ks_json_value *a, const ks_json_value *b) {
    require(a->kind == b->kind && a->after == b->after && a->count == b->count);
    if (a->kind == KS_JSON_STRING) {
        require(ks_json_is(a, b->as.text) && a->has_control == b->has_control);
    } else if (a->kind == KS_JSON_INTEGER) {
        require(a->as.integer == b->as.integer);
    } else if (a->kind == KS_JSON_NUMBER) {
        require(memcmp(&a->as.number, &b->as.number, sizeof a->as.number) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    unsigned depth = data[0] % (KS_MAX_JSON_DEPTH + 1);
    if (ks_json_parse_object((ks_view){data + 1, size - 1}, depth, &first) != KS_OK) {
        require(first.count == 0);
        return 0;
    }
    require(first.values[0].kind == KS_JSON_OBJECT);
    require(value_check(&first, 0, depth) == first.count);
    written_size = 0;
    put_value(&first, 0);
    if (written_size > KS_MAX_JSON_BYTES) {
        return 0;
    }
    ks_view again = {(const uint8_t *)written, written_size};
    require(ks_json_parse_object(again, depth, &second) == KS_OK && second.count == first.count);
    for (size_t i = 0; i < first.count; i++) {
        same_value(&first.values[i], &second.values[i]);
    }
    return 0;
}
