/*
 * The Ed25519 kernels on their own, against OpenSSL and against big numbers: keys, signatures and
 * multipliers that nobody meets by chance, among good neighbours.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ed25519_crafted.h"
#include "emulated.h"

#define LANES 8u

static ed25519_wide base;
static crafted25519 good[LANES];

/* --- one filling -------------------------------------------------------------------------------- */

/* A key in every form that a kernel takes. Tables are the same for all kernels, so one makes them. */
typedef struct forms {
    uint8_t octets[ED25519_OCTETS];
    ed25519_point point;
    uint8_t on_curve;
    ed25519_comb comb;
    ed25519_wide wide;
} forms;

/* Those of the good neighbours, and of the last other keys. */
static forms kept[3 * LANES];
static unsigned kept_count; /* that were ever made */

static forms *forms_find(const uint8_t octets[ED25519_OCTETS]) {
    for (unsigned i = 0; i < 3 * LANES; i++) {
        if (memcmp(kept[i].octets, octets, ED25519_OCTETS) == 0) {
            return &kept[i];
        }
    }
    unsigned place = kept_count < LANES ? kept_count : LANES + kept_count % (2 * LANES);
    forms *out = &kept[place];
    kept_count++;
    memset(out, 0, sizeof *out);
    return out;
}

static const forms *forms_of(const uint8_t octets[ED25519_OCTETS]) {
    const ed25519_kernel *kernel = &ks_ed25519_kernel_portable;
    forms *out = forms_find(octets);
    if (out->on_curve) {
        return out;
    }
    memcpy(out->octets, octets, sizeof out->octets);
    ed25519_number number = ed25519_number_read(octets);
    kernel->keys_decode(&out->point, &out->on_curve, &number, 1);
    CHECK(out->on_curve);
    ed25519_comb *comb = &out->comb;
    const ed25519_point *point = &out->point;
    kernel->build_combs(&comb, &point, 1);
    CHECK(kernel->build_wide(&out->wide, &out->point));
    return out;
}

static void jobs_verify(const ed25519_kernel *kernel, ks_way way, const ed25519_job *jobs,
                        size_t count) {
    void *scratch = aligned_alloc(64, kernel->scratch_bytes);
    CHECK(scratch != NULL);
    if (way == KS_WIDE) {
        kernel->verify_wide(&base, jobs, count);
    } else if (way == KS_COMB) {
        kernel->verify_comb(&base, jobs, count);
    } else {
        kernel->verify_point(&base, jobs, count, scratch);
    }
    free(scratch);
}

static ed25519_job job_of(ks_way way, const ed25519_signature *signature, const forms *key,
                          uint8_t *verdict) {
    ed25519_job job = {.signature = signature, .verdict = verdict};
    if (way == KS_WIDE) {
        job.key.wide = &key->wide;
    } else if (way == KS_COMB) {
        job.key.comb = &key->comb;
    } else {
        job.key.point = &key->point;
    }
    return job;
}

static unsigned width_of(ks_way way) {
    return way == KS_WIDE ? ED25519_WIDE_BITS : ED25519_NARROW_BITS;
}

/* The verdicts on as many as there are lanes, side by side; each must be what OpenSSL says. */
static void check_filling(const ed25519_kernel *kernel, const crafted25519 *const row[LANES]) {
    for (ks_way way = KS_WIDE; way < KS_KERNEL_WAYS; way++) {
        ed25519_signature signatures[LANES];
        ed25519_job jobs[LANES];
        uint8_t verdicts[LANES] = {0};
        for (unsigned lane = 0; lane < LANES; lane++) {
            CHECK(crafted25519_read(&signatures[lane], row[lane], width_of(way)));
            jobs[lane] =
                job_of(way, &signatures[lane], forms_of(row[lane]->key), &verdicts[lane]);
        }
        jobs_verify(kernel, way, jobs, LANES);
        for (unsigned lane = 0; lane < LANES; lane++) {
            CHECK(verdicts[lane] == row[lane]->valid);
        }
    }
}

static void check_in_every_place(const ed25519_kernel *kernel, const crafted25519 *odd) {
    for (unsigned place = 0; place < LANES; place++) {
        const crafted25519 *row[LANES];
        for (unsigned lane = 0; lane < LANES; lane++) {
            row[lane] = lane == place ? odd : &good[lane];
        }
        check_filling(kernel, row);
    }
}

