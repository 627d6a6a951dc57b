#include "failing_memory.h"

#include <stdatomic.h>
#include <stddef.h>

static atomic_long left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void failing_memory_set(long index) {
    atomic_store(&left, index < 0 ? -1 : index + 1);
}

int failing_memory_reached(void) {
    return atomic_load(&left) == 0;
}

/* Counts down to 0, and stays there. */
static int fails(void) {
    long now = atomic_load(&left);
    while (now > 0 && !atomic_compare_exchange_weak(&left, &now, now - 1)) {
    }
    return now == 1;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}
