/*
 * 64 characters at a time, after Muła and Lemire, "Base64 encoding and decoding at almost the speed of
 * a memory copy", Software: Practice and Experience 50 (2020), section 4; with a table for the alphabet
 * of URLs, and the last characters in a block that is filled up.
 *
 * The operations are those of ks_base64url_vbmi.h, or of native/test/vbmi_emulated.h.
 */
#ifndef KS_BASE64URL_BLOCKS_H
#define KS_BASE64URL_BLOCKS_H

#include "codec/ks_base64url.h"

#define BLOCK_CHARS 64u
#define BLOCK_BYTES 48u
_Static_assert(BLOCK_CHARS <= KS_BASE64URL_SLACK, "stores stay in the slack");

/* What each ASCII character is worth; NOT for those outside the alphabet. */
#define NOT 0x80
#define NOT_4 NOT, NOT, NOT, NOT
#define NOT_16 NOT_4, NOT_4, NOT_4, NOT_4
static const uint8_t block_worth[2 * BLOCK_CHARS] = {
    NOT_16, NOT_16,
    NOT_4, NOT_4, NOT_4, NOT, /* - */ 62, NOT, NOT,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NOT, NOT, NOT_4,
    NOT, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NOT_4, /* _ */ 63,
    NOT, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NOT_4, NOT,
};

/* Where each byte of the result is, in words of four bytes that hold 24 bits; the rest is of no use. */
#define THREE(word) 4 * (word) + 2, 4 * (word) + 1, 4 * (word)
#define TWELVE(word) THREE(word), THREE((word) + 1), THREE((word) + 2), THREE((word) + 3)
static const uint8_t block_order[BLOCK_CHARS] = {TWELVE(0), TWELVE(4), TWELVE(8), TWELVE(12)};

/* `count` characters, a multiple of four; 0 if one is not in the alphabet. Stores a whole block. */
static inline int block_decode(const uint8_t *text, size_t count, uint8_t *out) {
    block characters = block_load(text, count, 'A');
    block six = block_look_up(block_load(block_worth, BLOCK_CHARS, 0), characters,
                              block_load(block_worth + BLOCK_CHARS, BLOCK_CHARS, 0));
    block twelve = block_add_pairs_of_bytes(six, 64, 1);
    block words = block_add_pairs_of_halves(twelve, 4096, 1);
    block_store(out, block_permute(words, block_load(block_order, BLOCK_CHARS, 0)));
    /* A character above ASCII has the high bit itself, and chose a worth by its others. */
    return !block_has_high_bit(block_or(six, characters));
}

static inline size_t blocks_decode(ks_view text, uint8_t *out) {
    size_t whole = text.size - text.size % 4, at = 0;
    while (at < whole) {
        size_t count = whole - at < BLOCK_CHARS ? whole - at : BLOCK_CHARS;
        if (!block_decode(text.data + at, count, out + at / 4 * 3)) {
            break;
        }
        at += count;
    }
    return at;
}

#endif