/* --- what has been crafted ---------------------------------------------------------------------- */

#define MOST_CASES 512u

/* Crafted once, shown to each kernel. */
static crafted25519 cases[MOST_CASES];
static size_t case_count;

static void case_add(crafted25519 made) {
    CHECK(case_count < MOST_CASES);
    cases[case_count++] = made;
}

/* At every second place, so that each has good neighbours. */
static void check_cases(const ed25519_kernel *kernel) {
    for (size_t from = 0; from < case_count; from += LANES / 2) {
        const crafted25519 *row[LANES];
        for (unsigned lane = 0; lane < LANES; lane++) {
            size_t i = from + lane / 2;
            int odd = (lane + from / (LANES / 2)) % 2 == 0 && i < case_count;
            row[lane] = odd ? &cases[i] : &good[lane];
        }
        check_filling(kernel, row);
    }
}

static void octets_of(uint8_t octets[ED25519_OCTETS], const BIGNUM *y, int sign) {
    CHECK(BN_bn2lebinpad(y, octets, ED25519_OCTETS) == ED25519_OCTETS);
    octets[ED25519_OCTETS - 1] |= (uint8_t)(sign << 7);
}

/* Keys and R with every part of small order, valid and not: without the cofactor it is h that decides. */
static void craft_mixed_orders(void) {
    BIGNUM *secrets[] = {number_any(), number_word(0)}, *nonces[] = {number_any(), number_word(0)};
    uint8_t keys[2][8][ED25519_OCTETS], rs[2][8][ED25519_OCTETS];
    for (unsigned i = 0; i < 16; i++) {
        edwards_encode(keys[i / 8][i % 8], secrets[i / 8], i % 8);
        edwards_encode(rs[i / 8][i % 8], nonces[i / 8], i % 8);
    }
    unsigned valid = 0;
    for (unsigned i = 0; i < 32; i++) {
        unsigned key_part = i / 2 % 8;
        const uint8_t *key = keys[i % 2][key_part];
        for (unsigned r_part = 0; r_part < 8; r_part++) {
            const uint8_t *r = rs[i / 16][r_part];
            for (uint8_t message = 0; message < 8; message++) {
                crafted25519 made = craft25519(secrets[i % 2], key, nonces[i / 16], r, message);
                /* One of two messages that are refused, but every one that is not. */
                if (made.valid || message == (key_part + r_part) % 8) {
                    case_add(made);
                    valid += (unsigned)made.valid;
                    break;
                }
            }
        }
    }
    CHECK(valid > 64 && valid < case_count);
    for (unsigned i = 0; i < 2; i++) {
        BN_free(secrets[i]);
        BN_free(nonces[i]);
    }
}

/* 0, 1, -1 and sqrt(-1)'s y in all spellings that 255 bits and a sign have, as key and as R. */
static void craft_spellings(void) {
    BIGNUM *zero = number_word(0), *prime = edwards_prime(), *y = BN_new();
    uint8_t spelt[8][ED25519_OCTETS], neutral[ED25519_OCTETS];
    unsigned valid_keys = 0;
    edwards_encode(neutral, zero, 0);
    for (unsigned i = 0; i < 8; i++) {
        CHECK(BN_set_word(y, i / 2 % 2) == 1 && BN_add(y, y, i < 4 ? prime : zero) == 1);
        octets_of(spelt[i], y, (int)i % 2);
    }
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned r_part = 0; r_part < 8; r_part += 2) {
            uint8_t r[ED25519_OCTETS];
            edwards_encode(r, zero, r_part);
            for (uint8_t message = 0; message < 4; message++) {
                crafted25519 made = craft25519(zero, spelt[i], zero, r, message);
                valid_keys |= (unsigned)made.valid << i;
                case_add(made);
            }
        }
        crafted25519 made = craft25519(zero, neutral, zero, spelt[i], 0);
        CHECK(made.valid == (memcmp(spelt[i], neutral, sizeof neutral) == 0));
        case_add(made);
    }
    CHECK(valid_keys == 0xff); /* OpenSSL takes them all as keys, and as R only what it would write */
    BN_free(zero);
    BN_free(prime);
    BN_free(y);
}

