/* heap.c - see heap.h. */
#include "script/heap.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct heap_cell {
    struct heap_cell *next;
};

struct heap_chunk {
    struct heap_chunk *next;
    size_t unused; /* keeps what follows aligned */
};

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

static void give_back(struct heap *heap, void *block, size_t size)
{
    struct heap_cell *cell = block;

    cell->next = heap->free[cells(size)];
    heap->free[cells(size)] = cell;
}

/* What is left of the last chunk is a block of its own. */
static void add_chunk(struct heap *heap)
{
    struct heap_chunk *chunk = mem_alloc(CHUNK_BYTES);

    if (heap->next < heap->end)
        give_back(heap, heap->next, (size_t)(heap->end - heap->next));
    chunk->next = heap->chunks;
    heap->chunks = chunk;
    heap->next = (char *)(chunk + 1);
    heap->end = (char *)chunk + CHUNK_BYTES;
}

static __attribute__((noinline)) void *take_new(struct heap *heap, size_t size)
{
    void *block;

    if ((size_t)(heap->end - heap->next) < cells(size) * HEAP_CELL)
        add_chunk(heap);
    block = heap->next;
    heap->next += cells(size) * HEAP_CELL;
    return block;
}

static inline void *take(struct heap *heap, size_t size)
{
    struct heap_cell *cell = heap->free[cells(size)];

    if (!cell)
        return take_new(heap, size);
    heap->free[cells(size)] = cell->next;
    /* It was freed long ago, and is out of every cache: on its way by the time that it is wanted. */
    __builtin_prefetch(cell->next, 1);
    return cell;
}

static void drop(struct heap *heap, void *block, size_t size)
{
    if (is_small(size))
        give_back(heap, block, size);
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
    drop(heap, block, old_size);
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
    drop(heap, block, old_size);
    return NULL;
}

void heap_free(struct heap *heap)
{
    while (heap->chunks) {
        struct heap_chunk *chunk = heap->chunks;

        heap->chunks = chunk->next;
        mem_free(chunk);
    }
}
