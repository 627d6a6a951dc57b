/* The heap of seconds: see replay_table.h. */
#include <stdlib.h>

#include "replay_table.h"

static uint32_t rank_of(ks_replay *self, uint32_t number) {
    return number == REPLAY_NONE ? 0 : replay_second_at(self, number)->rank;
}

/*
 * Two heaps into one: a leftist tree (Crane 1972; Knuth, TAOCP 3, §5.2.3). The rank is the length of
 * the path to the right, which is the shortest, at most log2 of the seconds in a heap; this calls
 * itself along both of them.
 */
static uint32_t seconds_merge(ks_replay *self, uint32_t one, uint32_t other) {
    if (one == REPLAY_NONE || other == REPLAY_NONE) {
        return one == REPLAY_NONE ? other : one;
    }
    if (replay_second_at(self, other)->last < replay_second_at(self, one)->last) {
        uint32_t later = one;
        one = other;
        other = later;
    }
    replay_second *top = replay_second_at(self, one);
    top->right = seconds_merge(self, top->right, other);
    if (rank_of(self, top->left) < rank_of(self, top->right)) {
        uint32_t shorter = top->left;
        top->left = top->right;
        top->right = shorter;
    }
    top->rank = rank_of(self, top->right) + 1;
    return one;
}

int ks_replay_is_a_second_dead(ks_replay *self) {
    return self->soonest != REPLAY_NONE &&
           replay_second_at(self, self->soonest)->last < self->horizon;
}

void ks_replay_second_bury(ks_replay *self) {
    uint32_t number = self->soonest;
    replay_second *over = replay_second_at(self, number);
    self->soonest = seconds_merge(self, over->left, over->right);
    replay_proof_at(self, over->tail)->sibling = self->dead;
    self->dead = over->head;
    self->dead_count += over->count;
    over->count = 0;
    over->left = self->seconds_free;
    self->seconds_free = number;
}

/*
 * A number for a second. It is below `used`, as every second has a proof, so its segment is there;
 * REPLAY_NONE without memory for the seconds of that segment.
 */
static uint32_t second_new(ks_replay *self) {
    uint32_t number = self->seconds_free;
    if (number != REPLAY_NONE) {
        self->seconds_free = replay_second_at(self, number)->left;
        return number;
    }
    replay_segment *in = *replay_segment_of(self, self->seconds_used);
    if (in->seconds == NULL) {
        in->seconds = malloc(PLACES_PER_SEGMENT * sizeof *in->seconds);
    }
    return in->seconds == NULL ? REPLAY_NONE : self->seconds_used++;
}

int ks_replay_second_join(ks_replay *self, uint32_t place) {
    replay_proof *joins = replay_proof_at(self, place);
    uint32_t *recent = &self->recent[(uint64_t)joins->last % RECENT_SECONDS];
    replay_second *of = *recent == REPLAY_NONE ? NULL : replay_second_at(self, *recent);
    if (of != NULL && of->count > 0 && of->last == joins->last) {
        joins->sibling = of->head;
        of->head = place;
        of->count++;
        return 1;
    }
    uint32_t number = second_new(self);
    if (number == REPLAY_NONE) {
        return 0;
    }
    joins->sibling = REPLAY_NONE;
    *replay_second_at(self, number) = (replay_second){
        .last = joins->last,
        .head = place,
        .tail = place,
        .count = 1,
        .rank = 1,
        .left = REPLAY_NONE,
        .right = REPLAY_NONE,
    };
    self->soonest = seconds_merge(self, self->soonest, number);
    *recent = number;
    return 1;
}
