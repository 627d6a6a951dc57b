/* Runs every test; the exit status is the result. */
#include "check.h"

int main(void) {
    test_fan_out();
    test_keys();
    test_p256_cache();
    test_p256_kernels();
    test_p256_limbs();
    test_p256_values();
    test_verify();
    test_mb_emsa();
    test_mb_library(); /* and from here on it is loaded */
    test_verify();
    test_mb();
    puts("ok");
    return 0;
}
