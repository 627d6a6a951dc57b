/* Runs every test; the exit status is the result. */
#include "check.h"

int main(void) {
    test_fan_out();
    test_keys();
    test_p256_cache();
    test_p256_kernels();
    test_p256_limbs();
    test_p256_values();
    test_token_parts();
    test_tokens();
    test_verify();
    puts("ok");
    return 0;
}
