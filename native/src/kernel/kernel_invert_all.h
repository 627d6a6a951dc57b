/* Many inverses with one inversion. Include a field of one lane first; and have fe_invert. */
#ifndef KERNEL_INVERT_ALL_H
#define KERNEL_INVERT_ALL_H

#include <stddef.h>

/*
 * Montgomery's trick: each element becomes its inverse, with one inversion for all. A zero counts as 1, so
 * that its neighbours have their inverses, and stays 0: a table made with it holds (0, 0) only, and the
 * sums of that have Z = 0. `before` is scratch.
 */
FE_SHARED void invert_all(fe *elements, fe *before, size_t count) {
    fe product = fe_one();
    for (size_t k = 0; k < count; k++) {
        before[k] = product;
        product = fe_is_zero(elements[k]) ? product : fe_mul(product, elements[k]);
    }
    fe rest = fe_invert(product);
    for (size_t k = count; k-- > 0;) {
        fe element = elements[k];
        if (fe_is_zero(element)) {
            elements[k] = (fe){{0}};
        } else {
            elements[k] = fe_mul(rest, before[k]);
            rest = fe_mul(rest, element);
        }
    }
}

#endif
