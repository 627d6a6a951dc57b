#include <string.h>

#include "codec/ks_json_parser.h"
#include "codec/ks_utf8.h"

#define DELETE 0x7fu

/* --- eight characters at a time ----------------------------------------------------------------- */

#define ALL(byte) (0x0101010101010101u * (byte))
#define WORD_BYTES 8u

static uint64_t word_read(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/*
 * The high bit of each byte that is below `bound`, at most 128. Bytes above the first such one may
 * have theirs set as well, by its borrow; so the lowest bit is right, and whether there is one.
 */
static uint64_t bytes_below(uint64_t word, uint8_t bound) {
    return (word - ALL(bound)) & ~word & ALL(0x80u);
}
static uint64_t bytes_equal(uint64_t word, uint8_t byte) {
    return bytes_below(word ^ ALL(byte), 1);
}

/* The first quote, backslash or control character from `at` on, or the end. `*has_delete` becomes 1
 * if U+007F stands before it. */
static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end, uint8_t *has_delete) {
    while ((size_t)(end - at) >= WORD_BYTES) {
        uint64_t word = word_read(at), deletes = bytes_equal(word, DELETE);
        uint64_t stops =
            bytes_below(word, ' ') | bytes_equal(word, '"') | bytes_equal(word, '\\');
        if (stops != 0) {
            *has_delete |= (deletes & (stops ^ (stops - 1)) >> 1) != 0;
            return at + (unsigned)__builtin_ctzll(stops) / 8;
        }
        *has_delete |= deletes != 0;
        at += WORD_BYTES;
    }
    while (at < end && *at >= ' ' && *at != '"' && *at != '\\') {
        *has_delete |= *at++ == DELETE;
    }
    return at;
}

/* --- escapes ------------------------------------------------------------------------------------ */

static int hex_value(uint8_t digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The four digits at `at`, of which none may be missing; -1 if they are not that. */
static int32_t hex_read(const uint8_t *at, const uint8_t *end) {
    int32_t unit = 0;
    if (end - at < 4) {
        return -1;
    }
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

static int is_high(int32_t unit) {
    return unit >= 0xd800 && unit <= 0xdbff;
}
static int is_low(int32_t unit) {
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* RFC 8259 §7: `at` is behind "\u"; a high surrogate and a low one that follows are one character. */
static int32_t unicode_read(ks_json_parser *self) {
    int32_t unit = hex_read(self->at, self->end);
    if (unit < 0) {
        return -1;
    }
    self->at += 4;
    if (is_high(unit) && self->end - self->at >= 6 && memcmp(self->at, "\\u", 2) == 0) {
        int32_t low = hex_read(self->at + 2, self->end);
        if (is_low(low)) {
            self->at += 6;
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    self->has_lone_surrogate |= is_high(unit) || is_low(unit);
    return unit;
}

/* The character that the escape at `at` is, which goes behind it; -1 if it is none. */
static int32_t escape_read(ks_json_parser *self) {
    if (self->end - self->at < 2) {
        return -1;
    }
    self->at += 2;
    switch (self->at[-1]) {
    case '"':
    case '\\':
    case '/':
        return self->at[-1];
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        return unicode_read(self);
    default:
        return -1;
    }
}

/* --- strings ------------------------------------------------------------------------------------ */

static void described_add(ks_json_parser *self, ks_view text) {
    ks_json_value *value = ks_json_add(self, KS_JSON_STRING);
    value->as.text = text;
    value->count = (uint32_t)ks_utf8_count(text);
    for (size_t i = 0; i < text.size; i++) {
        value->has_control |= text.data[i] < ' ' || text.data[i] == DELETE;
    }
}

/* A string whose first escape is at `at`; `start` is behind its quote. What it is never takes more
 * bytes than how it is written, so out->text holds all strings of a text. */
static ks_status escaped_read(ks_json_parser *self, const uint8_t *start) {
    uint8_t *text = self->text, has_delete;
    for (;;) {
        size_t size = (size_t)(self->at - start);
        memcpy(self->text, start, size);
        self->text += size;
        if (self->at == self->end || *self->at < ' ') {
            return KS_E_MALFORMED;
        }
        if (*self->at == '"') {
            break;
        }
        int32_t point = escape_read(self);
        if (point < 0) {
            return KS_E_MALFORMED;
        }
        self->text += ks_utf8_write((uint32_t)point, self->text);
        start = self->at;
        self->at = plain_end(start, self->end, &has_delete);
    }
    self->at++;
    described_add(self, (ks_view){text, (size_t)(self->text - text)});
    return KS_OK;
}

ks_status ks_json_read_string(ks_json_parser *self) {
    const uint8_t *start = self->at + 1;
    uint8_t has_delete = 0;
    self->at = plain_end(start, self->end, &has_delete);
    if (self->at == self->end || *self->at != '"') {
        return escaped_read(self, start);
    }
    ks_json_value *value = ks_json_add(self, KS_JSON_STRING);
    value->as.text = (ks_view){start, (size_t)(self->at - start)};
    value->has_control = has_delete;
    value->count = (uint32_t)(self->is_ascii ? value->as.text.size : ks_utf8_count(value->as.text));
    self->at++;
    return KS_OK;
}
