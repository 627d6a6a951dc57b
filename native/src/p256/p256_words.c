/*
 * Montgomery's product modulo p. Each word of b adds a multiple of a, and then the lowest word of the sum
 * is cleared with a multiple of p. As p = 2^256 - 2^224 + 2^192 + 2^96 - 1, the multiple is that word u
 * itself, and besides clearing it u · p adds u · 2^96, which is two shifts, and
 * u · (2^64 - 2^32 + 1) · 2^192, which is one multiplication (Gueron and Krasnov, J. Cryptogr. Eng. 5,
 * 2015). For a · b < 2^256 p the sum ends below 2p, so one subtraction puts it below p.
 *
 * Written three times. GCC 12 moves a carry through a register where an x86-64 CPU has a flag for it, and
 * so its code for the first takes two and a half times as long as the second, in assembly, which is the
 * same step for step. The third uses ADX: mulx leaves the flags alone, and adcx and adox carry through a
 * flag each, so that the lower and the upper words of products are added side by side.
 */
#include "p256_words.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void ks_p256_product_in_c(p256_words *out, const p256_words *a, const p256_words *b) {
    __extension__ typedef unsigned __int128 two_words;
    uint64_t sum[P256_WORDS + 2] = {0};
    for (int i = 0; i < P256_WORDS; i++) {
        two_words carry = 0;
        for (int j = 0; j < P256_WORDS; j++) {
            carry += (two_words)a->word[j] * b->word[i] + sum[j];
            sum[j] = (uint64_t)carry;
            carry >>= 64;
        }
        carry += sum[4];
        sum[4] = (uint64_t)carry;
        sum[5] = (uint64_t)(carry >> 64);
        /* Clear the lowest word, and go on from the next. */
        uint64_t u = sum[0];
        two_words top = (two_words)u * P256_PRIME_TOP;
        const uint64_t more[P256_WORDS] = {u << 32, u >> 32, (uint64_t)top, (uint64_t)(top >> 64)};
        p256_carry above = 0;
        for (int j = 0; j < P256_WORDS; j++) {
            above = word_add(&sum[j], sum[j + 1], more[j], above);
        }
        sum[4] = sum[5] + above;
    }
    *out = words_reduce((p256_words){{sum[0], sum[1], sum[2], sum[3]}}, sum[4]);
}

#if defined(__x86_64__)

/*
 * The sum is in the registers s0 to s4, and moves up one with each word of b: what is its lowest word once,
 * and cleared, is what does not fit the next time. MULTIPLE(i, s0, …, s5) adds a · (word i of b) to
 * s0, …, s4, and sets s5; CLEAR adds s0 · p, but for s0 itself, which nobody looks at again.
 */
#define SUM_OF_FOUR                                                                                 \
    MULTIPLE(0, s0, s1, s2, s3, s4, s5)                                                             \
    CLEAR(s0, s1, s2, s3, s4, s5)                                                                   \
    MULTIPLE(8, s1, s2, s3, s4, s5, s0)                                                             \
    CLEAR(s1, s2, s3, s4, s5, s0)                                                                   \
    MULTIPLE(16, s2, s3, s4, s5, s0, s1)                                                            \
    CLEAR(s2, s3, s4, s5, s0, s1)                                                                   \
    MULTIPLE(24, s3, s4, s5, s0, s1, s2)                                                            \
    CLEAR(s3, s4, s5, s0, s1, s2)

/* --- with the instructions of every x86-64 ------------------------------------------------------- */

/* (carry, s) := word of a · factor + s + carry */
#define PRODUCT(at, s)                                                                              \
    "movq " #at "(%[a]), %%rax\n\t"                                                                 \
    "mulq %[factor]\n\t"                                                                            \
    "addq %[carry], %[" #s "]\n\t"                                                                  \
    "adcq $0, %%rdx\n\t"                                                                            \
    "addq %%rax, %[" #s "]\n\t"                                                                     \
    "adcq $0, %%rdx\n\t"                                                                            \
    "movq %%rdx, %[carry]\n\t"

#define MULTIPLE(at, s0, s1, s2, s3, s4, s5)                                                        \
    "movq " #at "(%[b]), %[factor]\n\t"                                                             \
    "xorl %k[carry], %k[carry]\n\t"                                                                 \
    PRODUCT(0, s0)                                                                                  \
    PRODUCT(8, s1)                                                                                  \
    PRODUCT(16, s2)                                                                                 \
    PRODUCT(24, s3)                                                                                 \
    "xorl %k[" #s5 "], %k[" #s5 "]\n\t"                                                             \
    "addq %[carry], %[" #s4 "]\n\t"                                                                 \
    "adcq $0, %[" #s5 "]\n\t"

