/* Runs every test; the exit status is the result. */
#include "check.h"

int main(void) {
    test_base64url();
    test_ed25519_limbs();
    test_ed25519_values();
    test_ed25519_parts();
    test_ed25519_kernels();
    test_fan_out();
    test_htu();
    test_json();
    test_keys();
    test_kernel_cache();
    test_p256_kernels();
    test_p256_limbs();
    test_p256_values();
    test_replay();
    test_token_parts();
    test_tokens();
    test_verify();
    test_mb_emsa();
    test_mb_library(); /* and from here on it is loaded */
    test_verify();
    test_mb();
    puts("ok");
    return 0;
}
