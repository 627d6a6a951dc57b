/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, §2) of the 32 bytes of
 * a SHA-256 digest: who does not know the secret cannot choose digests that meet in one bucket.
 */
#ifndef REPLAY_SIPHASH_H
#define REPLAY_SIPHASH_H

#include <stdint.h>

#define REPLAY_KEY_BYTES 32

typedef struct replay_secret {
    uint64_t k0, k1;
} replay_secret;

typedef struct sip_state {
    uint64_t v0, v1, v2, v3;
} sip_state;

static inline uint64_t sip_rotl(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(sip_state *s) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = sip_rotl(s->v1, 13) ^ s->v0;
    s->v3 = sip_rotl(s->v3, 16) ^ s->v2;
    s->v0 = sip_rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = sip_rotl(s->v1, 17) ^ s->v2;
    s->v3 = sip_rotl(s->v3, 21) ^ s->v0;
    s->v2 = sip_rotl(s->v2, 32);
}

static inline void sip_word(sip_state *s, uint64_t word) {
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Eight octets, little-endian. */
static inline uint64_t sip_load(const uint8_t *octets) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)octets[i] << (8 * i);
    }
    return word;
}

static inline uint64_t replay_siphash(replay_secret secret, const uint8_t key[REPLAY_KEY_BYTES]) {
    sip_state s = {
        secret.k0 ^ UINT64_C(0x736f6d6570736575),
        secret.k1 ^ UINT64_C(0x646f72616e646f6d),
        secret.k0 ^ UINT64_C(0x6c7967656e657261),
        secret.k1 ^ UINT64_C(0x7465646279746573),
    };
    for (unsigned i = 0; i < REPLAY_KEY_BYTES; i += 8) {
        sip_word(&s, sip_load(key + i));
    }
    sip_word(&s, (uint64_t)REPLAY_KEY_BYTES << 56);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < 3; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
