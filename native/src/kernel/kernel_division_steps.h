/*
 * The greatest common divisor by division steps: Bernstein and Yang, "Fast constant-time gcd
 * computation and modular inversion" (CHES 2019), here without the constant time.
 *
 * f (odd, at first the modulus) and g (at first a) shrink together, and d and e follow them so that
 * f ≡ d · a and g ≡ e · a modulo the modulus. When g is 0, f is ±1 and ±d the inverse. 62 steps depend
 * on the lowest 62 bits of f and g only, so they are made on single words, collected in a matrix, and
 * applied to the long numbers at once.
 *
 * Representation: signed limbs of 62 bits, one more than the modulus has words. f and g stay within
 * ±modulus, d and e in [0, modulus); five limbs are 310 bits and seven are 434, which hold them with room.
 *
 * Include with WORDS and `modulus_words` defined: a structure of a modulus of so many words.
 */
#ifndef KERNEL_DIVISION_STEPS_H
#define KERNEL_DIVISION_STEPS_H

#include <stdint.h>

#define LIMBS (WORDS + 1)
#define BITS 62
#define MASK ((UINT64_C(1) << BITS) - 1)

__extension__ typedef __int128 wide;

typedef struct number {
    int64_t limb[LIMBS];
} number;

/* 2^62 · (f', g') = ((u, v), (q, r)) · (f, g) */
typedef struct steps {
    int64_t u, v, q, r;
} steps;

/* Limb i starts two bits lower in its word than limb i - 1. */
static number number_of(const uint64_t words[WORDS]) {
    number out = {{(int64_t)(words[0] & MASK)}};
    for (int i = 1; i < WORDS; i++) {
        uint64_t both = words[i - 1] >> (64 - 2 * i) | words[i] << 2 * i;
        out.limb[i] = (int64_t)(both & MASK);
    }
    out.limb[WORDS] = (int64_t)(words[WORDS - 1] >> (64 - 2 * WORDS));
    return out;
}

/* The number fits its words and is not negative. */
static void number_write(uint64_t words[WORDS], const number *a) {
    for (int i = 0; i < WORDS; i++) {
        uint64_t low = (uint64_t)a->limb[i], high = (uint64_t)a->limb[i + 1];
        words[i] = low >> 2 * i | high << (62 - 2 * i);
    }
}

static int number_is_zero(const number *a) {
    int64_t all = 0;
    for (int i = 0; i < LIMBS; i++) {
        all |= a->limb[i];
    }
    return all == 0;
}

/*
 * 62 division steps from the lowest bits of f and g; *delta carries over. Unsigned inside, because the
 * upper bits of f and g are not meant; each matrix entry is within ±2^62.
 */
static steps steps_make(int *delta, uint64_t f, uint64_t g) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = BITS;
    for (;;) {
        /* Halve g as often as it is even, and no more often than steps are left. */
        int zeros = __builtin_ctzll(g | UINT64_MAX << left);
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *delta += zeros;
        left -= zeros;
        if (left == 0) {
            return (steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
        }
        if (*delta > 0) { /* (f, g) := (g, -f) */
            uint64_t old_f = f, old_u = u, old_v = v;
            *delta = -*delta;
            f = g, g = 0 - old_f;
            u = q, q = 0 - old_u;
            v = r, r = 0 - old_v;
        }
        /*
         * Add the multiple of f that clears as many bits of g as may be halved away before delta is
         * positive again: up to four, for which -g / f modulo 16 is wanted; f is its own inverse
         * modulo 8, and f + ((f + 1) & 4) · 2 is it modulo 16.
         */
        int clear = 1 - *delta < left ? 1 - *delta : left;
        uint64_t mask = clear >= 4 ? 15 : (UINT64_C(1) << clear) - 1;
        uint64_t inverse = f + (((f + 1) & 4) << 1);
        uint64_t multiple = (0 - g * inverse) & mask;
        g += multiple * f;
        q += multiple * u;
        r += multiple * v;
    }
}

/* (f, g) := ((u, v), (q, r)) · (f, g) / 2^62, which is exact. */
static void steps_divide(const steps *t, number *f, number *g) {
    wide cf = 0, cg = 0;
    for (int i = 0; i < LIMBS; i++) {
        int64_t fi = f->limb[i], gi = g->limb[i];
        cf += (wide)t->u * fi + (wide)t->v * gi;
        cg += (wide)t->q * fi + (wide)t->r * gi;
        if (i > 0) {
            f->limb[i - 1] = (int64_t)((uint64_t)cf & MASK);
            g->limb[i - 1] = (int64_t)((uint64_t)cg & MASK);
        }
        cf >>= BITS;
        cg >>= BITS;
    }
    f->limb[LIMBS - 1] = (int64_t)cf;
    g->limb[LIMBS - 1] = (int64_t)cg;
}

/* The first limb of a sum, made divisible by 2^62 with a multiple of the modulus; which one. */
static int64_t clearing_multiple(wide lowest, const modulus_words *modulus) {
    return (int64_t)((0 - (uint64_t)lowest * modulus->inverse_62) & MASK);
}

/*
 * One row, (u · d + v · e + k · modulus) / 2^62 with 0 ≤ k < 2^62. |u| + |v| ≤ 2^62 (the paper's
 * appendix A), so it lies between -1 and 2 moduli.
 */
static number row_of(int64_t u, int64_t v, const number *d, const number *e, const number *m,
                     const modulus_words *modulus) {
    number out;
    wide sum = (wide)u * d->limb[0] + (wide)v * e->limb[0];
    int64_t k = clearing_multiple(sum, modulus);
    sum += (wide)k * m->limb[0];
    sum >>= BITS;
    for (int i = 1; i < LIMBS; i++) {
        sum += (wide)u * d->limb[i] + (wide)v * e->limb[i] + (wide)k * m->limb[i];
        out.limb[i - 1] = (int64_t)((uint64_t)sum & MASK);
        sum >>= BITS;
    }
    out.limb[LIMBS - 1] = (int64_t)sum;
    return out;
}

/* a + sign · m, with carries. */
static number number_plus(const number *a, int64_t sign, const number *m) {
    number out;
    int64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += a->limb[i] + sign * m->limb[i];
        out.limb[i] = i < LIMBS - 1 ? (int64_t)((uint64_t)carry & MASK) : carry;
        carry >>= BITS;
    }
    return out;
}

/* Into [0, modulus); the topmost limb has the sign. */
static number number_reduce(number a, const number *m) {
    while (a.limb[LIMBS - 1] < 0) {
        a = number_plus(&a, 1, m);
    }
    for (;;) {
        number less = number_plus(&a, -1, m);
        if (less.limb[LIMBS - 1] < 0) {
            return a;
        }
        a = less;
    }
}

static void invert(uint64_t inverse[WORDS], const uint64_t a[WORDS], const modulus_words *modulus) {
    const number m = number_of(modulus->words), zero = {{0}};
    number f = m, g = number_of(a), d = {{0}}, e = {{1}};
    int delta = 1;
    while (!number_is_zero(&g)) {
        steps t = steps_make(&delta, (uint64_t)f.limb[0], (uint64_t)g.limb[0]);
        number next = row_of(t.u, t.v, &d, &e, &m, modulus);
        e = number_reduce(row_of(t.q, t.r, &d, &e, &m, modulus), &m);
        d = number_reduce(next, &m);
        steps_divide(&t, &f, &g);
    }
    if (f.limb[LIMBS - 1] < 0) {
        d = number_plus(&zero, -1, &d);
    }
    d = number_reduce(d, &m);
    number_write(inverse, &d);
}

#endif
