/*
 * spare.c - see spare.h. A list for each size that malloc has: 8 bytes more than
 * a multiple of 16, but where a block has pages of its own. What is kept goes
 * when its thread ends.
 */
#include "base/spare.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { STEP = 16, LARGEST = 4096, SIZES = LARGEST / STEP + 1, KEPT_BYTES = 16 * 1024 /* of each size */ };

struct spare {
    struct spare *next;
};

static _Thread_local struct spares {
    bool is_registered;
    struct spare *first[SIZES];
    uint32_t bytes[SIZES];
} here;

#ifdef __SANITIZE_ADDRESS__
/* A block used after its end is only seen where it is malloc's. */
static const size_t largest = 0;
#else
static const size_t largest = LARGEST;
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t of_thread;

static void free_all(void *arg)
{
    struct spares *spares = arg;

    for (int i = 0; i < SIZES; i++)
        while (spares->first[i]) {
            struct spare *spare = spares->first[i];

            spares->first[i] = spare->next;
            free(spare);
        }
    *spares = (struct spares){ 0 };
}

static void make_key(void)
{
    pthread_key_create(&of_thread, free_all);
}

static __attribute__((noinline)) bool keep_here(void)
{
    pthread_once(&once, make_key);
    return here.is_registered = pthread_setspecific(of_thread, &here) == 0;
}

void *spare_take(size_t size)
{
    size_t place = size > STEP / 2 ? (size + STEP / 2 - 1) / STEP : 1;
    struct spare *spare;

    if (size > largest || !(spare = here.first[place]))
        return NULL;
    here.first[place] = spare->next;
    here.bytes[place] -= (uint32_t)(place * STEP);
    return spare;
}

bool spare_give(void *block)
{
    size_t place = (malloc_usable_size(block) - STEP / 2) / STEP;
    struct spare *spare = block;

    if (place == 0 || place > largest / STEP || here.bytes[place] + place * STEP > KEPT_BYTES ||
        (!here.is_registered && !keep_here()))
        return false;
    spare->next = here.first[place];
    here.first[place] = spare;
    here.bytes[place] += (uint32_t)(place * STEP);
    return true;
}
