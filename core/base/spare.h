/*
 * spare.h - blocks that a thread is done with, kept for what it needs next.
 * malloc keeps seven of a size, and none of more than 1 KB; many requests are
 * under way in a thread, and each has blocks of its own.
 */
#ifndef BASE_SPARE_H
#define BASE_SPARE_H

#include <stdbool.h>
#include <stddef.h>

/* A block of at least that size that was given; NULL: there is none. */
void *spare_take(size_t size);
/* False: it is not kept. The block is malloc's. */
bool spare_give(void *block);

#endif
