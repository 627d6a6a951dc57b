/*
 * Between words in memory and a field's limbs, for any field: include ed25519_field_lanes.h or
 * ed25519_field_portable.h first. In memory a number is ed25519_words.h's, below 2^256.
 */
#ifndef ED25519_MEMORY_H
#define ED25519_MEMORY_H

#include <stddef.h>

#define LANES_ALL_SET ((lane_mask)((1u << KS_LANES) - 1))

/* Limb i begins in this word, at this bit of it. */
#define FE_WORD_OF(i) ((i) * FE_LIMB_BITS / 64)
#define FE_BIT_OF(i) ((unsigned)((i) * FE_LIMB_BITS % 64))

FE_FUNCTION fe fe_of_words(const lanes word[ED25519_WORDS]) {
    fe out;
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        lanes limb = lanes_shift_right(word[FE_WORD_OF(i)], FE_BIT_OF(i));
        if (i < FE_LIMBS - 1 && FE_BIT_OF(i) + FE_LIMB_BITS > 64) {
            limb = lanes_or(limb, lanes_shift_left(word[FE_WORD_OF(i) + 1], 64 - FE_BIT_OF(i)));
        }
        /* The topmost limb keeps what is above bit 255. */
        out.limb[i] = i < FE_LIMBS - 1 ? lanes_and(limb, lanes_all(FE_LIMB_MASK)) : limb;
    }
    return out;
}

/* `a` is canonical. */
FE_FUNCTION void fe_to_words(lanes word[ED25519_WORDS], fe a) {
    for (int j = 0; j < ED25519_WORDS; j++) {
        word[j] = lanes_all(0);
    }
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        lanes *at = &word[FE_WORD_OF(i)];
        *at = lanes_or(*at, lanes_shift_left(a.limb[i], FE_BIT_OF(i)));
        if (i < FE_LIMBS - 1 && FE_BIT_OF(i) + FE_LIMB_BITS > 64) {
            at[1] = lanes_or(at[1], lanes_shift_right(a.limb[i], 64 - FE_BIT_OF(i)));
        }
    }
}

FE_FUNCTION fe fe_constant(const ed25519_number *number) {
    lanes word[ED25519_WORDS];
    for (int j = 0; j < ED25519_WORDS; j++) {
        word[j] = lanes_all(number->word[j]);
    }
    return fe_of_words(word);
}

/* A number for each lane. */
static inline fe fe_load(const ed25519_number *const numbers[KS_LANES]) {
    lanes word[ED25519_WORDS];
    for (int j = 0; j < ED25519_WORDS; j++) {
        lane_words of;
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            of.word[lane] = numbers[lane]->word[j];
        }
        word[j] = of.all;
    }
    return fe_of_words(word);
}

static inline void fe_store(ed25519_number *const numbers[KS_LANES], fe a) {
    lanes word[ED25519_WORDS];
    fe_to_words(word, fe_canonical(a));
    for (int j = 0; j < ED25519_WORDS; j++) {
        lane_words of = {.all = word[j]};
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            numbers[lane]->word[j] = of.word[lane];
        }
    }
}

/* The numbers at base + offset, an offset for each lane, in octets. */
FE_FUNCTION fe fe_gather(const char *base, lanes offset) {
    lanes word[ED25519_WORDS];
    FE_EACH_LIMB
    for (size_t j = 0; j < ED25519_WORDS; j++) {
        word[j] = lanes_gather(base + j * sizeof(uint64_t), offset);
    }
    return fe_of_words(word);
}

/* --- tests -------------------------------------------------------------------------------------- */

/* Where two canonical elements are the same. */
static inline lane_mask fe_equal(fe a, fe b) {
    lane_mask equal = LANES_ALL_SET;
    for (int i = 0; i < FE_LIMBS; i++) {
        equal &= lanes_equal(a.limb[i], b.limb[i]);
    }
    return equal;
}

/* Where an element, settled or loose, is 0 modulo p. */
static inline lane_mask fe_is_zero(fe a) {
    const ed25519_number zero = {{0}};
    return fe_equal(fe_canonical(a), fe_constant(&zero));
}

/* Where the lowest bit of a canonical element is 1. */
static inline lane_mask fe_is_odd(fe a) {
    return lanes_disjoint(a.limb[0], lanes_all(1)) ^ LANES_ALL_SET;
}

#endif
