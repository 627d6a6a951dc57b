/*
 * How the targets of tokens read their input: parts with a separator between two, each copied to memory
 * of exactly its size, so that a byte beyond it is found. Libfuzzer starts from a good input of the
 * target's own, which it puts in again now and then.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdlib.h>
#include <string.h>

#include "codec/ks_base64url.h"
#include "ks_status.h"

/* In no JSON and no token. */
#define PART_END 0xffu
#define ITEM_END 0xfeu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

static inline void require(int holds) {
    if (!holds) {
        abort();
    }
}

/* Memory of exactly so many bytes. */
static inline uint8_t *room_of(size_t size) {
    uint8_t *memory = malloc(size > 0 ? size : 1);
    require(memory != NULL);
    return memory + (size > 0 ? 0 : 1); /* of none, not even the one */
}

static inline void room_free(const uint8_t *memory, size_t size) {
    free((void *)(uintptr_t)(memory - (size > 0 ? 0 : 1)));
}

static inline ks_view copy_of(ks_view view) {
    uint8_t *memory = room_of(view.size);
    if (view.size > 0) {
        memcpy(memory, view.data, view.size);
    }
    return (ks_view){memory, view.size};
}

static inline void copy_free(ks_view copy) {
    room_free(copy.data, copy.size);
}

/* What stands before the next `end`, which is taken from `rest` with it; all if none is left. */
static inline ks_view part_take(ks_view *rest, uint8_t end) {
    const uint8_t *stop = rest->size == 0 ? NULL : memchr(rest->data, end, rest->size);
    size_t size = stop == NULL ? rest->size : (size_t)(stop - rest->data);
    size_t taken = size + (stop != NULL);
    ks_view part = {rest->data, size};
    *rest = (ks_view){rest->data + taken, rest->size - taken};
    return part;
}

/* The next byte; 0 where none is left. */
static inline uint8_t byte_take(ks_view *rest) {
    if (rest->size == 0) {
        return 0;
    }
    rest->size--;
    return *rest->data++;
}

static inline int is_within(ks_view part, ks_view whole) {
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static inline size_t append(uint8_t *to, size_t at, const void *data, size_t size) {
    if (size > 0) {
        memcpy(to + at, data, size);
    }
    return at + size;
}

static inline size_t append_base64url(uint8_t *to, size_t at, ks_view bytes) {
    ks_base64url_encode(bytes.data, bytes.size, to + at);
    return at + (4 * bytes.size + 2) / 3;
}

/* One in 64 inputs is the good one again. */
static inline size_t mutate(uint8_t *data, size_t size, size_t room, unsigned seed, const char *good,
                            size_t good_size) {
    if ((size < 2 || seed % 64 == 0) && good_size <= room) {
        memcpy(data, good, good_size);
        size = good_size;
    }
    return LLVMFuzzerMutate(data, size, room);
}

#define START_FROM(good)                                                                           \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {       \
        return mutate(data, size, room, seed, good, sizeof(good) - 1);                             \
    }

#endif
