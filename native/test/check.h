/* A check that says where it failed and is never compiled away. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

void test_base64url(void);
void test_ed25519_kernels(void);
void test_ed25519_limbs(void);
void test_ed25519_parts(void);
void test_ed25519_values(void);
void test_fan_out(void);
void test_htu(void);
void test_json(void);
void test_keys(void);
void test_kernel_cache(void);
void test_mb(void);
void test_mb_emsa(void);
void test_mb_library(void);
void test_names(void);
void test_p256_field(void);
void test_p256_key(void);
void test_p256_kernels(void);
void test_p256_limbs(void);
void test_p256_values(void);
void test_p384_field(void);
void test_p384_key(void);
void test_p384_kernels(void);
void test_p384_values(void);
void test_replay(void);
void test_token_parts(void);
void test_tokens(void);
void test_listed(void);
void test_verify(void);

/* The kernels for AVX-512 IFMA alone, on a CPU that has it; emulator/program.c runs these too. */
void test_ed25519_ifma(void);
void test_ed25519_parts_ifma(void);
void test_p256_ifma(void);

/* The batch, on such a CPU, with the algorithms that have these kernels. */
void test_verify_ifma(void);

#endif
