/*
 * limits_inside.h - the inside of a limits table, for limits.c, which reserves,
 * and limits_kept.c, which tells what is to be kept, alone. All below is behind its lock.
 */
#ifndef STORE_LIMITS_INSIDE_H
#define STORE_LIMITS_INSIDE_H

#include <pthread.h>

#include "base/hash.h"
#include "store/counter.h"
#include "store/learnt.h"
#include "store/limits.h"

struct hold {
    struct counter *counter;
    struct counter_place place;
    int64_t amount;
};

struct reservation {
    uint32_t round; /* how often this place was given out */
    uint32_t next_free;
    bool is_open;
    size_t hold_count, draw_count;
    struct hold *holds;
    struct learnt_draw *draws;
};

struct limits {
    pthread_mutex_t lock;
    struct hash counters;
    struct counter *dirty; /* ends with limits_last_dirty */
    size_t sweep_at;
    struct learnt learnt;
    struct reservation *reservations; /* place 0 is never given out */
    uint32_t reservation_count;
    uint32_t first_free; /* 0: none */
    void (*on_moved)(void *arg, const struct counter_state *state);
    void *moved_arg;
    bool is_handed_over;
    int64_t now; /* as told last: a clock that was ahead for a moment leaves nothing behind */
};

/* Ends the list of changed counters: a counter whose next is NULL is on no list. */
extern struct counter limits_last_dirty;

/* NULL if there is none, and none is to be made. */
struct counter *limits_find(struct limits *limits, const struct store_limit *limit, bool make);
/* True: it changed, and is on the list. */
bool limits_note_change(struct limits *limits, struct counter *counter);

#endif
