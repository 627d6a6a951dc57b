/*
 * Between memory and lanes: eight jobs side by side, and what each lane fetches from its own table.
 * A part of p256_kernel_ifma.c.
 */
#ifndef P256_BLOCKS_H
#define P256_BLOCKS_H

#include <string.h>

#include "p256_kernel.h"

#include "kernel/kernel_lanes.h"

#include "p256_field_lanes.h"

#include "kernel/kernel_formulas.h"

#define MOST_BLOCKS (P256_MOST_JOBS / KS_LANES)

/* Tables are points in limbs; p256_kernel.h's windows of ten bits. 1.06 MB. */
typedef struct p256_wide {
    p256_entry window[P256_WIDE_WINDOWS][P256_WIDE_ENTRIES];
} p256_wide;

/*
 * For a key that was seen before: tooth i holds the first odd multiples of 2^(65 i) · P, so that u · P
 * is 52 additions and 60 doublings instead of 255. 5 KB.
 */
#define P256_COMB_BITS 5u
#define P256_COMB_TEETH 4u
#define P256_COMB_WINDOWS (P256_DIGIT_BITS / P256_COMB_BITS / P256_COMB_TEETH)
#define P256_COMB_ENTRIES (1u << (P256_COMB_BITS - 1))

typedef struct p256_comb {
    p256_entry teeth[P256_COMB_TEETH][P256_COMB_ENTRIES];
} p256_comb;

/* The odd multiples of eight keys that nobody has seen before. */
typedef odd_multiple point_table[P256_COMB_ENTRIES];

/* --- in and out of lanes ------------------------------------------------------------------------ */

typedef struct lane_digits {
    lanes word[P256_DIGIT_WORDS];
    lane_mask minus;
} lane_digits;

/* Where each lane's table starts, counted in octets from `base`. */
typedef struct lane_tables {
    const char *base;
    lanes offset;
} lane_tables;

typedef struct block {
    const p256_job *job[KS_LANES]; /* the last one again and again where there are fewer */
    lane_digits u1, u2;
    lane_tables key;
    jacobian sum;
} block;

static size_t block_count(size_t jobs) {
    return (jobs + KS_LANES - 1) / KS_LANES;
}

static lane_digits digits_load(const block *of, int second) {
    lane_digits out = {.minus = 0};
    lane_words words[P256_DIGIT_WORDS];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        const p256_signature *signature = of->job[lane]->signature;
        const p256_digits *digits = second ? &signature->u2 : &signature->u1;
        for (int i = 0; i < P256_DIGIT_WORDS; i++) {
            words[i].word[lane] = digits->word[i];
        }
        out.minus |= (lane_mask)(digits->minus << lane);
    }
    for (int i = 0; i < P256_DIGIT_WORDS; i++) {
        out.word[i] = words[i].all;
    }
    return out;
}

static fe limbs_load(const uint64_t *const limbs[KS_LANES]) {
    lane_words words[P256_LIMBS];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        for (int i = 0; i < P256_LIMBS; i++) {
            words[i].word[lane] = limbs[lane][i];
        }
    }
    fe out;
    for (int i = 0; i < P256_LIMBS; i++) {
        out.limb[i] = words[i].all;
    }
    return out;
}

static affine points_load(const p256_entry *const points[KS_LANES]) {
    const uint64_t *x[KS_LANES], *y[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        x[lane] = points[lane]->x;
        y[lane] = points[lane]->y;
    }
    return (affine){limbs_load(x), limbs_load(y)};
}

static void limbs_store(uint64_t (*limbs)[P256_LIMBS], fe a) {
    for (int i = 0; i < P256_LIMBS; i++) {
        lane_words words = {.all = lanes_and(a.limb[i], lanes_all(P256_LIMB_MASK))};
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            limbs[lane][i] = words.word[lane];
        }
    }
}

static void entries_store(p256_entry *const to[KS_LANES], affine points) {
    uint64_t x[KS_LANES][P256_LIMBS], y[KS_LANES][P256_LIMBS];
    limbs_store(x, points.x);
    limbs_store(y, points.y);
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        memcpy(to[lane]->x, x[lane], sizeof to[lane]->x);
        memcpy(to[lane]->y, y[lane], sizeof to[lane]->y);
    }
}

