/*
 * heap.c - see heap.h. Slabs of chunks of cells, and a bit for each cell. Blocks
 * are taken from one row of free cells after the other, in the order in which
 * they lie, and from one chunk after the other that has enough of them.
 */
#include "script/heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum {
    CHUNK_CELLS = 4096,
    SLAB_CHUNKS = 32,
    SLAB_CELLS = CHUNK_CELLS * SLAB_CHUNKS,
    SLAB_BYTES = SLAB_CELLS * HEAP_CELL,
    WORD_CELLS = 64,
    ROW_CELLS = 8,                  /* a shorter row of free cells is left alone */
    ENOUGH_CELLS = CHUNK_CELLS / 4, /* of a chunk, for it to be used again */
    AHEAD_BYTES = 1024 /* the collector goes from the newest object to the oldest: this is where it is soon */
};

/* At the beginning of what it tells of, which lies on a multiple of its size. */
struct heap_slab {
    struct heap_slab *next;
    uint32_t free[SLAB_CHUNKS]; /* cells */
    uint64_t taken[SLAB_CELLS / WORD_CELLS];
};

enum { OWN_CELLS = (sizeof(struct heap_slab) + HEAP_CELL - 1) / HEAP_CELL };

static size_t cells(size_t size)
{
    return (size + HEAP_CELL - 1) / HEAP_CELL;
}

#ifdef __SANITIZE_ADDRESS__
/* A block used after its end is only seen where it is malloc's. */
static bool is_small(size_t size)
{
    (void)size;
    return false;
}
#else
static bool is_small(size_t size)
{
    return size <= HEAP_LARGEST;
}
#endif

/* ---- bits ---- */

static size_t place_of(const struct heap_slab *slab, const char *cell)
{
    return (size_t)(cell - (const char *)slab) / HEAP_CELL;
}

/* The bits of the word that holds `from`, of the cells from there on and before `to`. */
static uint64_t mask(size_t from, size_t to)
{
    uint64_t bits = ~UINT64_C(0) << from % WORD_CELLS;

    return to - from / WORD_CELLS * WORD_CELLS < WORD_CELLS ? bits & ~(~UINT64_C(0) << to % WORD_CELLS) : bits;
}

static size_t next_word(size_t place)
{
    return (place / WORD_CELLS + 1) * WORD_CELLS;
}

/* All cells of a row lie in one chunk. */
static void take_row(struct heap_slab *slab, size_t from, size_t to)
{
    slab->free[from / CHUNK_CELLS] -= (uint32_t)(to - from);
    for (size_t at = from; at < to; at = next_word(at))
        slab->taken[at / WORD_CELLS] |= mask(at, to);
}

static void free_row(struct heap_slab *slab, size_t from, size_t to)
{
    slab->free[from / CHUNK_CELLS] += (uint32_t)(to - from);
    for (size_t at = from; at < to; at = next_word(at))
        slab->taken[at / WORD_CELLS] &= ~mask(at, to);
}

/* The first cell from there on that is taken (or is not), or end. */
static size_t find(const struct heap_slab *slab, size_t from, size_t end, bool is_taken)
{
    for (size_t at = from; at < end; at = next_word(at)) {
        uint64_t word = slab->taken[at / WORD_CELLS];
        uint64_t found = (is_taken ? word : ~word) & mask(at, end);

        if (found)
            return at / WORD_CELLS * WORD_CELLS + (size_t)__builtin_ctzll(found);
    }
    return end;
}

/* ---- rows of free cells ---- */

static void leave_row(struct heap *heap)
{
    if (heap->next < heap->end)
        free_row(heap->slab, place_of(heap->slab, heap->next), place_of(heap->slab, heap->end));
    heap->next = heap->end = NULL;
}

