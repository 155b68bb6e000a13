/*
 * heap.h - the memory of one Lua state. A request makes thousands of small
 * objects and drops them all; Lua tells the size of what it gives back, so they
 * come from lists of free cells and need neither header nor search. Larger
 * blocks are malloc's. What small objects once took stays for those to come.
 *
 * Of one thread. Out of memory ends the program, in mem.c.
 */
#ifndef SCRIPT_HEAP_H
#define SCRIPT_HEAP_H

#include <stddef.h>

/* The largest is that of a table of up to 32 members, of which every request has some. */
enum { HEAP_CELL = 16, HEAP_LARGEST = 1024 };

struct heap {
    struct heap_cell *free[HEAP_LARGEST / HEAP_CELL + 1]; /* by size in cells */
    struct heap_chunk *chunks;
    char *next, *end; /* what no list has had yet of the last chunk */
    size_t bytes;     /* of all blocks, as they were asked for */
};

/* As realloc, but that size 0 frees; old_size is what was asked for before. What Lua calls, with its heap as data. */
void *heap_resize(void *data, void *block, size_t old_size, size_t size);

/* The small blocks all at once; the large ones must have been freed. */
void heap_free(struct heap *heap);

#endif
