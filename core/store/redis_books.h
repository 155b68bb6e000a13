/*
 * redis_books.h - what redis_shares.c (booking) and redis_standing.c (coming
 * and going) share of the books. Nobody else includes it.
 */
#ifndef STORE_REDIS_BOOKS_H
#define STORE_REDIS_BOOKS_H

#include <pthread.h>

#include "base/buf.h"
#include "base/hash.h"
#include "store/redis_share.h"
#include "store/redis_shares.h"
#include "store/redis_standing.h"

struct redis_shares {
    pthread_mutex_t lock; /* guards all; the limits' own lock may be taken inside it */
    char *name;
    struct limits *limits;
    enum redis_state state;
    uint64_t epoch;
    char session[ID_LENGTH + 1];
    int64_t gateways;   /* how many there are, this one included; at least 1 */
    int64_t contact_us; /* when Redis was last asked whether it is there, and was */
    int64_t now;        /* as told last */
    unsigned beat;
    bool has_unsent; /* somewhere */
    bool has_news;   /* learnt limits changed */
    size_t sweep_at;
    struct hash windows;  /* by the limit's name */
    struct hash bookings; /* by the number of the reservation */
    struct buf scratch;
};

/* The keys and arguments that each script begins with. */
void redis_books_begin(const struct redis_shares *shares, struct redis_words *words);
/* Redis was away for so long that the others may have buried this process: what it had lent itself is theirs. */
bool redis_books_is_forgotten(const struct redis_shares *shares);

#endif
