/* Linear hashing: see replay_table.h. */
#include <string.h>

#include "replay_table.h"

/* 2^k − 1, the smallest that is not below `number`. */
static uint32_t mask_for(uint32_t number) {
    return number == 0 ? 0 : UINT32_MAX >> __builtin_clz(number);
}

uint32_t *ks_replay_bucket_of(ks_replay *self, uint64_t hash) {
    uint32_t mask = mask_for(self->used - 1), number = (uint32_t)hash & mask;
    return replay_bucket_at(self, number < self->used ? number : number & mask >> 1);
}

static uint64_t hash_at(ks_replay *self, uint32_t place) {
    return replay_siphash(self->secret, replay_proof_at(self, place)->key);
}

void ks_replay_bucket_push(ks_replay *self, uint32_t *bucket, uint32_t place) {
    replay_proof_at(self, place)->next = *bucket;
    *bucket = place;
}

void ks_replay_bucket_remove(ks_replay *self, uint32_t place) {
    uint32_t *link = ks_replay_bucket_of(self, hash_at(self, place));
    while (*link != place) {
        link = &replay_proof_at(self, *link)->next;
    }
    *link = replay_proof_at(self, place)->next;
}

void ks_replay_bucket_split(ks_replay *self) {
    uint32_t newest = self->used - 1, *target = replay_bucket_at(self, newest);
    *target = REPLAY_NONE;
    if (newest == 0) {
        return;
    }
    uint32_t mask = mask_for(newest);
    uint32_t *link = replay_bucket_at(self, newest & mask >> 1);
    while (*link != REPLAY_NONE) {
        uint32_t place = *link;
        if (((uint32_t)hash_at(self, place) & mask) == newest) {
            *link = replay_proof_at(self, place)->next;
            ks_replay_bucket_push(self, target, place);
        } else {
            link = &replay_proof_at(self, place)->next;
        }
    }
}

int ks_replay_is_known(ks_replay *self, const replay_sought *wanted) {
    if (self->used == 0) {
        return 0;
    }
    for (uint32_t place = *ks_replay_bucket_of(self, wanted->hash); place != REPLAY_NONE;) {
        const replay_proof *at = replay_proof_at(self, place);
        if (memcmp(at->key, wanted->key, REPLAY_KEY_BYTES) == 0 && at->last >= self->horizon) {
            return 1;
        }
        place = at->next;
    }
    return 0;
}
