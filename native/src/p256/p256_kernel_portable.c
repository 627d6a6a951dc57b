/*
 * Signatures with tables, on any CPU. Tables are affine points in four words a coordinate, a cache line
 * each.
 *
 * A signature's sum u1 · G + u2 · Q is split into sums of eleven table entries each, "rows":
 *
 *   G, and a wide table's Q    3 rows   windows 0 to 10 of eight bits, 11 to 21, and 22 to 32
 *   a comb's Q                 6 rows   row i has window i of each tooth, of four bits
 *
 * Many signatures at a time, rows are affine sums (kernel_sums.h); a few at a time, their entries go one
 * by one into the Jacobian sum into which the rows would go.
 *
 * No row meets an exception. It adds windows from the lowest to the highest, and windows that are below
 * another add up to less than that one's weight. So if a sum met its next term, or that term's negative,
 * the two multipliers would differ by k · n with 0 < |k| < 2^9. Most rows' multipliers are too small for
 * that. Those of the others (windows 22 to 32, and a comb's last two rows) are divisible by 2^16; n is odd,
 * so k would be divisible by as much.
 */
#include "p256_kernel.h"

#include "p256_field_portable.h"

#include "kernel/kernel_formulas.h"
#include "kernel/kernel_invert_all.h"
#include "kernel/kernel_sums.h"

#define ROW_TERMS 11u

/*
 * For a point that recurs much, G or an issuer's key: window i holds P, 3P, … 255P times 2^(8 i), so that
 * u · P is 33 additions and no doubling. 270 KB: two such tables about fill a second-level cache of 512 KB,
 * and what windows of ten bits save in additions they lose by leaving it.
 */
#define WIDE_BITS 8u
#define WIDE_WINDOWS (P256_LONGER_DIGIT_BITS / WIDE_BITS)
#define WIDE_ROWS (WIDE_WINDOWS / ROW_TERMS)
#define WIDE_ENTRIES (1u << (WIDE_BITS - 1))

typedef struct wide {
    affine window[WIDE_WINDOWS][WIDE_ENTRIES];
} wide;

/*
 * For a key that was seen before: tooth i holds P, 3P, … 15P times 2^(24 i), so that u · P is 66 additions
 * and 20 doublings instead of 255. 5.6 KB.
 */
#define COMB_BITS 4u
#define COMB_ROWS (P256_LONGER_DIGIT_BITS / COMB_BITS / ROW_TERMS)
#define COMB_ENTRIES (1u << (COMB_BITS - 1))

typedef affine tooth[COMB_ENTRIES];

typedef struct comb {
    tooth teeth[ROW_TERMS];
} comb;

/* --- building ----------------------------------------------------------------------------------- */

static void powers_of(affine *powers, size_t count, unsigned spacing, const p256_entry *point) {
    p256_entry entries[P256_MOST_POWERS];
    ks_p256_powers(entries, count, spacing, point);
    for (size_t i = 0; i < count; i++) {
        powers[i] = (affine){fe_load(entries[i].x), fe_load(entries[i].y)};
    }
}

static void entries_store(affine *entries, const odd_multiple *multiples, size_t count) {
    for (size_t k = 0; k < count; k++) {
        entries[k] = multiples[k].at;
    }
}

static int build_wide(void *into, const p256_entry *point) {
    wide *table = into;
    affine powers[WIDE_WINDOWS];
    odd_multiple multiples[WIDE_ENTRIES];
    powers_of(powers, WIDE_WINDOWS, WIDE_BITS, point);
    for (size_t window = 0; window < WIDE_WINDOWS; window++) {
        fe z = odd_multiples_start(multiples, WIDE_ENTRIES, &powers[window]);
        if (fe_is_zero(z)) {
            return 0; /* `point` was none of the curve's */
        }
        odd_multiples_finish(multiples, WIDE_ENTRIES, fe_invert(z));
        entries_store(table->window[window], multiples, WIDE_ENTRIES);
    }
    return 1;
}

