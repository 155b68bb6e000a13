/*
 * counter.h - the arithmetic of one counter: what was used of one limit in its
 * present window. Knows no lock and no disk; limits.c keeps both.
 *
 * A fixed window is one slot. A sliding window is cut into 60 parts, and 61
 * slots are kept: an amount counts until the whole of its part is older than
 * the window, so that no window of that length ever holds more than the limit,
 * at the price of waiting up to a 60th longer. A sliding month is 31 days.
 *
 * A counter never goes back in time: while a clock that was put back is less
 * than one window behind, its newest window stays the present one. Further
 * back, the clock was wrong before: what is counted moves to the present.
 */
#ifndef STORE_COUNTER_H
#define STORE_COUNTER_H

#include "store/store.h"

enum { COUNTER_SLOTS = 61 };

struct counter_slot {
    int64_t settled;
    int64_t reserved;
    int64_t told; /* both, as the process that took the store over knows them */
};

struct counter {
    char *name; /* key, window, kind and zone in one: its identity */
    size_t name_length;
    size_t key_length; /* name begins with the key */
    const struct zone *zone;
    enum window window;
    bool sliding;
    int64_t at;       /* the present window: its first millisecond; sliding: the number of its newest part */
    int64_t ends;     /* fixed: the first millisecond behind it */
    unsigned turn;    /* counts up when the clock was put back under it: older places are void */
    unsigned holders; /* reservations that point here */
    uint64_t dirty;   /* a bit a slot: changed since it was last written out */
    uint64_t moved;   /* the same, since that was last told */
    struct counter *next_dirty;
    unsigned __int128 sum;       /* of all that is settled and reserved: more than one number holds */
    struct counter_slot slots[]; /* 1 or COUNTER_SLOTS */
};

/* Where a reserved amount was put. */
struct counter_place {
    int64_t at;
    unsigned turn;
};

/* Milliseconds of a sliding window. */
int64_t counter_length(enum window window);

struct counter *counter_new(const char *name, size_t name_length, const struct store_limit *limit);
void counter_free(struct counter *counter);
/* Brings it to the window of now. Everything below wants that done first. */
void counter_roll(struct counter *counter, int64_t now);
int64_t counter_used(const struct counter *counter);
/* Milliseconds until amount fits below max; 0 if it never does. */
int64_t counter_wait(const struct counter *counter, int64_t amount, int64_t max, int64_t now);
/* When the window ends; sliding: when the first amount in it drops out. */
int64_t counter_end(const struct counter *counter, int64_t now);
struct counter_place counter_reserve(struct counter *counter, int64_t amount);
/* Takes a reserved amount back as if it had never been made. */
void counter_cancel(struct counter *counter, struct counter_place place, int64_t reserved);
/*
 * The real amount in place of the reserved one, in the window where it was reserved. Is that over, the present window
 * gets only what was used beyond the reserved amount: what had been reserved went with the old window.
 */
void counter_settle(struct counter *counter, struct counter_place place, int64_t reserved, int64_t actual);
/* What was put there has changed: it is to be written out, if its window is not over. */
void counter_touch(struct counter *counter, struct counter_place place);
void counter_touch_all(struct counter *counter);
/* Adds what another process counted in the slot of that time. False: that window is over. */
bool counter_add(struct counter *counter, int64_t at, int64_t ends, int64_t amount);
/* Nothing in it counts any more, even for a clock put back by less than a window. */
bool counter_is_over(const struct counter *counter, int64_t now);
/* One written slot: its number, its time (as `at`) and the first millisecond that it does not count. */
void counter_load(struct counter *counter, int64_t at, int64_t ends, int64_t settled);
int64_t counter_slot_at(const struct counter *counter, int slot);
int64_t counter_slot_ends(const struct counter *counter, int slot);

#endif
