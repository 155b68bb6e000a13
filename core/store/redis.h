/*
 * redis.h - the backend for many gateways on one Redis: what its files share.
 * Workers reserve and settle over links of their own (redis_reserve.c); one
 * thread does all that may wait (redis_keeper.c); what this process knows is in
 * the books (redis_shares.c), the ledger in redis_rows.c, keys, marks and
 * learnt limits in redis_news.c.
 */
#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/id.h"
#include "net/redis.h"

struct redis_desk;
struct redis_keeper;
struct redis_news;
struct redis_rows;
struct redis_shares;
struct store;

struct redis {
    struct store *store;
    struct redis_address address;
    char spool[PATH_MAX];   /* the folder where ledger rows wait */
    char id[ID_LENGTH + 1]; /* names this process in Redis; new at each start */
    struct redis_shares *shares;
    struct redis_rows *rows;
    struct redis_news *news;
    struct redis_keeper *keeper;
    pthread_mutex_t lock;     /* guards what follows */
    struct redis_desk *desks; /* of the threads that have joined */
};

/*
 * Whether Redis counts at this moment; else this process does what it may alone. epoch (may be NULL) counts how often
 * Redis went away: what was asked in one is void in the next. Any thread.
 */
bool redis_is_online(struct redis *redis, uint64_t *epoch);
/*
 * A command of that epoch (0: the present one) got no answer, or one that says that Redis does not know this process
 * any more. Every link is begun anew, and the keeper comes back as soon as it can. why NULL: that is no news. Any
 * thread.
 */
void redis_go_away(struct redis *redis, uint64_t epoch, const char *why);
/* This thread's link; NULL: it has not joined, or the link is down. */
struct redis_link *redis_link_here(struct redis *redis);

#endif
