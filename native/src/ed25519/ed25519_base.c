/* What every kernel needs and none has lanes for. */
#include "kernel/kernel_one_lane.h"

#include "ed25519_field_portable.h"
#include "ed25519_kernel.h"
#include "ed25519_memory.h"
#include "kernel/kernel_inverse.h"

const ed25519_point ks_ed25519_base = {
    {{0xc9562d608f25d51a, 0x692cc7609525a7b2, 0xc0a4e231fdd6dc5c, 0x216936d3cd6e53fe}},
    {{0x6666666666666658, 0x6666666666666666, 0x6666666666666666, 0x6666666666666666}},
};

static const ks_modulus prime = {
    .words = {0xffffffffffffffed, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff},
    .inverse_62 = 0x39435e50d79435e5,
};

static fe element_of(const ed25519_number *number) {
    const ed25519_number *const alone[KS_LANES] = {number};
    return fe_load(alone);
}

static ed25519_number number_of(fe element) {
    ed25519_number out, *const alone[KS_LANES] = {&out};
    fe_store(alone, element);
    return out;
}

/* Montgomery's trick (Math. Comp. 48, 1987). */
void ks_ed25519_invert_all(ed25519_number *elements, size_t count) {
    fe before[ED25519_MOST_INVERTED];
    fe product = element_of(&(const ed25519_number){{1}});
    for (size_t k = 0; k < count; k++) {
        before[k] = product;
        product = fe_mul(product, element_of(&elements[k]));
    }
    ed25519_number inverse = number_of(product);
    ks_invert(inverse.word, inverse.word, &prime);
    fe rest = element_of(&inverse);
    for (size_t k = count; k-- > 0;) {
        fe element = element_of(&elements[k]);
        elements[k] = number_of(fe_mul(rest, before[k]));
        rest = fe_mul(rest, element);
    }
}
