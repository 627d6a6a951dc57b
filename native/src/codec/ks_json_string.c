#include <string.h>

#include "codec/ks_json_parser.h"
#include "codec/ks_utf8.h"

#define DELETE 0x7fu

/* --- many characters at a time ------------------------------------------------------------------ */

/*
 * A `block` is BLOCK characters; masks have BITS bits for each of them. Of a mask, the lowest bit that
 * is set is right, and so is whether one is: those above it may be set as well.
 */
#if defined(__SSE2__) /* every x86-64 */
#include <emmintrin.h>

#define BLOCK 16u
#define BITS 1u
typedef __m128i block;

static inline block block_read(const uint8_t *at) {
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}
static inline block block_equal(block of, uint8_t byte) {
    return _mm_cmpeq_epi8(of, _mm_set1_epi8((char)byte));
}
static inline uint64_t deletes_in(block of) {
    return (unsigned)_mm_movemask_epi8(block_equal(of, DELETE));
}
/* Quotes, backslashes and what is below the space. */
static inline uint64_t stops_in(block of) {
    block printing = _mm_cmpeq_epi8(_mm_max_epu8(of, _mm_set1_epi8(' ')), of);
    block others = _mm_or_si128(block_equal(of, '"'), block_equal(of, '\\'));
    return (unsigned)_mm_movemask_epi8(others) | (0xffffu ^ (unsigned)_mm_movemask_epi8(printing));
}
#else
#define BLOCK 8u
#define BITS 8u
typedef uint64_t block;

#define ALL(byte) (0x0101010101010101u * (byte))

static inline block block_read(const uint8_t *at) {
    block of;
    memcpy(&of, at, sizeof of);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    of = __builtin_bswap64(of);
#endif
    return of;
}
/* The high bit of each byte below `bound`, at most 128; its borrow may set that of bytes above. */
static inline uint64_t bytes_below(block of, uint8_t bound) {
    return (of - ALL(bound)) & ~of & ALL(0x80u);
}
static inline uint64_t bytes_equal(block of, uint8_t byte) {
    return bytes_below(of ^ ALL(byte), 1);
}
static inline uint64_t deletes_in(block of) {
    return bytes_equal(of, DELETE);
}
static inline uint64_t stops_in(block of) {
    return bytes_below(of, ' ') | bytes_equal(of, '"') | bytes_equal(of, '\\');
}
#endif

/* The first quote, backslash or control character from `at` on, or the end. `*has_delete` becomes 1
 * if U+007F stands before it. */
static inline const uint8_t *plain_end(const uint8_t *at, const uint8_t *end, uint8_t *has_delete) {
    for (; (size_t)(end - at) >= BLOCK; at += BLOCK) {
        block of = block_read(at);
        uint64_t stops = stops_in(of), deletes = deletes_in(of);
        if (stops != 0) {
            *has_delete |= (deletes & (stops ^ (stops - 1)) >> 1) != 0;
            return at + (unsigned)__builtin_ctzll(stops) / BITS;
        }
        *has_delete |= deletes != 0;
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

/* RFC 8259 §7: `*at` is behind "\u"; a high surrogate and a low one that follows are one character. */
static int32_t unicode_read(ks_json_parser *self, const uint8_t **at) {
    int32_t unit = hex_read(*at, self->end);
    if (unit < 0) {
        return -1;
    }
    *at += 4;
    if (is_high(unit) && self->end - *at >= 6 && memcmp(*at, "\\u", 2) == 0) {
        int32_t low = hex_read(*at + 2, self->end);
        if (is_low(low)) {
            *at += 6;
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    self->has_lone_surrogate |= is_high(unit) || is_low(unit);
    return unit;
}

/* The character that the escape at `*at` is, which goes behind it; -1 if it is none. */
static int32_t escape_read(ks_json_parser *self, const uint8_t **at) {
    if (self->end - *at < 2) {
        return -1;
    }
    *at += 2;
    switch ((*at)[-1]) {
    case '"':
    case '\\':
    case '/':
        return (*at)[-1];
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
        return unicode_read(self, at);
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
static const uint8_t *escaped_read(ks_json_parser *self, const uint8_t *start, const uint8_t *at) {
    uint8_t *text = self->text, *to = text, has_delete;
    for (;; at = plain_end(start, self->end, &has_delete)) {
        memcpy(to, start, (size_t)(at - start));
        to += at - start;
        if (at == self->end || *at != '\\') {
            break;
        }
        int32_t point = escape_read(self, &at);
        if (point < 0) {
            return ks_json_fail(self, KS_E_MALFORMED);
        }
        to += ks_utf8_write((uint32_t)point, to);
        start = at;
    }
    if (at == self->end || *at != '"') {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    self->text = to;
    described_add(self, (ks_view){text, (size_t)(to - text)});
    return at + 1;
}

const uint8_t *ks_json_read_string(ks_json_parser *self, const uint8_t *at) {
    const uint8_t *start = at + 1;
    uint8_t has_delete = 0;
    at = plain_end(start, self->end, &has_delete);
    if (at == self->end || *at != '"') {
        return escaped_read(self, start, at);
    }
    ks_json_value *value = ks_json_add(self, KS_JSON_STRING);
    value->as.text = (ks_view){start, (size_t)(at - start)};
    value->has_control = has_delete;
    value->count = (uint32_t)(self->is_ascii ? value->as.text.size : ks_utf8_count(value->as.text));
    return at + 1;
}
