/*
 * redis_reserve.h - reserving and settling on a worker's thread, over the link
 * that its desk has: one script, one round trip. When Redis does not answer
 * in time (30 ms, unless its address says otherwise) the books decide alone.
 */
#ifndef STORE_REDIS_RESERVE_H
#define STORE_REDIS_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct redis;
struct redis_link;

/* As their namesakes in store.h. */
void redis_reserve_join(struct redis *redis, struct loop *loop);
void redis_reserve_leave(struct redis *redis);
void redis_reserve_call(struct redis *redis, const struct store_call *call, int64_t now,
                        void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg);
void redis_reserve_settle(struct redis *redis, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now);

/* This thread's link, if it is up. */
struct redis_link *redis_reserve_link(struct redis *redis);
/* Any thread: begins all links anew; and whether all of them are up since then. */
void redis_reserve_reset_links(struct redis *redis);
bool redis_reserve_links_are_up(struct redis *redis);

#endif
