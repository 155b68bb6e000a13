/*
 * redis_news.h - keys, exhaustion marks and learnt limits: to Redis, and from it
 * and the other gateways. What changes here is told at once over the thread's
 * link, ahead of whatever that thread tells Redis later; a thread without one
 * leaves it to the keeper. When Redis was away, all is told again: the scripts
 * take what is news.
 */
#ifndef STORE_REDIS_NEWS_H
#define STORE_REDIS_NEWS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/answer.h"
#include "store/store.h"

struct redis;
struct redis_line;
struct redis_news;

struct redis_news *redis_news_new(struct redis *redis);
void redis_news_free(struct redis_news *news); /* NULL is fine */
/*
 * As in backend.h. If Redis is away for a second, a new key is not kept, and a revoked one is only revoked here until
 * Redis is back.
 */
void redis_news_keep_key(struct redis_news *news, const struct store_key *key, struct answer answer);
/* Marks or learnt limits changed. True: told, or nothing to tell; false: it is for the keeper to publish. */
bool redis_news_changed(struct redis_news *news);

/* The rest is on the keeper's thread. Redis was out of reach: reads all, before anyone is served by it. */
bool redis_news_load(struct redis_news *news, struct redis_line *line);
/* What waits of keys; line NULL: Redis is away. At least once a second while something waits. */
void redis_news_keep_keys(struct redis_news *news, struct redis_line *line);
/* Tells what changed here since the last time. */
void redis_news_publish(struct redis_news *news, struct redis_line *line);
/* What another gateway published on moongate:news, but for what the keeper itself understands. */
void redis_news_heard(struct redis_news *news, const char *text, size_t length);

#endif
