#include "emulated.h"

#include "p256/p256_field_portable.h"

#include "kernel/kernel_formulas.h"

/* What the kernel for lanes builds with build_wide, one entry after the other. */
int p256_build_limb_table(void *table, const p256_entry *point) {
    p256_entry powers[P256_LIMB_WINDOWS], *entries = table;
    static odd_multiple multiples[P256_LIMB_ENTRIES];
    ks_p256_powers(powers, P256_LIMB_WINDOWS, P256_LIMB_WINDOW_BITS, point);
    for (size_t window = 0; window < P256_LIMB_WINDOWS; window++) {
        affine first = {fe_load(powers[window].x), fe_load(powers[window].y)};
        fe z = odd_multiples_start(multiples, P256_LIMB_ENTRIES, &first);
        if (fe_is_zero(z)) {
            return 0;
        }
        odd_multiples_finish(multiples, P256_LIMB_ENTRIES, fe_invert(z));
        for (size_t k = 0; k < P256_LIMB_ENTRIES; k++) {
            fe_store(entries->x, multiples[k].at.x);
            fe_store(entries->y, multiples[k].at.y);
            entries++;
        }
    }
    return 1;
}
