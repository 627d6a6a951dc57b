/* Runs every test; the exit status is the result. */
#include "check.h"

int main(void) {
    test_ed25519_limbs();
    test_ed25519_values();
    test_ed25519_parts();
    test_ed25519_kernels();
    test_fan_out();
    test_keys();
    test_kernel_cache();
    test_p256_kernels();
    test_p256_limbs();
    test_p256_values();
    test_verify();
    puts("ok");
    return 0;
}