/* Keys ±B, ±2B, …; S = 0 and S = L - 1, which a key of small order allows. */
static void craft_small_numbers(void) {
    static const int64_t secrets[] = {1, -1, 2, -2, 16, -16, 511, -512}, nonces[] = {0, 1, -1, 7};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        BIGNUM *secret = number_word(secrets[i]), *nonce = number_word(nonces[i % 4]);
        uint8_t key[ED25519_OCTETS], r[ED25519_OCTETS];
        edwards_encode(key, secret, 0);
        edwards_encode(r, nonce, 0);
        case_add(craft25519(secret, key, nonce, r, (uint8_t)i));
        CHECK(cases[case_count - 1].valid);
        BN_free(secret);
        BN_free(nonce);
    }
    BIGNUM *zero = number_word(0), *last = number_word(-1);
    uint8_t neutral[ED25519_OCTETS], r[ED25519_OCTETS];
    edwards_encode(neutral, zero, 0);
    edwards_encode(r, last, 0);
    case_add(craft25519(zero, neutral, last, r, 1));
    CHECK(cases[case_count - 1].valid);
    BN_free(zero);
    BN_free(last);
}

/* One bit of R, S, key or message is another. */
static void craft_flipped(void) {
    for (unsigned i = 0; i < 64; i++) {
        crafted25519 bent = good[i % LANES];
        uint8_t flip = (uint8_t)(1u << i % 8);
        if (i % 4 == 3) {
            bent.message ^= flip;
        } else {
            bent.signature[i % 4 == 2 ? 32 + i % 31 : i % 32] ^= flip;
        }
        crafted25519_settle(&bent);
        CHECK(!bent.valid);
        case_add(bent);
    }
}

/* S + L and so on while 256 bits have room: OpenSSL refuses them, and no kernel may be shown them. */
static void check_s_from_l_on(void) {
    BIGNUM *order = edwards_order();
    crafted25519 bent = good[0];
    ed25519_signature ignored;
    BIGNUM *s = BN_lebin2bn(bent.signature + ED25519_OCTETS, ED25519_OCTETS, NULL);
    CHECK(crafted25519_read(&ignored, &bent, ED25519_WIDE_BITS));
    unsigned raised = 0;
    while (BN_add(s, s, order) == 1 && BN_num_bits(s) <= 256) {
        CHECK(BN_bn2lebinpad(s, bent.signature + ED25519_OCTETS, ED25519_OCTETS) == ED25519_OCTETS);
        crafted25519_settle(&bent);
        CHECK(!bent.valid && !crafted25519_read(&ignored, &bent, ED25519_WIDE_BITS));
        raised++;
    }
    CHECK(raised >= 14);
    ed25519_number edge = number_write(order);
    CHECK(!ks_ed25519_scalar_in_range(&edge));
    edge.word[0]--;
    CHECK(ks_ed25519_scalar_in_range(&edge));
    edge = (ed25519_number){{0}};
    CHECK(ks_ed25519_scalar_in_range(&edge));
    BN_free(order);
    BN_free(s);
}

/* --- multipliers of our choice ------------------------------------------------------------------ */

/* R = s B - h A for any s and h, which no hash would give. */
static void check_multipliers(const ed25519_kernel *kernel, int64_t s_word, int64_t h_word) {
    BIGNUM *s = s_word == 0 ? number_any() : number_word(s_word);
    BIGNUM *h = h_word == 0 ? number_any() : number_word(h_word);
    edwards b = edwards_base(), key, minus_a;
    ed25519_number y = ed25519_number_read(good[0].key);
    y.word[3] &= UINT64_MAX >> 1;
    BIGNUM *y_number = BN_lebin2bn(good[0].key, ED25519_OCTETS, NULL);
    CHECK(BN_clear_bit(y_number, 255) == 1 || !BN_is_bit_set(y_number, 255));
    CHECK(edwards_with_y(&key, y_number));
    const forms *of = forms_of(good[0].key);
    BIGNUM *x = BN_lebin2bn((const uint8_t *)of->point.x.word, ED25519_OCTETS, NULL);
    minus_a = (edwards){x, BN_dup(key.y)};
    edwards sb = edwards_multiple(s, &b), ha = edwards_multiple(h, &minus_a), r = edwards_sum(&sb, &ha);
    uint8_t octets[ED25519_OCTETS];
    edwards_encode_point(octets, &r);
    for (ks_way way = KS_WIDE; way < KS_KERNEL_WAYS; way++) {
        ed25519_number s_number = number_write(s), h_number = number_write(h);
        ed25519_signature signature = {ed25519_number_read(octets),
                                       ks_ed25519_digits(&s_number, ED25519_WIDE_BITS),
                                       ks_ed25519_digits(&h_number, width_of(way))};
        uint8_t verdict = 0;
        ed25519_job job = job_of(way, &signature, of, &verdict);
        jobs_verify(kernel, way, &job, 1);
        CHECK(verdict == 1);
        signature.r.word[1] ^= 4;
        jobs_verify(kernel, way, &job, 1);
        CHECK(verdict == 0);
    }
    edwards *points[] = {&b, &key, &minus_a, &sb, &ha, &r};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        edwards_free(points[i]);
    }
    BN_free(s);
    BN_free(h);
    BN_free(y_number);
}

