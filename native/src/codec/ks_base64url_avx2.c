/*
 * 32 characters at a time with AVX2, after Muła and Lemire, "Faster Base64 Encoding and Decoding Using
 * AVX2 Instructions", ACM Transactions on the Web 12 (2018), sections 3 and 4; with tables for the
 * alphabet of URLs.
 *
 * What a character is depends on its two halves of four bits, and a table of sixteen bytes is one
 * instruction. The upper half names a row of ASCII:
 *
 *     2  only "-"        4, 6  letters but for the first place     5  letters, and "_" last
 *     3  digits          7     letters up to "z"                   others have none of the alphabet
 */
#include "codec/ks_base64url_paths.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define BLOCK_CHARS 32u
#define BLOCK_BYTES 24u

/* A bit for each kind of row; `wrong_by_lower` has those in which that column is no character. */
enum { ROW_2 = 1, ROW_3 = 2, ROW_4_6 = 4, ROW_5 = 8, ROW_7 = 16, NO_ROW = 32 };
#define ONLY_LETTERS (ROW_2 | NO_ROW)
#define NO_LETTERS (ROW_2 | ROW_3 | ROW_5 | ROW_7 | NO_ROW)

/* The same sixteen bytes for both halves of a register, from column or row 0 on. */
#define TABLE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

static inline __m256i wrong(__m256i upper, __m256i lower) {
    const __m256i row_of =
        TABLE(NO_ROW, NO_ROW, ROW_2, ROW_3, ROW_4_6, ROW_5, ROW_4_6, ROW_7, NO_ROW, NO_ROW, NO_ROW,
              NO_ROW, NO_ROW, NO_ROW, NO_ROW, NO_ROW);
    const __m256i wrong_by_lower =
        TABLE(ROW_2 | ROW_4_6 | NO_ROW, ONLY_LETTERS, ONLY_LETTERS, ONLY_LETTERS, ONLY_LETTERS,
              ONLY_LETTERS, ONLY_LETTERS, ONLY_LETTERS, ONLY_LETTERS, ONLY_LETTERS,
              ROW_2 | ROW_3 | NO_ROW, NO_LETTERS, NO_LETTERS, NO_LETTERS & ~ROW_2, NO_LETTERS,
              NO_LETTERS & ~ROW_5);
    return _mm256_and_si256(_mm256_shuffle_epi8(row_of, upper),
                            _mm256_shuffle_epi8(wrong_by_lower, lower));
}

/* What has to be added to a character; "_" has a place of its own, row 0. */
static inline __m256i worth(__m256i text, __m256i upper) {
    const __m256i to_worth = TABLE(63 - '_', 0, 62 - '-', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a',
                                   0, 0, 0, 0, 0, 0, 0, 0);
    __m256i is_last = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('_'));
    __m256i row = _mm256_andnot_si256(is_last, upper);
    return _mm256_add_epi8(text, _mm256_shuffle_epi8(to_worth, row));
}

/* Of each four times six bits, 24 together at the front of a register's halves, and then of it. */
static inline __m256i packed(__m256i six) {
    const __m256i order = TABLE(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m256i twelve = _mm256_maddubs_epi16(six, _mm256_set1_epi32(0x01400140));
    __m256i all = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x00011000));
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(all, order),
                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}

/* Stores a whole register, eight bytes more than are meant; 0 if a character is not in the alphabet. */
static inline int block_decode(const uint8_t *text, uint8_t *out) {
    const __m256i half = _mm256_set1_epi8(0x0f);
    __m256i characters = _mm256_loadu_si256((const __m256i *)(const void *)text);
    __m256i lower = _mm256_and_si256(characters, half);
    __m256i upper = _mm256_and_si256(_mm256_srli_epi32(characters, 4), half);
    __m256i faults = wrong(upper, lower);
    _mm256_storeu_si256((__m256i *)(void *)out, packed(worth(characters, upper)));
    return _mm256_testz_si256(faults, faults);
}

static size_t blocks_decode(ks_view text, uint8_t *out) {
    size_t whole = text.size - text.size % 4, at = 0;
    for (; whole - at >= BLOCK_CHARS; at += BLOCK_CHARS) {
        if (!block_decode(text.data + at, out + at / 4 * 3)) {
            return at;
        }
    }
    if (at == 0 || at == whole) {
        return at;
    }
    /* The last block lies over the one before it. */
    size_t last = whole - BLOCK_CHARS;
    return block_decode(text.data + last, out + last / 4 * 3) ? whole : at;
}

_Static_assert(sizeof(__m256i) - BLOCK_BYTES <= KS_BASE64URL_SLACK, "stores stay in the slack");

const ks_base64url_path ks_base64url_avx2 = {"avx2", blocks_decode};

#endif
