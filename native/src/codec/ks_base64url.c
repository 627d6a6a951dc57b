#include "codec/ks_base64url.h"

#include <pthread.h>

#include "codec/ks_base64url_paths.h"

/* --- decoding ----------------------------------------------------------------------------------- */

/*
 * What a character is worth, plus GOOD; 0 for those outside the alphabet. So all characters of a text
 * are good if all entries, one AND the other, have that bit.
 */
#define GOOD 64u
#define TWO(character, value) \
    [character] = GOOD + (value), [(character) + 1] = GOOD + (value) + 1
#define FOUR(character, value) TWO(character, value), TWO((character) + 2, (value) + 2)
#define EIGHT(character, value) FOUR(character, value), FOUR((character) + 4, (value) + 4)

static const uint8_t worth[256] = {
    EIGHT('A', 0),  EIGHT('I', 8),  EIGHT('Q', 16), TWO('Y', 24),
    EIGHT('a', 26), EIGHT('i', 34), EIGHT('q', 42), TWO('y', 50),
    EIGHT('0', 52), TWO('8', 60),   ['-'] = GOOD + 62, ['_'] = GOOD + 63,
};

/* Four characters as 24 bits, GOOD taken out of each. */
#define GOODS (GOOD << 18 | GOOD << 12 | GOOD << 6 | GOOD)

static uint32_t four(const uint8_t text[4], uint32_t *good) {
    uint32_t a = worth[text[0]], b = worth[text[1]], c = worth[text[2]], d = worth[text[3]];
    *good &= a & b & c & d;
    return (a << 18) + (b << 12) + (c << 6) + d - GOODS;
}

/* The last two or three characters: one byte and four spare bits, or two and two. */
static uint32_t tail_decode(ks_view text, uint8_t *out, uint32_t *good) {
    const uint8_t padded[4] = {text.data[0], text.data[1], text.size == 3 ? text.data[2] : 'A', 'A'};
    uint32_t bits = four(padded, good);
    out[0] = (uint8_t)(bits >> 16);
    if (text.size == 2) {
        return bits & 0xffff;
    }
    out[1] = (uint8_t)(bits >> 8);
    return bits & 0xff;
}

static ks_status scalar_decode(ks_view text, uint8_t *out) {
    uint32_t good = GOOD, spare = 0;
    size_t at = 0;
    for (; text.size - at >= 4; at += 4, out += 3) {
        uint32_t bits = four(text.data + at, &good);
        out[0] = (uint8_t)(bits >> 16);
        out[1] = (uint8_t)(bits >> 8);
        out[2] = (uint8_t)bits;
    }
    if (at < text.size) {
        spare = tail_decode((ks_view){text.data + at, text.size - at}, out, &good);
    }
    return good == GOOD && spare == 0 ? KS_OK : KS_E_MALFORMED;
}

ks_status ks_base64url_decode_by(const ks_base64url_path *path, ks_view text, uint8_t *out) {
    if (text.size % 4 == 1) {
        return KS_E_MALFORMED;
    }
    size_t done = 0;
    if (path->decode_blocks != NULL) {
        done = path->decode_blocks(text, out);
    }
    if (done == text.size) {
        return KS_OK;
    }
    return scalar_decode((ks_view){text.data + done, text.size - done}, out + done / 4 * 3);
}

/* --- which path --------------------------------------------------------------------------------- */

const ks_base64url_path ks_base64url_scalar = {"scalar", NULL};

size_t ks_base64url_paths(const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS]) {
    size_t count = 0;
#if defined(__x86_64__)
    /* Also asks whether the operating system saves the registers. */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vbmi")) {
        paths[count++] = &ks_base64url_vbmi;
    }
    if (__builtin_cpu_supports("avx2")) {
        paths[count++] = &ks_base64url_avx2;
    }
#endif
    paths[count++] = &ks_base64url_scalar;
    return count;
}

static const ks_base64url_path *chosen = &ks_base64url_scalar;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void) {
    const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS];
    (void)ks_base64url_paths(paths);
    chosen = paths[0];
}

const ks_base64url_path *ks_base64url_chosen(void) {
    return pthread_once(&chosen_once, choose) == 0 ? chosen : &ks_base64url_scalar;
}

ks_status ks_base64url_decode(ks_view text, uint8_t *out) {
    return ks_base64url_decode_by(ks_base64url_chosen(), text, out);
}

/* --- encoding ----------------------------------------------------------------------------------- */

static const uint8_t alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void ks_base64url_encode(const uint8_t *data, size_t size, uint8_t *out) {
    size_t at = 0;
    for (; size - at >= 3; at += 3) {
        uint32_t bits = (uint32_t)data[at] << 16 | (uint32_t)data[at + 1] << 8 | data[at + 2];
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = alphabet[bits >> 6 & 63];
        *out++ = alphabet[bits & 63];
    }
    if (at == size) {
        return;
    }
    uint32_t bits = (uint32_t)data[at] << 16 | (at + 1 < size ? (uint32_t)data[at + 1] << 8 : 0);
    *out++ = alphabet[bits >> 18];
    *out++ = alphabet[bits >> 12 & 63];
    if (at + 1 < size) {
        *out++ = alphabet[bits >> 6 & 63];
    }
}
