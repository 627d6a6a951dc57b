/*
 * Verifying, in as many lanes as the kernel has: a part of the kernels, after ed25519_tables.h.
 *
 * A block is as many jobs side by side. Blocks are worked on ED25519_AT_ONCE at a time, one step of the
 * first and then the same step of the next: their instructions do not wait for each other, and the CPU
 * overlaps them.
 */
#ifndef ED25519_VERIFY_H
#define ED25519_VERIFY_H

#include "ed25519_tables.h"

#define MOST_BLOCKS (ED25519_MOST_JOBS / KS_LANES)

typedef struct lane_digits {
    lanes word[ED25519_DIGIT_WORDS];
} lane_digits;

/* Where each lane's table starts, counted in octets from `base`. */
typedef struct lane_tables {
    const char *base;
    lanes offset;
} lane_tables;

typedef struct block {
    const ed25519_job *job[KS_LANES]; /* the last one again and again where there are fewer */
    lane_digits s, h;
    lane_tables key;
    extended sum;
} block;

/* 0, -A, … -16A of the keys of a block that nobody has seen before. */
typedef projective_addend point_table[ED25519_NARROW_ENTRIES];

/* --- loading ------------------------------------------------------------------------------------ */

static lane_digits digits_load(const block *of, int hash) {
    lane_digits out;
    for (unsigned i = 0; i < ED25519_DIGIT_WORDS; i++) {
        lane_words word;
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            const ed25519_signature *signature = of->job[lane]->signature;
            word.word[lane] = (hash ? &signature->h : &signature->s)->word[i];
        }
        out.word[i] = word.all;
    }
    return out;
}

static void sum_start(block *of) {
    const affine neutral = {fe_constant(&(const ed25519_number){{0}}), fe_constant(&ed25519_one)};
    of->sum = extended_of(&neutral);
}

static size_t blocks_load(block *blocks, const ed25519_job *jobs, size_t count) {
    size_t all = (count + KS_LANES - 1) / KS_LANES;
    for (size_t b = 0; b < all; b++) {
        for (size_t lane = 0; lane < KS_LANES; lane++) {
            size_t i = b * KS_LANES + lane;
            blocks[b].job[lane] = &jobs[i < count ? i : count - 1];
        }
        blocks[b].s = digits_load(&blocks[b], 0);
        blocks[b].h = digits_load(&blocks[b], 1);
        sum_start(&blocks[b]);
    }
    return all;
}

static lane_tables tables_of(const block *of) {
    lane_words offset;
    const char *base = (const char *)of->job[0]->key.entries;
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        const char *table = (const char *)of->job[lane]->key.entries;
        offset.word[lane] = (uint64_t)(uintptr_t)table - (uint64_t)(uintptr_t)base;
    }
    return (lane_tables){base, offset.all};
}

/* --- digits and entries ------------------------------------------------------------------------- */

/* Each lane's digit of `width` bits at `bit`: its size, and the lanes where it is negative. */
LANES_INLINE lanes digit_at(const lane_digits *digits, unsigned bit, unsigned width,
                            lane_mask *minus) {
    unsigned low = bit % 64;
    lanes bits = lanes_shift_right(digits->word[bit / 64], low);
    if (low + width > 64) {
        bits = lanes_or(bits, lanes_shift_left(digits->word[bit / 64 + 1], 64 - low));
    }
    const lanes half = lanes_all(UINT64_C(1) << (width - 1));
    bits = lanes_and(bits, lanes_all((UINT64_C(1) << width) - 1));
    *minus = lanes_disjoint(bits, half);
    return lanes_choose(*minus, lanes_sub(half, bits), lanes_sub(bits, half));
}

/* The offset of each lane's entry number `index`. */
LANES_INLINE lanes entry_offset(const lane_tables *tables, lanes index) {
    _Static_assert(sizeof(ed25519_entry) == 64 + 32, "what the shifts say");
    lanes offset = lanes_add(lanes_shift_left(index, 6), lanes_shift_left(index, 5));
    return lanes_add(offset, tables->offset);
}

/* Each lane's entry number `index`, with y + x and y - x exchanged where it will be subtracted. */
LANES_INLINE addend entries_gather(const lane_tables *tables, lanes index, lane_mask minus) {
    const lanes zero = lanes_all(0), next = lanes_all(sizeof(ed25519_number));
    lanes offset = entry_offset(tables, index);
    return (addend){
        fe_gather(tables->base, lanes_add(offset, lanes_choose(minus, next, zero))),
        fe_gather(tables->base, lanes_add(offset, lanes_choose(minus, zero, next))),
        fe_gather(tables->base + offsetof(ed25519_entry, product), offset),
    };
}

/*
 * Asks for the entries that entries_gather will want. A wide table that others have pushed out of the
 * nearer caches takes as long to fetch as all the arithmetic, unless asked for a window ahead.
 */
