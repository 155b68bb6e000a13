/* redis_news.h - keys, exhaustion marks and learnt limits: to Redis, and from it and the other gateways. */
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
void redis_news_free(struct redis_news *news);
/* As in backend.h. */
void redis_news_keep_key(struct redis_news *news, const struct store_key *key, struct answer answer);

/* The rest is on the keeper's thread. Redis was out of reach: reads all, before anyone is served by it. */
bool redis_news_load(struct redis_news *news, struct redis_line *line);
/* Tells what changed here since the last time. */
void redis_news_publish(struct redis_news *news, struct redis_line *line);
/* What another gateway published on moongate:news, but for recalls. */
void redis_news_heard(struct redis_news *news, const char *text, size_t length);

#endif