/* Enters the first row of the chunk from that place on that is so long. */
static bool enter_row(struct heap *heap, size_t from, size_t count)
{
    struct heap_slab *slab = heap->slab;
    size_t end = (heap->chunk + 1) * CHUNK_CELLS, least = count > ROW_CELLS ? count : ROW_CELLS;

    for (size_t start = find(slab, from, end, false); start < end; start = find(slab, from, end, false)) {
        from = find(slab, start, end, true);
        if (from - start < least)
            continue;
        take_row(slab, start, from);
        heap->next = (char *)slab + start * HEAP_CELL;
        heap->end = (char *)slab + from * HEAP_CELL;
        return true;
    }
    return false;
}

static void add_slab(struct heap *heap)
{
    struct heap_slab *slab = mem_aligned(SLAB_BYTES);

    memset(slab, 0, sizeof *slab);
    for (size_t i = 0; i < SLAB_CHUNKS; i++)
        slab->free[i] = CHUNK_CELLS;
    take_row(slab, 0, OWN_CELLS);
    slab->next = heap->slabs;
    heap->slabs = slab;
    heap->slab = slab;
    heap->chunk = 0;
}

/* The next chunk, round and round. */
static void turn(struct heap *heap)
{
    if (++heap->chunk < SLAB_CHUNKS)
        return;
    heap->chunk = 0;
    heap->slab = heap->slab->next ? heap->slab->next : heap->slabs;
}

/* Goes to a row of so many cells, behind the one that is left; once round, and all is full. */
static __attribute__((noinline)) void move_on(struct heap *heap, size_t count)
{
    struct heap_slab *slab = heap->slab;
    size_t chunk = heap->chunk, from = slab ? place_of(slab, heap->end) : 0;

    if (slab) {
        leave_row(heap);
        if (enter_row(heap, from, count))
            return;
        for (turn(heap); heap->slab != slab || heap->chunk != chunk; turn(heap))
            if (heap->slab->free[heap->chunk] >= ENOUGH_CELLS && enter_row(heap, heap->chunk * CHUNK_CELLS, count))
                return;
    }
    add_slab(heap);
    enter_row(heap, 0, count);
}

/* ---- blocks ---- */

static inline void *take(struct heap *heap, size_t size)
{
    size_t bytes = cells(size) * HEAP_CELL;
    void *block;

    if ((size_t)(heap->end - heap->next) < bytes)
        move_on(heap, cells(size));
    block = heap->next;
    heap->next += bytes;
    return block;
}

static inline void give_back(char *block, size_t size)
{
    struct heap_slab *slab = (void *)((uintptr_t)block & ~(uintptr_t)(SLAB_BYTES - 1));
    size_t place = place_of(slab, block);

    __builtin_prefetch(block - AHEAD_BYTES);
    free_row(slab, place, place + cells(size));
}

static void drop(void *block, size_t size)
{
    if (is_small(size))
        give_back(block, size);
    else
        mem_free(block);
}

static __attribute__((noinline)) void *move(struct heap *heap, void *block, size_t old_size, size_t size)
{
    void *fresh;

    if (!is_small(old_size) && !is_small(size))
        return mem_resize(block, size);
    if (is_small(old_size) && cells(old_size) == cells(size))
        return block;
    fresh = is_small(size) ? take(heap, size) : mem_alloc(size);
    memcpy(fresh, block, old_size < size ? old_size : size);
    drop(block, old_size);
    return fresh;
}

/* Nearly all of it is small, and made or dropped. */
void *heap_resize(void *data, void *block, size_t old_size, size_t size)
{
    struct heap *heap = data;

    if (!block) {
        heap->bytes += size;
        if (size == 0)
            return NULL;
        return is_small(size) ? take(heap, size) : mem_alloc(size);
    }
    heap->bytes += size - old_size;
    if (size > 0)
        return move(heap, block, old_size, size);
    drop(block, old_size);
    return NULL;
}

void heap_free(struct heap *heap)
{
    while (heap->slabs) {
        struct heap_slab *slab = heap->slabs;

        heap->slabs = slab->next;
        mem_free(slab);
    }
}