LANES_INLINE void entries_prefetch(const lane_tables *tables, lanes index) {
    lane_words offset = {.all = entry_offset(tables, index)};
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        uintptr_t entry = (uintptr_t)tables->base + (uintptr_t)offset.word[lane];
        __builtin_prefetch((const char *)entry);
        __builtin_prefetch((const char *)(entry + 64)); /* 96 octets from a multiple of 32 on */
    }
}

LANES_INLINE fe multiples_gather(const fe *first, lanes offset) {
    fe out;
    FE_EACH_LIMB
    for (size_t i = 0; i < FE_LIMBS; i++) {
        out.limb[i] = lanes_gather((const char *)&first->limb[i], offset);
    }
    return out;
}

/* Each lane's own multiple number `index` of a table in lanes. */
static projective_addend table_gather(const point_table *table, lanes index, lane_mask minus) {
    const projective_addend *first = &(*table)[0];
    lane_words offset = {.all = index};
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        offset.word[lane] = offset.word[lane] * sizeof *first + lane * sizeof(uint64_t);
    }
    fe plus = multiples_gather(&first->by.plus, offset.all);
    fe less = multiples_gather(&first->by.minus, offset.all);
    return (projective_addend){
        {fe_choose(minus, less, plus), fe_choose(minus, plus, less),
         multiples_gather(&first->by.product, offset.all)},
        multiples_gather(&first->z, offset.all),
    };
}

/* --- steps of a sum ----------------------------------------------------------------------------- */

LANES_INLINE lanes wide_index(const lane_digits *digits, unsigned window, lane_mask *minus) {
    lanes index = digit_at(digits, window * ED25519_WIDE_BITS, ED25519_WIDE_BITS, minus);
    return lanes_add(index, lanes_all(window * ED25519_WIDE_ENTRIES));
}

static void add_wide(block *to, const lane_tables *table, const lane_digits *digits,
                     unsigned window) {
    lane_mask minus;
    if (window + 1 < ED25519_WIDE_WINDOWS) {
        entries_prefetch(table, wide_index(digits, window + 1, &minus));
    }
    lanes index = wide_index(digits, window, &minus);
    addend term = entries_gather(table, index, minus);
    extended_add(&to->sum, &term, minus);
}

static void blocks_double(block *blocks, size_t count) {
    for (unsigned i = 0; i < ED25519_NARROW_BITS; i++) {
        for (size_t b = 0; b < count; b++) {
            if (i + 1 < ED25519_NARROW_BITS) {
                extended_double(&blocks[b].sum);
            } else {
                extended_double_with_t(&blocks[b].sum);
            }
        }
    }
}

/* S B, on top of what is there. */
static void blocks_add_base(block *blocks, size_t count, const ed25519_wide *base) {
    const lane_tables table = {(const char *)base, lanes_all(0)};
    for (unsigned window = 0; window < ED25519_WIDE_WINDOWS; window++) {
        for (size_t b = 0; b < count; b++) {
            add_wide(&blocks[b], &table, &blocks[b].s, window);
        }
    }
}

/* --- the end ------------------------------------------------------------------------------------ */

/* Where R is the sum's encoding (RFC 8032 §5.1.2), octet by octet: another spelling of y is refused. */
static lane_mask encodes(const block *of, affine sum) {
    ed25519_number y[KS_LANES];
    const ed25519_number *at[KS_LANES];
    unsigned odd = 0;
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        y[lane] = of->job[lane]->signature->r;
        odd |= (unsigned)(y[lane].word[ED25519_SIGN_WORD] >> ED25519_SIGN_BIT) << lane;
        y[lane].word[ED25519_SIGN_WORD] &= ~(UINT64_C(1) << ED25519_SIGN_BIT);
        at[lane] = &y[lane];
    }
    lane_mask same_sign = (lane_mask)odd ^ fe_is_odd(fe_canonical(sum.x)) ^ LANES_ALL_SET;
    return fe_equal(fe_canonical(sum.y), fe_load(at)) & same_sign;
}

static void verdicts_write(const block *blocks, size_t count) {
    multiple sums[MOST_BLOCKS];
    for (size_t b = 0; b < count; b++) {
        sums[b].x = blocks[b].sum.x;
        sums[b].y = blocks[b].sum.y;
        sums[b].z = blocks[b].sum.z;
    }
    fe rest = lanes_invert(multiples_product(sums, count));
    for (size_t b = count; b-- > 0;) {
        lane_mask valid = encodes(&blocks[b], multiple_affine(&sums[b], &rest));
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            *blocks[b].job[lane]->verdict = (valid >> lane) & 1;
        }
    }
}

typedef void blocks_verify(block *blocks, size_t count, const ed25519_wide *base, void *scratch);

