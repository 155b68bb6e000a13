/*
 * redis_recent.h - the rows that Redis took a moment ago. A server that takes
 * over from another, or comes back from a power cut, may have lost the last
 * seconds: then they are sent again, and taken where they are missing. Any
 * thread.
 */
#ifndef STORE_REDIS_RECENT_H
#define STORE_REDIS_RECENT_H

#include <stddef.h>

struct redis_recent;
struct row;

struct redis_recent *redis_recent_new(void);
void redis_recent_free(struct redis_recent *recent); /* NULL is fine */
/* Redis has taken the row: it is held for 10 s, if there are not too many. */
void redis_recent_add(struct redis_recent *recent, struct row *row);
/* All that are held are to be sent again. The newest of them, held for the caller; NULL: there is none. */
struct row *redis_recent_rewind(struct redis_recent *recent);
/* None is: Redis has lost nothing. */
void redis_recent_skip(struct redis_recent *recent);
/* The next ones of those, each held for the caller; how many. */
size_t redis_recent_next(struct redis_recent *recent, struct row **rows, size_t count);

#endif
