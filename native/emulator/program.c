/*
 * The tests whose instructions most CPUs do not have: what emulator/run.sh runs. Linked with what these
 * tests need and nothing else, and without the failing memory of the others, which in a static program
 * would be OpenSSL's memory too.
 */
#include <string.h>

#include "check.h"
#include "codec/ks_base64url_paths.h"
#include "ks_engine.h"
#include "p256/p256_words.h"

typedef struct test {
    const char *name;
    void (*run)(void);
} test;

static const test tests[] = {
    {"base64url", test_base64url},
    {"Ed25519: keys decoded, SHA-512 of eight messages", test_ed25519_parts_ifma},
    {"batches of ES256 and EdDSA", test_verify_ifma},
    {"P-256: tables and signatures", test_p256_ifma},
    {"Ed25519: tables and signatures", test_ed25519_ifma},
};

int main(void) {
    CHECK(setvbuf(stdout, NULL, _IOLBF, 0) == 0);
    CHECK(ks_cpu_has_ifma());
    CHECK(strcmp(ks_base64url_chosen()->name, "vbmi") == 0);
    ks_p256_product = ks_p256_product_x86_64; /* Bochs's ADOX is wrong: host.c says how */
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        uint64_t before = __builtin_ia32_rdtsc();
        tests[i].run();
        /* Bochs's counter is one of instructions, a repeated one's repetitions each. */
        uint64_t million = (__builtin_ia32_rdtsc() - before) / 1000000;
        printf("%-50s ok %8llu million instructions\n", tests[i].name, (unsigned long long)million);
    }
    return 0;
}
