/*
 * SHA-512 (FIPS 180-4 §6.4) of R ‖ A ‖ M, a message in each lane: a part of the kernels with eight lanes.
 *
 * Messages may have any lengths. All lanes go on until the longest message ends, and a lane whose own has
 * ended keeps its state; whoever calls keeps long messages away, which one would wait for.
 */
#ifndef SHA512_LANES_H
#define SHA512_LANES_H

#include <string.h>

#include "ed25519_kernel.h"

#define SHA512_BLOCK_OCTETS 128u
#define SHA512_WORDS 16
#define SHA512_ROUNDS 80
#define SHA512_STATE 8
/* The bit after the message, and its length of 128 bits. */
#define SHA512_PADDING_OCTETS 17u

static const uint64_t sha512_start[SHA512_STATE] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

static const uint64_t sha512_constant[SHA512_ROUNDS] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

typedef struct sha512_state {
    lanes word[SHA512_STATE];
} sha512_state;

/* --- the input ---------------------------------------------------------------------------------- */

static size_t hashed_octets(const ed25519_hashed *of) {
    return 2 * ED25519_OCTETS + of->message.size;
}

static size_t hashed_blocks(const ed25519_hashed *of) {
    return (hashed_octets(of) + SHA512_PADDING_OCTETS + SHA512_BLOCK_OCTETS - 1) / SHA512_BLOCK_OCTETS;
}

/* Block `index` of the padded input (FIPS 180-4 §5.1.2). */
static void hashed_block(uint8_t octets[SHA512_BLOCK_OCTETS], const ed25519_hashed *of, size_t index) {
    const size_t head = index == 0 ? 2 * ED25519_OCTETS : 0, from = index * SHA512_BLOCK_OCTETS;
    const size_t at = from + head - 2 * ED25519_OCTETS, end = hashed_octets(of);
    memset(octets, 0, SHA512_BLOCK_OCTETS);
    if (index == 0) {
        memcpy(octets, of->r, ED25519_OCTETS);
        memcpy(octets + ED25519_OCTETS, of->a, ED25519_OCTETS);
    }
    if (at < of->message.size) {
        size_t left = of->message.size - at, room = SHA512_BLOCK_OCTETS - head;
        memcpy(octets + head, of->message.data + at, left < room ? left : room);
    }
    if (end >= from && end - from < SHA512_BLOCK_OCTETS) {
        octets[end - from] = 0x80;
    }
    if (index + 1 == hashed_blocks(of)) {
        for (unsigned i = 0; i < 8; i++) {
            octets[SHA512_BLOCK_OCTETS - 1 - i] = (uint8_t)((uint64_t)end * 8 >> 8 * i);
        }
    }
}

/* The lanes whose messages reach as far as this block. */
static lane_mask words_load(lanes words[SHA512_WORDS], const ed25519_hashed *const of[KS_LANES],
                            size_t index) {
    lane_words loaded[SHA512_WORDS];
    unsigned active = 0;
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        uint8_t octets[SHA512_BLOCK_OCTETS] = {0};
        if (index < hashed_blocks(of[lane])) {
            active |= 1u << lane;
            hashed_block(octets, of[lane], index);
        }
        for (unsigned i = 0; i < SHA512_WORDS; i++) {
            uint64_t word = 0;
            for (unsigned j = 0; j < 8; j++) {
                word = word << 8 | octets[8 * i + j];
            }
            loaded[i].word[lane] = word;
        }
    }
    for (unsigned i = 0; i < SHA512_WORDS; i++) {
        words[i] = loaded[i].all;
    }
    return (lane_mask)active;
}

/* --- the compression ---------------------------------------------------------------------------- */

LANES_INLINE lanes sha512_sum(lanes a, unsigned first, unsigned second, unsigned third) {
    return lanes_xor_3(lanes_rotate_right(a, first), lanes_rotate_right(a, second),
                       lanes_rotate_right(a, third));
}

LANES_INLINE lanes sha512_mix(lanes a, unsigned first, unsigned second, unsigned shift) {
    return lanes_xor_3(lanes_rotate_right(a, first), lanes_rotate_right(a, second),
                       lanes_shift_right(a, shift));
}

/* Word t of the schedule, in the place of word t - 16, of which it is made. */
LANES_INLINE lanes sha512_schedule(lanes words[SHA512_WORDS], int t) {
    lanes *at = &words[t % SHA512_WORDS];
    if (t >= SHA512_WORDS) {
        lanes low = sha512_mix(words[(t + 1) % SHA512_WORDS], 1, 8, 7);
        lanes high = sha512_mix(words[(t + 14) % SHA512_WORDS], 19, 61, 6);
        *at = lanes_add(lanes_add(*at, low), lanes_add(words[(t + 9) % SHA512_WORDS], high));
    }
    return *at;
}

static void sha512_compress(sha512_state *state, lanes words[SHA512_WORDS], lane_mask active) {
    lanes v[SHA512_STATE];
    memcpy(v, state->word, sizeof v);
    for (int t = 0; t < SHA512_ROUNDS; t++) {
        lanes term = lanes_add(sha512_schedule(words, t), lanes_all(sha512_constant[t]));
        lanes first = lanes_add(lanes_add(v[7], term), sha512_sum(v[4], 14, 18, 41));
        first = lanes_add(first, lanes_select(v[4], v[5], v[6]));
        lanes second = lanes_add(sha512_sum(v[0], 28, 34, 39), lanes_majority(v[0], v[1], v[2]));
        for (int i = SHA512_STATE - 1; i > 0; i--) {
            v[i] = v[i - 1];
        }
        v[4] = lanes_add(v[4], first);
        v[0] = lanes_add(first, second);
    }
    for (int i = 0; i < SHA512_STATE; i++) {
        lanes sum = lanes_add(state->word[i], v[i]);
        state->word[i] = lanes_choose(active, sum, state->word[i]);
    }
}

/* --- digests ------------------------------------------------------------------------------------ */

static void digests_write(uint8_t (*digests)[2 * ED25519_OCTETS], size_t count,
                          const sha512_state *state) {
    for (unsigned i = 0; i < SHA512_STATE; i++) {
        lane_words of = {.all = state->word[i]};
        for (size_t lane = 0; lane < KS_LANES && lane < count; lane++) {
            for (unsigned j = 0; j < 8; j++) {
                digests[lane][8 * i + j] = (uint8_t)(of.word[lane] >> (56 - 8 * j));
            }
        }
    }
}

static void hash_lanes(uint8_t (*digests)[2 * ED25519_OCTETS], const ed25519_hashed *inputs,
                       size_t count) {
    const ed25519_hashed *of[KS_LANES];
    size_t blocks = 0;
    sha512_state state;
    for (size_t lane = 0; lane < KS_LANES; lane++) {
        of[lane] = &inputs[lane < count ? lane : count - 1];
        blocks = hashed_blocks(of[lane]) > blocks ? hashed_blocks(of[lane]) : blocks;
    }
    for (unsigned i = 0; i < SHA512_STATE; i++) {
        state.word[i] = lanes_all(sha512_start[i]);
    }
    for (size_t index = 0; index < blocks; index++) {
        lanes words[SHA512_WORDS];
        lane_mask active = words_load(words, of, index);
        sha512_compress(&state, words, active);
    }
    digests_write(digests, count, &state);
}

static void hash(uint8_t (*digests)[2 * ED25519_OCTETS], const ed25519_hashed *inputs,
                 size_t count) {
    for (size_t from = 0; from < count; from += KS_LANES) {
        hash_lanes(digests + from, inputs + from, count - from);
    }
}

#endif
