/*
 * Points of edwards25519, -x² + y² = 1 + d x² y², and how they are added: written once, over any `fe`.
 * Include a field and ed25519_memory.h first, or the test's field of bounds.
 *
 * Representation. Affine (x, y), or extended (X, Y, Z, T) for x = X / Z, y = Y / Z, x y = T / Z (Hisil,
 * Wong, Carter and Dawson, ASIACRYPT 2008, §3). T is carried, being multiplied only; all else is settled
 * and below 1.1 p, as products are.
 *
 * No exceptions. -1 is a square modulo p and d is not, so the addition law is complete (Bernstein,
 * Birkner, Joye, Lange and Peters, "Twisted Edwards curves", AFRICACRYPT 2008, §6): it holds for every
 * two points of the curve, equal, opposite, neutral or of small order, and Z is never 0 where both Z
 * were not. So lanes need no flags, whatever keys and signatures a stranger sends; all that is asked of
 * him is that the key is on the curve, which its decoding sees to.
 *
 * Sources. The Explicit-Formulas Database's names, all for a = -1 in extended coordinates:
 * "dbl-2008-hwcd", "add-2008-hwcd-3", and "madd-2008-hwcd-3" for a second point with Z = 1.
 */
#ifndef ED25519_FORMULAS_H
#define ED25519_FORMULAS_H

typedef struct affine {
    fe x, y;
} affine;

typedef struct extended {
    fe x, y, z, t;
} extended;

/* A point that is added to others, in the form of EFD's madd: y + x, y - x and 2 d x y, settled. */
typedef struct addend {
    fe plus, minus, product;
} addend;

/* The same with a Z, by which the three are multiplied. */
typedef struct projective_addend {
    addend by;
    fe z;
} projective_addend;

static const ed25519_number ed25519_one = {{1}};
static const ed25519_number ed25519_d = {
    {0x75eb4dca135978a3, 0x00700a4d4141d8ab, 0x8cc740797779e898, 0x52036cee2b6ffe73}};
static const ed25519_number ed25519_2d = {
    {0xebd69b9426b2f159, 0x00e0149a8283b156, 0x198e80f2eef3d130, 0x2406d9dc56dffce7}};
/* A square root of -1: 2^((p-1)/4). */
static const ed25519_number ed25519_root = {
    {0xc4ee1b274a0ea0b0, 0x2f431806ad2fe478, 0x2b4d00993dfbd7a7, 0x2b8324804fc1df0b}};

/* --- sums --------------------------------------------------------------------------------------- */

/* p := 2p. Four squarings, and three multiplications, or four `with_t`: only an addition wants T. */
FE_FUNCTION void extended_double_inline(extended *p, int with_t) {
    fe a = fe_square_loose(p->x);
    fe b = fe_square_loose(p->y);
    fe c = fe_times_2(fe_square_loose(p->z));
    fe h = fe_add(a, b);
    fe g = fe_sub(a, b, 2);
    fe e = fe_carry(fe_sub(h, fe_square_loose(fe_carry(fe_add(p->x, p->y))), 2));
    fe f = fe_carry(fe_add(c, g));
    /* EFD's E, F, G and H, each times -1. */
    g = fe_carry(g);
    h = fe_carry(h);
    p->x = fe_mul(e, f);
    p->y = fe_mul(g, h);
    p->z = fe_mul(f, g);
    if (with_t) {
        p->t = fe_mul_carried(e, h);
    }
}

FE_SHARED void extended_double(extended *p) {
    extended_double_inline(p, 0);
}
FE_SHARED void extended_double_with_t(extended *p) {
    extended_double_inline(p, 1);
}

/*
 * p := p + q, or p - q where `minus` is set, `two_z` being twice both Z. To negate a point is to
 * exchange y + x with y - x, which the caller has done, and to negate 2 d x y, which exchanges F and G.
 */
FE_FUNCTION void extended_add_inline(extended *p, const addend *q, fe two_z, lane_mask minus) {
    fe a = fe_mul_loose(fe_carry(fe_sub(p->y, p->x, 2)), q->minus);
    fe b = fe_mul_loose(fe_carry(fe_add(p->y, p->x)), q->plus);
    fe c = fe_mul_loose(p->t, q->product);
    fe e = fe_carry(fe_sub(b, a, 2));
    fe h = fe_carry(fe_add(b, a));
    fe less = fe_carry(fe_sub(two_z, c, 2));
    fe more = fe_carry(fe_add(two_z, c));
    fe f = fe_choose(minus, more, less);
    fe g = fe_choose(minus, less, more);
    p->x = fe_mul(e, f);
    p->y = fe_mul(g, h);
    p->z = fe_mul(f, g);
    p->t = fe_mul_carried(e, h);
}

