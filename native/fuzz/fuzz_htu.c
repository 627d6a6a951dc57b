/* URLs: what is normalised fits its room, and is its own normal form. */
#include <stdlib.h>
#include <string.h>

#include "codec/ks_htu.h"

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *once = malloc(KS_MAX_URL_CHARS + 1), *twice = malloc(KS_MAX_URL_CHARS + 1);
    size_t once_size, twice_size;
    require(once != NULL && twice != NULL);
    ks_status status = ks_htu_normalise((ks_view){data, size}, once, &once_size);
    require(status == KS_OK || once_size == 0);
    require(status != KS_OK || once_size <= size + 1);
    if (status == KS_OK && once_size <= KS_MAX_URL_CHARS) {
        require(ks_htu_normalise((ks_view){once, once_size}, twice, &twice_size) == KS_OK);
        require(twice_size == once_size && memcmp(once, twice, once_size) == 0);
    }
    free(twice);
    free(once);
    return 0;
}
