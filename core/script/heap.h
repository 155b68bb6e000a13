/*
 * heap.h - the memory of one Lua state. A request makes thousands of small
 * objects and drops them all, which the collector finds long afterwards, when
 * they are in no cache: so those that are made one after the other lie one
 * behind the other, and the next is fetched while one is looked at.
 * Lua tells the size of what it gives back: no block has a header. Larger
 * blocks are malloc's. What small objects once took stays for those to come.
 *
 * Of one thread. Out of memory ends the program, in mem.c.
 */
#ifndef SCRIPT_HEAP_H
#define SCRIPT_HEAP_H

#include <stddef.h>

/* The largest is that of a table of up to 32 members, of which every request has some. */
enum { HEAP_CELL = 16, HEAP_LARGEST = 1024 };

/* All zeros: an empty one. */
struct heap {
    char *next, *end; /* what is left of the free cells that blocks are taken from */
    struct heap_slab *slabs, *slab;
    size_t chunk; /* of this slab: where these cells are */
    size_t bytes; /* of all blocks, as they were asked for */
};

/* As realloc, but that size 0 frees; old_size is what was asked for before. What Lua calls, with its heap as data. */
void *heap_resize(void *data, void *block, size_t old_size, size_t size);

/* The small blocks all at once; the large ones must have been freed. */
void heap_free(struct heap *heap);

#endif
