/* Allocations of the core that fail: the test program is linked so that malloc and calloc come here. */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

/* The `index`th allocation from now on fails, counted from 0, in whatever thread; negative: none. */
void failing_memory_set(long index);
/* Whether that allocation was asked for. */
int failing_memory_reached(void);

#endif
