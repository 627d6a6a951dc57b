#include "ks_point.h"

#include <string.h>

#include "codec/ks_base64url.h"

#define MAX_COORDINATE_BYTES (KS_MAX_POINT_BYTES / 2)

size_t ks_coordinate_bytes(ks_algorithm algorithm) {
    switch (algorithm) {
    case KS_ES256:
    case KS_ED25519:
        return 32;
    case KS_ES384:
        return 48;
    case KS_ES512:
        return 66;
    case KS_RS256:
    case KS_PS256:
        break;
    }
    return 0;
}

/* y of the eight points whose order divides 8, and those from p on: none of them can be a key. */
int ks_may_be_ed25519(const uint8_t *x) {
    static const uint8_t order_8[2][KS_ED25519_BYTES] = {
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    };
    uint8_t y[KS_ED25519_BYTES], middle = 0xff, above = 0;
    memcpy(y, x, sizeof y);
    y[KS_ED25519_BYTES - 1] &= 0x7f;
    if (memcmp(y, order_8[0], sizeof y) == 0 || memcmp(y, order_8[1], sizeof y) == 0) {
        return 0;
    }
    for (size_t i = 1; i + 1 < sizeof y; i++) {
        middle &= y[i];
        above |= y[i];
    }
    int is_0_or_1 = above == 0 && y[31] == 0 && y[0] <= 1;
    int is_above_p_less_2 = middle == 0xff && y[31] == 0x7f && y[0] >= 0xec; /* p - 1 = …7fff…ec */
    return !is_0_or_1 && !is_above_p_less_2;
}

static int read_coordinate(ks_view text, size_t size, uint8_t *out) {
    uint8_t room[MAX_COORDINATE_BYTES + KS_BASE64URL_SLACK];
    /* The length goes first: `room` has no room for another. */
    if (ks_base64url_bytes(text.size) != size || ks_base64url_decode(text, room) != KS_OK) {
        return 0;
    }
    memcpy(out, room, size);
    return 1;
}

int ks_point_read(ks_algorithm algorithm, ks_view x, ks_view y, uint8_t out[KS_MAX_POINT_BYTES],
                  ks_public_key *key) {
    size_t size = ks_coordinate_bytes(algorithm);
    if (size == 0 || !read_coordinate(x, size, out)) {
        return 0;
    }
    key->first = (ks_view){out, size};
    if (algorithm == KS_ED25519) {
        key->second = (ks_view){NULL, 0};
        return y.size == 0 && ks_may_be_ed25519(out);
    }
    key->second = (ks_view){out + size, size};
    return read_coordinate(y, size, out + size);
}
