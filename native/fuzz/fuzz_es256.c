/* ES256: fuzz_ecdsa.h says how. */
#define OPENSSL_SUPPRESS_DEPRECATED

#define ALGORITHM KS_ES256
#define CURVE NID_X9_62_prime256v1
#define HASH SHA256
#define OCTETS 32u
#define MOST_ITEMS 80u

#include "fuzz_ecdsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const batch *of = batch_read(data, size);
    check_engine(&ks_es256_portable, of);
#if defined(__x86_64__)
    if (ks_cpu_has_ifma()) {
        check_engine(&ks_es256_ifma, of);
    }
#endif
    return 0;
}