#define CLEAR(s0, s1, s2, s3, s4, s5)                                                               \
    "movq %[" #s0 "], %%rax\n\t"                                                                    \
    "mulq %[top]\n\t"                                                                               \
    "movq %[" #s0 "], %[carry]\n\t"                                                                 \
    "shlq $32, %[" #s0 "]\n\t"                                                                      \
    "shrq $32, %[carry]\n\t"                                                                        \
    "addq %[" #s0 "], %[" #s1 "]\n\t"                                                               \
    "adcq %[carry], %[" #s2 "]\n\t"                                                                 \
    "adcq %%rax, %[" #s3 "]\n\t"                                                                    \
    "adcq %%rdx, %[" #s4 "]\n\t"                                                                    \
    "adcq $0, %[" #s5 "]\n\t"

void ks_p256_product_x86_64(p256_words *out, const p256_words *a, const p256_words *b) {
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5, factor, carry;
    __asm__(SUM_OF_FOUR
            : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [s4] "+&r"(s4),
              [s5] "=&r"(s5), [factor] "=&r"(factor), [carry] "=&r"(carry)
            : [a] "r"(a), [b] "r"(b), [top] "m"(p256_prime_words.word[3]), "m"(*a), "m"(*b)
            : "rax", "rdx", "cc");
    *out = words_reduce((p256_words){{s4, s5, s0, s1}}, s2);
}

#undef PRODUCT
#undef MULTIPLE
#undef CLEAR

/* --- with mulx, adcx and adox ------------------------------------------------------------------- */

/* (s, next) += the product; the lower word with one carry, the upper one with the other. */
#define PRODUCT(at, s, next)                                                                        \
    "mulxq " #at "(%[a]), %[low], %[high]\n\t"                                                      \
    "adcxq %[low], %[" #s "]\n\t"                                                                   \
    "adoxq %[high], %[" #next "]\n\t"

#define MULTIPLE(at, s0, s1, s2, s3, s4, s5)                                                        \
    "movq " #at "(%[b]), %%rdx\n\t"                                                                 \
    "xorl %k[" #s5 "], %k[" #s5 "]\n\t" /* and no carry of either kind */                           \
    PRODUCT(0, s0, s1)                                                                              \
    PRODUCT(8, s1, s2)                                                                              \
    PRODUCT(16, s2, s3)                                                                             \
    PRODUCT(24, s3, s4)                                                                             \
    "adcxq %[" #s5 "], %[" #s4 "]\n\t"                                                              \
    "movl $0, %k[low]\n\t"                                                                          \
    "adoxq %[low], %[" #s5 "]\n\t"                                                                  \
    "adcq $0, %[" #s5 "]\n\t"

#define CLEAR(s0, s1, s2, s3, s4, s5)                                                               \
    "movq %[" #s0 "], %%rdx\n\t"                                                                    \
    "mulxq %[top], %[low], %[high]\n\t"                                                             \
    "shlq $32, %[" #s0 "]\n\t"                                                                      \
    "shrq $32, %%rdx\n\t"                                                                           \
    "addq %[" #s0 "], %[" #s1 "]\n\t"                                                               \
    "adcq %%rdx, %[" #s2 "]\n\t"                                                                    \
    "adcq %[low], %[" #s3 "]\n\t"                                                                   \
    "adcq %[high], %[" #s4 "]\n\t"                                                                  \
    "adcq $0, %[" #s5 "]\n\t"

void ks_p256_product_adx(p256_words *out, const p256_words *a, const p256_words *b) {
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5, low, high;
    __asm__(SUM_OF_FOUR
            : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [s4] "+&r"(s4),
              [s5] "=&r"(s5), [low] "=&r"(low), [high] "=&r"(high)
            : [a] "r"(a), [b] "r"(b), [top] "m"(p256_prime_words.word[3]), "m"(*a), "m"(*b)
            : "rdx", "cc");
    *out = words_reduce((p256_words){{s4, s5, s0, s1}}, s2);
}

int ks_p256_has_adx(void) {
    const unsigned bmi2 = 1u << 8, adx = 1u << 19;
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bmi2) != 0 && (b & adx) != 0;
}

#endif

/* --- the choice --------------------------------------------------------------------------------- */

static p256_product *product_for_this_cpu(void) {
#if defined(__x86_64__)
    return ks_p256_has_adx() ? ks_p256_product_adx : ks_p256_product_x86_64;
#else
    return ks_p256_product_in_c;
#endif
}

/* The first product chooses. Threads that do so at once choose the same. */
static void choose(p256_words *out, const p256_words *a, const p256_words *b) {
    p256_product *product = product_for_this_cpu();
    atomic_store_explicit(&ks_p256_product, product, memory_order_relaxed);
    product(out, a, b);
}

p256_product *_Atomic ks_p256_product = choose;
