/* redis_keys.h - callers' keys: between the table of this process and Redis. Called by redis_news.c and
 * redis_offline.c. */
#ifndef STORE_REDIS_KEYS_H
#define STORE_REDIS_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/redis_order.h"
#include "store/store.h"

struct keys;

/* A key that was added or, without settings, revoked, as backend.h has it. Answered by what redis_keys_is_kept takes.
 */
void redis_keys_order(struct keys *keys, const struct store_key *key, struct redis_order *order);
bool redis_keys_is_kept(const struct redis_reply *reply);
/* Redis does not have it: a new key is then none; one that is revoked stays so here, and Redis hears of it later. */
void redis_keys_give_up(struct keys *keys, const struct store_key *key);
/* All that Redis has into the table; and into Redis what it has lost, or was not told. False: it does not answer. */
bool redis_keys_load(struct keys *keys, struct redis_line *line);
/* A key as another gateway published it. */
void redis_keys_hear(struct keys *keys, const char *json, size_t length);

#endif