static void block_load(block *into, const p256_job *jobs, size_t count) {
    for (size_t lane = 0; lane < KS_LANES; lane++) {
        into->job[lane] = &jobs[lane < count ? lane : count - 1];
    }
    into->u1 = digits_load(into, 0);
    into->u2 = digits_load(into, 1);
}

static size_t blocks_load(block *blocks, const p256_job *jobs, size_t count) {
    for (size_t b = 0; b < block_count(count); b++) {
        block_load(&blocks[b], jobs + b * KS_LANES, count - b * KS_LANES);
    }
    return block_count(count);
}

/* --- tables ------------------------------------------------------------------------------------- */

/* Each lane's digit: the multiples to pass over, and the lanes that subtract. p256_digit_at, eightfold. */
LANES_INLINE lanes digit_at(const lane_digits *digits, unsigned bit, unsigned width,
                            lane_mask *minus) {
    unsigned low = bit % 64;
    lanes bits = lanes_shift_right(digits->word[bit / 64], low);
    if (low + width > 64) {
        bits = lanes_or(bits, lanes_shift_left(digits->word[bit / 64 + 1], 64 - low));
    }
    uint64_t half = UINT64_C(1) << (width - 1);
    lane_mask negative = lanes_disjoint(bits, lanes_all(half));
    lanes inverted = lanes_xor(bits, lanes_all(UINT64_MAX));
    *minus = negative ^ digits->minus;
    return lanes_and(lanes_choose(negative, inverted, bits), lanes_all(half - 1));
}

/* The limbs at `offset`, `stride` octets apart. */
LANES_INLINE fe limbs_gather(const char *base, lanes offset, size_t stride) {
    fe out;
    FE_EACH_LIMB
    for (size_t i = 0; i < P256_LIMBS; i++) {
        out.limb[i] = lanes_gather(base + i * stride, offset);
    }
    return out;
}

/* Each lane's p256_entry number `index` after `tables`, which differ from lane to lane. */
LANES_INLINE affine entries_gather(const lane_tables *tables, lanes index) {
    lanes offset = lanes_add(lanes_shift_left(index, 6), lanes_shift_left(index, 4)); /* 80 index */
    _Static_assert(sizeof(p256_entry) == 80, "what the shifts above say");
    offset = lanes_add(offset, tables->offset);
    return (affine){
        limbs_gather(tables->base, offset, sizeof(uint64_t)),
        limbs_gather(tables->base + offsetof(p256_entry, y), offset, sizeof(uint64_t)),
    };
}

/*
 * Asks for the entries that entries_gather will want with the same arguments. A wide table that others
 * have pushed out of the nearer caches takes as long to fetch as all the arithmetic, unless asked for
 * a window ahead.
 */
LANES_INLINE void entries_prefetch(const lane_tables *tables, lanes index) {
    lane_words offset;
    offset.all = lanes_add(lanes_shift_left(index, 6), lanes_shift_left(index, 4));
    offset.all = lanes_add(offset.all, tables->offset);
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        uintptr_t entry = (uintptr_t)tables->base + (uintptr_t)offset.word[lane];
        __builtin_prefetch((const char *)entry);
        __builtin_prefetch((const char *)(entry + 64)); /* 80 octets are always in two lines */
    }
}

/* Each lane's own multiple number `index` of a table in lanes. */
LANES_INLINE affine multiples_gather(const point_table *table, lanes index) {
    const lane_words own = {.word = {0, 8, 16, 24, 32, 40, 48, 56}};
    lanes offset = lanes_sub(lanes_shift_left(index, 10), lanes_shift_left(index, 6)); /* 960 index */
    _Static_assert(sizeof(odd_multiple) == 960, "what the shifts above say");
    offset = lanes_add(offset, own.all);
    const char *base = (const char *)table;
    return (affine){
        limbs_gather(base + offsetof(odd_multiple, at.x), offset, sizeof(lanes)),
        limbs_gather(base + offsetof(odd_multiple, at.y), offset, sizeof(lanes)),
    };
}

static lane_tables tables_of(const block *of) {
    lane_words offset;
    const char *base = (const char *)of->job[0]->key.table;
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        const char *table = (const char *)of->job[lane]->key.table;
        offset.word[lane] = (uint64_t)(uintptr_t)table - (uint64_t)(uintptr_t)base;
    }
    return (lane_tables){base, offset.all};
}

#endif