/* Seven multiplications. */
FE_SHARED void extended_add(extended *p, const addend *q, lane_mask minus) {
    extended_add_inline(p, q, fe_times_2(p->z), minus);
}

/* Eight. */
FE_SHARED void extended_add_projective(extended *p, const projective_addend *q, lane_mask minus) {
    extended_add_inline(p, &q->by, fe_times_2(fe_mul_loose(p->z, q->z)), minus);
}

/* --- forms -------------------------------------------------------------------------------------- */

static inline extended extended_of(const affine *q) {
    return (extended){q->x, q->y, fe_constant(&ed25519_one), fe_mul(q->x, q->y)};
}

static inline addend addend_of(const affine *q) {
    fe product = fe_mul(fe_mul(q->x, q->y), fe_constant(&ed25519_2d));
    return (addend){fe_settle(fe_add(q->y, q->x)), fe_settle(fe_sub(q->y, q->x, 2)), product};
}

static inline projective_addend projective_addend_of(const extended *p) {
    return (projective_addend){
        {fe_settle(fe_add(p->y, p->x)), fe_settle(fe_sub(p->y, p->x, 2)),
         fe_mul(p->t, fe_constant(&ed25519_2d))},
        p->z,
    };
}

static inline affine affine_of(const extended *p, fe z_inverse) {
    return (affine){fe_mul(p->x, z_inverse), fe_mul(p->y, z_inverse)};
}

/* --- decoding ----------------------------------------------------------------------------------- */

FE_FUNCTION fe fe_square_times(fe a, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        a = fe_square(a);
    }
    return a;
}

/* a^((p-5)/8) = a^(2^252 - 3); `a_n` is a^(2^n - 1). */
FE_SHARED fe fe_power_root(fe a) {
    fe a_2 = fe_mul(fe_square(a), a);
    fe a_4 = fe_mul(fe_square_times(a_2, 2), a_2);
    fe a_5 = fe_mul(fe_square(a_4), a);
    fe a_10 = fe_mul(fe_square_times(a_5, 5), a_5);
    fe a_20 = fe_mul(fe_square_times(a_10, 10), a_10);
    fe a_40 = fe_mul(fe_square_times(a_20, 20), a_20);
    fe a_50 = fe_mul(fe_square_times(a_40, 10), a_10);
    fe a_100 = fe_mul(fe_square_times(a_50, 50), a_50);
    fe a_200 = fe_mul(fe_square_times(a_100, 100), a_100);
    fe a_250 = fe_mul(fe_square_times(a_200, 50), a_50);
    return fe_mul(fe_square_times(a_250, 2), a);
}

/*
 * The point with this y (RFC 8032 §5.1.3), whose x is odd where `odd` is set; the lanes that have one.
 * As OpenSSL decodes, and RFC 8032 does not: y may be p or more, and an x of 0 may be called odd.
 * x = u v³ (u v⁷)^((p-5)/8), times the root of -1 where its square is -u / v instead of u / v.
 */
FE_SHARED lane_mask affine_decode(affine *out, fe y, lane_mask odd) {
    fe y2 = fe_square(y);
    fe u = fe_settle(fe_sub(y2, fe_constant(&ed25519_one), 2));
    fe v = fe_mul_loose(y2, fe_constant(&ed25519_d));
    v = fe_settle(fe_add(v, fe_constant(&ed25519_one))); /* never 0: -1/d is no square */
    fe v3 = fe_mul(fe_square(v), v);
    fe x = fe_mul(fe_mul(u, v3), fe_power_root(fe_mul(fe_mul(u, fe_square(v3)), v)));
    fe right = fe_mul(v, fe_square(x));
    lane_mask straight = fe_is_zero(fe_sub(right, u, 4));
    lane_mask turned = fe_is_zero(fe_add(right, u));
    x = fe_canonical(fe_choose(straight, x, fe_mul(x, fe_constant(&ed25519_root))));
    fe opposite = fe_settle(fe_sub(fe_constant(&(const ed25519_number){{0}}), x, 2));
    *out = (affine){fe_choose(fe_is_odd(x) ^ odd, opposite, x), y};
    return straight | turned;
}

#endif
