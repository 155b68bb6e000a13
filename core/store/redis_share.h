/*
 * redis_share.h - one limit's windows as this process knows them: what of each
 * is its own, what all others have used as Redis told last, what it has lent
 * itself. Knows no lock and no Redis; redis_shares.c keeps both apart.
 *
 * A sliding window has parts, as in counter.h; a fixed one is a single part.
 */
#ifndef STORE_REDIS_SHARE_H
#define STORE_REDIS_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/counter.h"

struct buf;
struct redis_words;

struct redis_part {
    int64_t at;                      /* sliding: its number, -1: unused; fixed: the window's first millisecond */
    int64_t own, reserved;           /* this process's use, reservations included; those alone */
    int64_t unsent, unsent_reserved; /* by how much these grew since Redis was told */
};

/* One window: one key in Redis. */
struct redis_share {
    struct redis_windows *windows;
    struct redis_share *older;
    char *key;
    size_t key_length;
    int64_t at;   /* fixed: the window's first millisecond; sliding: the number of the newest part */
    int64_t ends; /* fixed: the first millisecond behind it */
    bool is_void; /* the clock had been ahead: its figures have moved */
    bool is_told; /* Redis has told what others use */
    int64_t others, told_at;
    int64_t lease, unsent_lease; /* units that nobody else gets */
    int64_t recall;              /* what was lent up to this recall number is void */
    int64_t cap;           /* while Redis is away: the most that own may be; -1: Redis never told of this window */
    int64_t lent_until_us; /* until then nobody is asked for leases: they did not give them back */
    unsigned touched;      /* in which beat */
    unsigned holders;
    struct redis_part parts[];
};

/* One limit: its windows, the present one first. */
struct redis_windows {
    char *name; /* the key in Redis but for the window's time */
    size_t name_length;
    enum window window;
    const struct zone *zone;
    bool sliding;
    struct redis_share *newest;
};

/* The name of a limit's windows, appended to text. */
void redis_share_name(const struct store_limit *limit, struct buf *text);
struct redis_windows *redis_share_windows(const struct store_limit *limit, const char *name, size_t length);
void redis_share_free_windows(struct redis_windows *windows);
/* The window of now; made if need be. A clock that was put back is treated as in counter.h. */
struct redis_share *redis_share_find(struct redis_windows *windows, int64_t now);
/* Frees windows that nobody needs any more; true: all of them were. */
bool redis_share_sweep(struct redis_windows *windows, int64_t now);

/* NULL: that part counts no more. */
struct redis_part *redis_share_part(struct redis_share *share, int64_t at);
/* Whether the window, or the part, still is the present one's. */
bool redis_share_is_present(const struct redis_share *share, int64_t at);
void redis_share_change(struct redis_share *share, int64_t at, int64_t own, int64_t reserved);
int64_t redis_share_own(const struct redis_share *share);
int64_t redis_share_others(const struct redis_share *share, int64_t now);
/* As counter_wait and counter_end; what others have used leaves a sliding window when Redis says so. */
int64_t redis_share_wait(const struct redis_share *share, int64_t amount, int64_t max, int64_t now);
int64_t redis_share_end(const struct redis_share *share, int64_t now);
/* Milliseconds until the end of a sliding window's part. */
int64_t redis_share_part_wait(const struct redis_share *share, int64_t part, int64_t now);
/* How long Redis has to keep it, milliseconds; 0: for ever. */
int64_t redis_share_ttl(const struct redis_share *share, int64_t now);

/* Its key, kind, part and ttl, as all scripts want them. */
void redis_share_describe(const struct redis_share *share, int64_t at, int64_t now, struct redis_words *words);
/* What Redis has not been told, for the script add; nothing is unsent after it. True: there was something. */
bool redis_share_unsent(struct redis_share *share, int64_t now, struct redis_words *words);
/* All of its own, for the script sync; nothing is unsent after it. */
void redis_share_figures(struct redis_share *share, int64_t now, struct redis_words *words);

#endif