static void build_comb(comb *table, const p256_entry *point) {
    affine powers[ROW_TERMS];
    odd_multiple multiples[ROW_TERMS][COMB_ENTRIES];
    fe z[ROW_TERMS], before[ROW_TERMS];
    powers_of(powers, ROW_TERMS, COMB_ROWS * COMB_BITS, point);
    for (size_t i = 0; i < ROW_TERMS; i++) {
        z[i] = odd_multiples_start(multiples[i], COMB_ENTRIES, &powers[i]);
    }
    invert_all(z, before, ROW_TERMS);
    for (size_t i = 0; i < ROW_TERMS; i++) {
        odd_multiples_finish(multiples[i], COMB_ENTRIES, z[i]);
        entries_store(table->teeth[i], multiples[i], COMB_ENTRIES);
    }
}

static void build_combs(void *const *combs, const p256_entry *const *points, size_t count,
                        void *scratch) {
    (void)scratch;
    for (size_t i = 0; i < count; i++) {
        build_comb(combs[i], points[i]);
    }
}

/* --- rows --------------------------------------------------------------------------------------- */

/* Entry `index` of a row of a signature's sum. */
typedef term row_term(const void *table, const p256_digits *digits, unsigned row, unsigned index);

static term term_of(const affine *entries, p256_digit digit) {
    const affine *at = &entries[digit.index];
    __builtin_prefetch(at);
    return (term){at, digit.minus};
}

static term wide_term(const void *table, const p256_digits *digits, unsigned row, unsigned index) {
    unsigned window = row * ROW_TERMS + index;
    return term_of(((const wide *)table)->window[window],
                   p256_digit_at(digits, window * WIDE_BITS, WIDE_BITS));
}

static term comb_term(const void *table, const p256_digits *digits, unsigned row, unsigned index) {
    unsigned window = index * COMB_ROWS + row;
    return term_of(((const comb *)table)->teeth[index],
                   p256_digit_at(digits, window * COMB_BITS, COMB_BITS));
}

/* A point's part in a signature's sum. */
typedef struct part {
    row_term *term_at;
    const void *table;
    p256_digits digits;
} part;

/* --- rows as affine sums ------------------------------------------------------------------------ */

#define MOST_ROWS 256u

/* Below this many signatures the inversions cost more than they save. */
#define LEAST_TOGETHER 8u

typedef struct rows {
    const part *of[MOST_ROWS];
    unsigned number[MOST_ROWS]; /* of the row, within its part */
    size_t count;
    affine sums[MOST_ROWS];
} rows;

static void rows_add(rows *self, const part *of, unsigned count) {
    for (unsigned number = 0; number < count; number++) {
        self->of[self->count] = of;
        self->number[self->count] = number;
        self->count++;
    }
}

/* 0 if one met an exception, which no key brings about (see the top), and then all go the other way. */
static int rows_sum(rows *self) {
    term terms[MOST_ROWS];
    fe before[MOST_ROWS];
    for (unsigned index = 0; index < ROW_TERMS; index++) {
        for (size_t k = 0; k < self->count; k++) {
            const part *of = self->of[k];
            terms[k] = of->term_at(of->table, &of->digits, self->number[k], index);
        }
        for (size_t k = 0; index == 0 && k < self->count; k++) {
            self->sums[k] = term_point(&terms[k]);
        }
        if (index > 0 && !sums_add(self->sums, terms, before, self->count)) {
            return 0;
        }
    }
    return 1;
}

/* --- the whole sum ------------------------------------------------------------------------------ */

typedef struct total {
    jacobian sum;
    int started;
} total;

static void total_add(total *self, const affine *point) {
    if (self->started) {
        jacobian_add_affine(&self->sum, point, 0);
    } else {
        self->sum = jacobian_of(point);
        self->started = 1;
    }
}

/* `summed` is the row's sum, or NULL. */
static void total_add_row(total *self, const part *of, unsigned row, const affine *summed) {
    if (summed != NULL) {
        total_add(self, summed);
        return;
    }
    for (unsigned index = 0; index < ROW_TERMS; index++) {
        term next = of->term_at(of->table, &of->digits, row, index);
        affine point = term_point(&next);
        total_add(self, &point);
    }
}

static void total_add_wide(total *self, const part *of, const affine *summed) {
    for (unsigned row = 0; row < WIDE_ROWS; row++) {
        total_add_row(self, of, row, summed == NULL ? NULL : &summed[row]);
    }
}

