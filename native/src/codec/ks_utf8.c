#include "codec/ks_utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Where the first byte from `at` on is that is not ASCII, or the end. */
static size_t ascii_end(ks_view text, size_t at) {
    for (; text.size - at >= 32; at += 32) {
        const uint8_t *from = text.data + at;
        uint64_t words = word_at(from) | word_at(from + 8) | word_at(from + 16) | word_at(from + 24);
        if ((words & HIGH_BITS) != 0) {
            break;
        }
    }
    while (text.size - at >= 8 && (word_at(text.data + at) & HIGH_BITS) == 0) {
        at += 8;
    }
    while (at < text.size && text.data[at] < 0x80) {
        at++;
    }
    return at;
}

/*
 * Table 3-7 of the Unicode standard: the first byte says how many follow and, for four of its values,
 * what is left for the second.
 */
static size_t wide_bytes(const uint8_t *at, size_t left) {
    uint8_t first = at[0], least = 0x80, most = 0xbf;
    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first < 0xc2 || first > 0xf4 || left < size) {
        return 0;
    }
    least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : least;
    most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : most;
    if (at[1] < least || at[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

ks_utf8 ks_utf8_check(ks_view text) {
    size_t at = ascii_end(text, 0);
    if (at == text.size) {
        return KS_UTF8_ASCII;
    }
    while (at < text.size) {
        size_t size = wide_bytes(text.data + at, text.size - at);
        if (size == 0) {
            return KS_UTF8_NOT;
        }
        at = ascii_end(text, at + size);
    }
    return KS_UTF8_WIDE;
}

size_t ks_utf8_count(ks_view text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += (text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

size_t ks_utf8_write(uint32_t point, uint8_t *out) {
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, point >>= 6) {
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    }
    out[0] = (uint8_t)((size == 2 ? 0xc0u : size == 3 ? 0xe0u : 0xf0u) | point);
    return size;
}
