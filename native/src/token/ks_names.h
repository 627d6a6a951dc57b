/*
 * What many items name, each name once: the keys of a batch, its status lists. Nearly always it is one, so
 * an item is compared with the first few names; what is none of them is sorted, so that items which all
 * name something else cost no more than sorting does.
 */
#ifndef KS_NAMES_H
#define KS_NAMES_H

#include "ks_status.h"

/* One item's name, and where the number of that name goes. A text without data is not the empty one. */
typedef struct ks_naming {
    uint32_t tag;
    ks_view text;
    uint32_t *number;
} ks_naming;

/*
 * Numbers the names of `count` items from 0 on and answers how many there are; `distinct`, with room for
 * `count`, gets one item of each. `items` is scratch afterwards.
 */
size_t ks_names_number(ks_naming *items, size_t count, ks_naming *distinct);

#endif
