/*
 * Runs one fuzz target where libFuzzer is missing, so that every `make test` has a short run of each: an
 * input is one of a pool with some bytes changed, and nothing is learned from what the target did with it.
 * `make fuzz` is the longer search, guided by coverage.
 *
 *     TARGET SECONDS [SEED FILE…]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a target has, the mutator if it likes, and what it may call: libFuzzer's own names. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room,
                                                     unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

#define MOST_BYTES 16384u
#define POOL 64u
#define MOST_CHANGES 8u
#define LEAST_RUNS 16u /* on a crowded machine, of a slow target, too */

typedef struct input {
    size_t size;
    uint8_t data[MOST_BYTES];
} input;

static input pool[POOL];
static uint64_t state = 0x9e3779b97f4a7c15; /* always the same: a failure can be repeated */

/* xorshift64* (Vigna, ACM TOMS 42, 2016) */
static uint64_t chance(uint64_t below) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

static void insert(input *of) {
    size_t count = 1 + chance(16), at = chance(of->size + 1);
    if (of->size + count > MOST_BYTES) {
        return;
    }
    memmove(of->data + at + count, of->data + at, of->size - at);
    for (size_t i = 0; i < count; i++) {
        of->data[at + i] = (uint8_t)chance(256);
    }
    of->size += count;
}

static void cut(input *of) {
    size_t at = chance(of->size), count = 1 + chance(of->size - at);
    memmove(of->data + at, of->data + at + count, of->size - at - count);
    of->size -= count;
}

/* Bytes of another input, over those that stand there. */
static void splice(input *of, const input *from) {
    size_t at = chance(of->size), start = from->size == 0 ? 0 : chance(from->size);
    size_t left = from->size - start, room = of->size - at;
    size_t count = left < room ? left : room;
    memmove(of->data + at, from->data + start, count);
}

static void change(input *of) {
    if (of->size == 0 || chance(8) == 0) {
        insert(of);
        return;
    }
    switch (chance(5)) {
    case 0:
        of->data[chance(of->size)] ^= (uint8_t)(1u << chance(8));
        break;
    case 1:
        of->data[chance(of->size)] = (uint8_t)chance(256);
        break;
    case 2:
        insert(of);
        break;
    case 3:
        cut(of);
        break;
    default:
        splice(of, &pool[chance(POOL)]);
    }
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room) {
    static input changed;
    changed.size = size;
    memcpy(changed.data, data, size);
    for (uint64_t changes = 1 + chance(MOST_CHANGES); changes > 0; changes--) {
        change(&changed);
    }
    size = changed.size < room ? changed.size : room;
    memcpy(data, changed.data, size);
    return size;
}

static void mutate(input *of) {
    if (LLVMFuzzerCustomMutator != NULL) {
        unsigned seed = (unsigned)chance(UINT32_MAX);
        of->size = LLVMFuzzerCustomMutator(of->data, of->size, MOST_BYTES, seed);
    } else {
        of->size = LLVMFuzzerMutate(of->data, of->size, MOST_BYTES);
    }
}

/* A copy of exactly its size, so that a sanitizer sees a byte read beyond it. */
static void run(const input *of) {
    uint8_t *exact = malloc(of->size + (of->size == 0));
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, of->data, of->size);
    (void)LLVMFuzzerTestOneInput(exact, of->size);
    free(exact);
}

static void read_seed(input *into, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        into->size = fread(into->data, 1, MOST_BYTES, file);
        (void)fclose(file);
    }
}

int main(int argc, char **argv) {
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    unsigned long runs = 0;
    for (int i = 2; i < argc; i++) {
        read_seed(&pool[(unsigned)i % POOL], argv[i]);
    }
    for (unsigned i = 0; i < POOL; i++) {
        run(&pool[i]);
    }
    while (time(NULL) < end || runs < LEAST_RUNS) {
        static input next;
        next = pool[chance(POOL)];
        mutate(&next);
        run(&next);
        runs++;
        if (chance(4) == 0) {
            pool[chance(POOL)] = next;
        }
    }
    printf("%lu inputs\n", runs);
    return 0;
}
