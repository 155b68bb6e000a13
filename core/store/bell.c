/* bell.c - see bell.h. */
#include "store/bell.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

struct bell {
    atomic_uint holders;  /* who took it down, and each loop that is yet to ring it */
    void *_Atomic asked;  /* the loop that was asked last and has not rung it */
    pthread_mutex_t lock; /* for all below */
    void (*on_ring)(void *arg);
    void *arg;
};

struct bell *bell_new(void (*on_ring)(void *arg), void *arg)
{
    struct bell *bell = mem_zero(sizeof *bell);

    atomic_store(&bell->holders, 1);
    pthread_mutex_init(&bell->lock, NULL);
    bell->on_ring = on_ring;
    bell->arg = arg;
    return bell;
}

static void drop(struct bell *bell)
{
    if (atomic_fetch_sub(&bell->holders, 1) > 1)
        return;
    pthread_mutex_destroy(&bell->lock);
    mem_free(bell);
}

static void on_turn_end(void *arg)
{
    struct bell *bell = arg;

    /* First: who comes from here on asks anew. */
    atomic_store(&bell->asked, NULL);
    pthread_mutex_lock(&bell->lock);
    if (bell->on_ring)
        bell->on_ring(bell->arg);
    pthread_mutex_unlock(&bell->lock);
    drop(bell);
}

void bell_ask(struct bell *bell, const struct store_home *home)
{
    if (atomic_exchange(&bell->asked, home->loop) == home->loop)
        return;
    atomic_fetch_add(&bell->holders, 1);
    home->post(home->loop, on_turn_end, bell);
}

void bell_take_down(struct bell *bell)
{
    if (!bell)
        return;
    pthread_mutex_lock(&bell->lock);
    bell->on_ring = NULL;
    pthread_mutex_unlock(&bell->lock);
    drop(bell);
}
