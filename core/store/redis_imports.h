/*
 * redis_imports.h - imported models between the table of this process and
 * Redis. Every gateway has them all, so that it can load its configuration
 * while Redis is away; what imports changed is in Redis alone.
 */
#ifndef STORE_REDIS_IMPORTS_H
#define STORE_REDIS_IMPORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/answer.h"
#include "store/store.h"

struct redis;
struct redis_imports;
struct redis_line;

struct redis_imports *redis_imports_new(struct redis *redis);
void redis_imports_free(struct redis_imports *imports); /* NULL is fine */
/* As in backend.h. If Redis is away for a second, it is not kept, and nothing changes. */
void redis_imports_keep(struct redis_imports *imports, const struct store_import *import, struct answer answer);
/* As store_each_import: false at once while Redis is away. */
bool redis_imports_each(struct redis_imports *imports, int64_t since,
                        void (*each)(void *arg, const struct store_import *), void *arg);

/* ---- on the keeper's thread, as their namesakes in redis_news.h ---- */

bool redis_imports_load(struct redis_imports *imports, struct redis_line *line);
/* "TIME SOURCE" of another gateway. True: it is to be fetched, soon, by redis_imports_turn. */
bool redis_imports_heard(struct redis_imports *imports, const char *text, size_t length);
/* What waits to be kept or fetched; line NULL: Redis is away. */
void redis_imports_turn(struct redis_imports *imports, struct redis_line *line);

#endif
