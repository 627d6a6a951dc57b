/* Runs every test, or with the argument `threads` those in which threads meet; the exit status is the
 * result. A test of formulas says nothing new to the thread sanitizer, and takes minutes under it. */
#include "check.h"

#include <string.h>

#include "ks_engine.h"

static void run_formulas(void) {
    test_base64url();
    test_ed25519_limbs();
    test_ed25519_values();
    test_ed25519_parts();
    test_ed25519_kernels();
    test_htu();
    test_json();
    test_names();
    test_p256_field();
    test_p256_kernels();
    test_p256_limbs();
    test_p256_values();
    test_p384_field();
    test_p384_values();
    test_p384_kernels();
    test_mb_emsa();
}

static void run_ifma(void) {
    test_ed25519_parts_ifma();
    test_ed25519_ifma();
    test_p256_ifma();
}

static void run_threads(void) {
    test_fan_out();
    test_keys();
    test_kernel_cache();
    test_p256_key();
    test_p384_key();
    test_replay();
    test_token_parts();
    test_tokens();
    test_listed();
    test_verify();
    test_mb_library(); /* and from here on it is loaded */
    test_verify();
    test_mb();
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "threads") != 0) {
        run_formulas();
        if (ks_cpu_has_ifma()) {
            run_ifma();
        }
    }
    run_threads();
    puts("ok");
    return 0;
}
