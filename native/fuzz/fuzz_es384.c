/* ES384: fuzz_ecdsa.h says how. */
#define OPENSSL_SUPPRESS_DEPRECATED

#define ALGORITHM KS_ES384
#define CURVE NID_secp384r1
#define HASH SHA384
#define OCTETS 48u
#define MOST_ITEMS 12u

#include "fuzz_ecdsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_engine(&ks_es384_portable, batch_read(data, size));
    return 0;
}