static void check_all_multipliers(const ed25519_kernel *kernel) {
    static const int64_t numbers[] = {0, 1, 2, 15, 16, 17, 31, 32, 511, 512, 513, 1024, -1, -2, -512};
    size_t count = sizeof numbers / sizeof numbers[0];
    for (size_t i = 0; i < count; i++) {
        check_multipliers(kernel, numbers[i], numbers[(7 * i + 3) % count]);
    }
}

/* --- tables ------------------------------------------------------------------------------------- */

/* Word for word what the first kernel builds, whose tables the others are tested with. */
static void check_tables(const ed25519_kernel *kernel) {
    static ed25519_wide wide;
    static ed25519_comb combs[LANES + 1];
    ed25519_comb *to[LANES + 1];
    const ed25519_point *points[LANES + 1];
    for (unsigned i = 0; i <= LANES; i++) {
        to[i] = &combs[i];
        points[i] = &forms_of(good[i % LANES].key)->point;
    }
    CHECK(kernel->build_wide(&wide, &ks_ed25519_base));
    CHECK(memcmp(&wide, &base, sizeof wide) == 0);
    kernel->build_combs(to, points, LANES + 1);
    for (unsigned i = 0; i <= LANES; i++) {
        CHECK(memcmp(&combs[i], &forms_of(good[i % LANES].key)->comb, sizeof combs[i]) == 0);
    }
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void check_every_count(const ed25519_kernel *kernel) {
    for (size_t count = 1; count <= ED25519_MOST_JOBS; count += count < 10 ? 1 : 27) {
        ed25519_job jobs[ED25519_MOST_JOBS];
        ed25519_signature signatures[LANES];
        uint8_t verdicts[ED25519_MOST_JOBS + 1];
        memset(verdicts, 7, sizeof verdicts);
        for (unsigned i = 0; i < LANES; i++) {
            CHECK(crafted25519_read(&signatures[i], &good[i], ED25519_WIDE_BITS));
        }
        for (size_t i = 0; i < count; i++) {
            unsigned which = (unsigned)i % LANES;
            jobs[i] =
                job_of(KS_WIDE, &signatures[which], forms_of(good[which].key), &verdicts[i]);
        }
        jobs_verify(kernel, KS_WIDE, jobs, count);
        for (size_t i = 0; i <= ED25519_MOST_JOBS; i++) {
            CHECK(verdicts[i] == (i < count ? 1 : 7));
        }
    }
}

static void check_kernel(const ed25519_kernel *kernel) {
    check_tables(kernel);
    check_every_count(kernel);
    check_in_every_place(kernel, &cases[0]);
    check_in_every_place(kernel, &cases[1]);
    check_cases(kernel);
    check_all_multipliers(kernel);
}

static void kernels_open(void) {
    edwards_open();
    CHECK(ks_ed25519_kernel_portable.build_wide(&base, &ks_ed25519_base));
    for (unsigned i = 0; i < LANES; i++) {
        good[i] = craft25519_any();
        CHECK(forms_of(good[i].key) == &kept[i]);
    }
    check_s_from_l_on();
    craft_flipped();
    craft_mixed_orders();
    craft_spellings();
    craft_small_numbers();
}

static void kernels_close(void) {
    edwards_close();
    memset(kept, 0, sizeof kept);
    kept_count = 0;
    case_count = 0;
    ERR_clear_error();
}

void test_ed25519_kernels(void) {
    kernels_open();
    check_kernel(&ks_ed25519_kernel_portable);
    check_kernel(&ed25519_kernel_emulated);
    kernels_close();
}

void test_ed25519_ifma(void) {
#if defined(__x86_64__)
    kernels_open();
    check_kernel(&ks_ed25519_kernel_ifma);
    kernels_close();
#endif
}