/* Loads the jobs, calls `sum` for a few blocks after the other, and compares. */
LANES_INLINE void jobs_verify(blocks_verify *sum, const ed25519_wide *base, const ed25519_job *jobs,
                              size_t count, void *scratch) {
    block blocks[MOST_BLOCKS];
    size_t all = blocks_load(blocks, jobs, count);
    for (size_t b = 0; b < all; b += ED25519_AT_ONCE) {
        sum(&blocks[b], all - b < ED25519_AT_ONCE ? all - b : ED25519_AT_ONCE, base, scratch);
    }
    verdicts_write(blocks, all);
}

/* --- a key with a wide table -------------------------------------------------------------------- */

static void blocks_sum_wide(block *blocks, size_t count, const ed25519_wide *base, void *scratch) {
    const lane_tables table = {(const char *)base, lanes_all(0)};
    (void)scratch;
    for (size_t b = 0; b < count; b++) {
        blocks[b].key = tables_of(&blocks[b]);
    }
    for (unsigned window = 0; window < ED25519_WIDE_WINDOWS; window++) {
        for (size_t b = 0; b < count; b++) {
            add_wide(&blocks[b], &table, &blocks[b].s, window);
        }
        for (size_t b = 0; b < count; b++) {
            add_wide(&blocks[b], &blocks[b].key, &blocks[b].h, window);
        }
    }
}

static void verify_wide(const ed25519_wide *base, const ed25519_job *jobs, size_t count) {
    jobs_verify(blocks_sum_wide, base, jobs, count, NULL);
}

/* --- a key that was seen before ----------------------------------------------------------------- */

static void add_comb(block *to, unsigned tooth, unsigned window) {
    lane_mask minus;
    unsigned bit = (tooth * ED25519_COMB_WINDOWS + window) * ED25519_NARROW_BITS;
    lanes index = digit_at(&to->h, bit, ED25519_NARROW_BITS, &minus);
    index = lanes_add(index, lanes_all(tooth * ED25519_NARROW_ENTRIES));
    addend term = entries_gather(&to->key, index, minus);
    extended_add(&to->sum, &term, minus);
}

static void blocks_sum_comb(block *blocks, size_t count, const ed25519_wide *base, void *scratch) {
    (void)scratch;
    for (size_t b = 0; b < count; b++) {
        blocks[b].key = tables_of(&blocks[b]);
    }
    for (unsigned window = ED25519_COMB_WINDOWS; window-- > 0;) {
        if (window + 1 < ED25519_COMB_WINDOWS) {
            blocks_double(blocks, count);
        }
        for (unsigned tooth = 0; tooth < ED25519_COMB_TEETH; tooth++) {
            for (size_t b = 0; b < count; b++) {
                if (tooth * ED25519_COMB_WINDOWS + window < ED25519_NARROW_WINDOWS) {
                    add_comb(&blocks[b], tooth, window);
                }
            }
        }
    }
    blocks_add_base(blocks, count, base);
}

static void verify_comb(const ed25519_wide *base, const ed25519_job *jobs, size_t count) {
    jobs_verify(blocks_sum_comb, base, jobs, count, NULL);
}

/* --- a key that nobody has seen before ---------------------------------------------------------- */

static void point_table_make(point_table *table, const block *of) {
    const ed25519_point *points[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        points[lane] = of->job[lane]->key.point;
    }
    affine point = points_load(points);
    const addend step = addend_of(&point);
    block neutral;
    sum_start(&neutral);
    extended at = neutral.sum;
    for (unsigned k = 0; k < ED25519_NARROW_ENTRIES; k++) {
        (*table)[k] = projective_addend_of(&at);
        if (k == 0) {
            at = extended_of(&point);
        } else if (k + 1 < ED25519_NARROW_ENTRIES) {
            extended_add(&at, &step, 0);
        }
    }
}

static void add_point(block *to, const point_table *table, unsigned window) {
    lane_mask minus;
    lanes index =
        digit_at(&to->h, window * ED25519_NARROW_BITS, ED25519_NARROW_BITS, &minus);
    projective_addend term = table_gather(table, index, minus);
    extended_add_projective(&to->sum, &term, minus);
}

static void blocks_sum_point(block *blocks, size_t count, const ed25519_wide *base, void *scratch) {
    point_table *tables = scratch;
    for (size_t b = 0; b < count; b++) {
        point_table_make(&tables[b], &blocks[b]);
    }
    for (unsigned window = ED25519_NARROW_WINDOWS; window-- > 0;) {
        if (window + 1 < ED25519_NARROW_WINDOWS) {
            blocks_double(blocks, count);
        }
        for (size_t b = 0; b < count; b++) {
            add_point(&blocks[b], &tables[b], window);
        }
    }
    blocks_add_base(blocks, count, base);
}

#define ED25519_SCRATCH_BYTES ((ED25519_AT_ONCE * sizeof(point_table) + 63) / 64 * 64)

static void verify_point(const ed25519_wide *base, const ed25519_job *jobs, size_t count,
                         void *scratch) {
    jobs_verify(blocks_sum_point, base, jobs, count, scratch);
}

#endif
