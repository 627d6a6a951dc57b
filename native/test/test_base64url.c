/* Every path of base64url that runs here, and the blocks of the one that may not, over its emulation. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec/ks_base64url_paths.h"

#if defined(__x86_64__) /* the emulation keeps the byte order of what it emulates */
#include "vbmi_emulated.h"

#include "codec/ks_base64url_blocks.h"

static const ks_base64url_path emulated = {"emulated", blocks_decode};
#define EMULATED 1u
#else
#define EMULATED 0u
#endif

#define MOST_BYTES 260u
#define MOST_CHARS (MOST_BYTES * 4 / 3 + 3)
#define UNTOUCHED 0xa5

static const uint8_t alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS + EMULATED];
static size_t path_count;

static size_t chars_of(size_t bytes) {
    return (4 * bytes + 2) / 3;
}

static void octets_make(uint8_t *octets, size_t size) {
    for (size_t i = 0; i < size; i++) {
        octets[i] = (uint8_t)(i * 167 + size * 59 + (i >> 3));
    }
}

/* Both sides stand in memory of exactly the promised sizes, for the address sanitizer to watch. */
static ks_status decode(const ks_base64url_path *path, const uint8_t *text, size_t size,
                        uint8_t *found) {
    size_t bytes = ks_base64url_bytes(size);
    uint8_t *in = malloc(size), *out = malloc(bytes + KS_BASE64URL_SLACK);
    CHECK((in != NULL || size == 0) && out != NULL);
    if (size > 0) {
        memcpy(in, text, size);
    }
    ks_status status = ks_base64url_decode_by(path, (ks_view){in, size}, out);
    memcpy(found, out, bytes);
    free(out);
    free(in);
    return status;
}

static void each_decodes(const uint8_t *text, size_t size, const uint8_t *expected) {
    uint8_t found[MOST_BYTES];
    for (size_t i = 0; i < path_count; i++) {
        CHECK(decode(paths[i], text, size, found) == KS_OK);
        CHECK(memcmp(found, expected, ks_base64url_bytes(size)) == 0);
    }
}

static void each_refuses(const uint8_t *text, size_t size) {
    uint8_t found[MOST_BYTES];
    for (size_t i = 0; i < path_count; i++) {
        CHECK(decode(paths[i], text, size, found) == KS_E_MALFORMED);
    }
}

/* RFC 4648 §10, without the padding, and the last two characters of the alphabet. */
static void test_published(void) {
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)pairs[i][0], *text = (const uint8_t *)pairs[i][1];
        size_t size = strlen(pairs[i][1]);
        uint8_t out[16] = {0};
        ks_base64url_encode(bytes, strlen(pairs[i][0]), out);
        CHECK(memcmp(out, text, size + 1) == 0);
        each_decodes(text, size, bytes);
    }
}

static void test_every_length(void) {
    uint8_t octets[MOST_BYTES], text[MOST_CHARS + 1];
    for (size_t size = 0; size <= MOST_BYTES; size++) {
        octets_make(octets, size);
        text[chars_of(size)] = UNTOUCHED;
        ks_base64url_encode(octets, size, text);
        CHECK(text[chars_of(size)] == UNTOUCHED);
        each_decodes(text, chars_of(size), octets);
    }
}

static void test_impossible_lengths(void) {
    uint8_t text[MOST_CHARS];
    memset(text, 'A', sizeof text);
    for (size_t size = 1; size < MOST_CHARS; size += 4) {
        each_refuses(text, size);
    }
}

/* All 256 values at every place of texts that end in each way, in a block and behind the last one. */
static void test_every_character_everywhere(void) {
    static const size_t sizes[] = {4, 34, 67, 132};
    uint8_t text[MOST_CHARS], octets[MOST_BYTES];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t whole = sizes[i] - sizes[i] % 4;
        memset(text, 'A', sizes[i]);
        for (size_t at = 0; at < whole; at++) {
            for (unsigned value = 0; value < 256; value++) {
                const uint8_t *found = value == 0 ? NULL : memchr(alphabet, (int)value, 64);
                text[at] = (uint8_t)value;
                if (found == NULL) {
                    each_refuses(text, sizes[i]);
                    continue;
                }
                uint32_t bits = (uint32_t)(found - alphabet) << 6 * (3 - at % 4);
                memset(octets, 0, sizeof octets);
                octets[at / 4 * 3] = (uint8_t)(bits >> 16);
                octets[at / 4 * 3 + 1] = (uint8_t)(bits >> 8);
                octets[at / 4 * 3 + 2] = (uint8_t)bits;
                each_decodes(text, sizes[i], octets);
            }
            text[at] = 'A';
        }
    }
}

/* One value has one spelling: of the last character's bits, those that spell nothing are zero. */
static void test_trailing_bits(void) {
    static const size_t wholes[] = {0, 32, 64, 96, 128};
    uint8_t text[MOST_CHARS], octets[MOST_BYTES];
    memset(text, 'A', sizeof text);
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        for (size_t tail = 2; tail <= 3; tail++) {
            size_t size = wholes[i] + tail, last = wholes[i] / 4 * 3 + tail - 2;
            for (unsigned value = 0; value < 64; value++) {
                text[size - 1] = alphabet[value];
                memset(octets, 0, sizeof octets);
                octets[last] = (uint8_t)(tail == 2 ? value >> 4 : value >> 2);
                if (value % (tail == 2 ? 16 : 4) == 0) {
                    each_decodes(text, size, octets);
                } else {
                    each_refuses(text, size);
                }
            }
            text[size - 1] = 'A';
        }
    }
}

void test_base64url(void) {
    path_count = ks_base64url_paths(paths);
    CHECK(paths[0] == ks_base64url_chosen());
    CHECK(paths[path_count - 1] == &ks_base64url_scalar);
#if EMULATED
    paths[path_count++] = &emulated;
#endif
    test_published();
    test_every_length();
    test_impossible_lengths();
    test_every_character_everywhere();
    test_trailing_bits();
}