static void total_add_comb(total *self, const part *of, const affine *summed) {
    for (unsigned row = COMB_ROWS; row-- > 0;) {
        for (unsigned i = 0; self->started && i < COMB_BITS; i++) {
            jacobian_double(&self->sum);
        }
        total_add_row(self, of, row, summed == NULL ? NULL : &summed[row]);
    }
}

/* r is x modulo n, and x is below p: x is r, or r + n where that is below p. */
static int x_is_r(const jacobian *sum, const uint64_t r[P256_WORDS]) {
    static const uint64_t gap[P256_WORDS] = {P256_PRIME_LESS_ORDER};
    static const uint64_t order[P256_WORDS] = {0xf3b9cac2fc632551, 0xbce6faada7179e84,
                                               0xffffffffffffffff, 0xffffffff00000000};
    fe candidate = fe_of(r);
    if (jacobian_has_x(sum, candidate)) {
        return 1;
    }
    return p256_words_below(r, gap) && jacobian_has_x(sum, fe_add(candidate, fe_of(order)));
}

/* --- verification ------------------------------------------------------------------------------- */

/* The two kinds of tables that a key may have. */
typedef struct kind {
    row_term *term_at;
    unsigned rows; /* of Q */
    void (*add)(total *sum, const part *of, const affine *summed);
} kind;

static const kind by_wide = {wide_term, WIDE_ROWS, total_add_wide};
static const kind by_comb = {comb_term, COMB_ROWS, total_add_comb};

/* u2 · Q and u1 · G */
typedef struct parts {
    part q, g;
} parts;

static parts parts_of(const kind *by, const void *g, const p256_job *job) {
    return (parts){
        .q = {by->term_at, job->key.table, p256_digits_longer(&job->signature->u2)},
        .g = {wide_term, g, p256_digits_longer(&job->signature->u1)},
    };
}

static void job_verify(const kind *by, const parts *of, const affine *summed, const p256_job *job) {
    total whole = {.started = 0};
    by->add(&whole, &of->q, summed);
    total_add_wide(&whole, &of->g, summed == NULL ? NULL : summed + by->rows);
    *job->verdict = (uint8_t)x_is_r(&whole.sum, job->signature->r);
}

static void jobs_verify_together(const kind *by, const void *g, const p256_job *jobs, size_t count) {
    rows all = {.count = 0};
    parts of[MOST_ROWS / WIDE_ROWS / 2];
    for (size_t i = 0; i < count; i++) {
        of[i] = parts_of(by, g, &jobs[i]);
        rows_add(&all, &of[i].q, by->rows);
        rows_add(&all, &of[i].g, WIDE_ROWS);
    }
    int summed = rows_sum(&all);
    for (size_t i = 0; i < count; i++) {
        const affine *own = &all.sums[i * (by->rows + WIDE_ROWS)];
        job_verify(by, &of[i], summed ? own : NULL, &jobs[i]);
    }
}

static void jobs_verify(const kind *by, const void *g, const p256_job *jobs, size_t count) {
    size_t most = MOST_ROWS / (by->rows + WIDE_ROWS), done = 0;
    while (count - done >= LEAST_TOGETHER) {
        size_t some = count - done < most ? count - done : most;
        jobs_verify_together(by, g, jobs + done, some);
        done += some;
    }
    for (; done < count; done++) {
        parts of = parts_of(by, g, &jobs[done]);
        job_verify(by, &of, NULL, &jobs[done]);
    }
}

static void verify_wide(const void *g, const p256_job *jobs, size_t count) {
    jobs_verify(&by_wide, g, jobs, count);
}

static void verify_comb(const void *g, const p256_job *jobs, size_t count) {
    jobs_verify(&by_comb, g, jobs, count);
}

const p256_kernel ks_p256_kernel_portable = {
    .path = "portable",
    .lanes = 1,
    .costs = {{[KS_WIDE] = 22, [KS_COMB] = 40}}, /* bench/verify_batch.py */
    .cache = KS_CACHE_P256_WORDS,
    .wide_bytes = sizeof(wide),
    .comb_bytes = sizeof(comb),
    .build_wide = build_wide,
    .build_combs = build_combs,
    .verify_wide = verify_wide,
    .verify_comb = verify_comb,
};
