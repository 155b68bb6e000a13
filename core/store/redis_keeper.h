/*
 * redis_keeper.h - the one thread of the Redis backend that may wait. It
 * connects, tells Redis this process's figures, shows that it is alive,
 * listens, and calls redis_rows and redis_news with its line.
 */
#ifndef STORE_REDIS_KEEPER_H
#define STORE_REDIS_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

struct redis;
struct redis_keeper;

/*
 * Tries for half a second to reach Redis. NULL, with a sentence in error: what answers there does not let us in, or is
 * no Redis. If nothing answers it goes on trying on its own thread.
 */
struct redis_keeper *redis_keeper_start(struct redis *redis, char *error, size_t error_size);
/* Ends its thread, and tells Redis the last figures, if it is there. NULL is fine. */
void redis_keeper_stop(struct redis_keeper *keeper);
void redis_keeper_free(struct redis_keeper *keeper); /* NULL is fine */
/* There is something to tell, to deliver or to reconnect. Any thread. */
void redis_keeper_wake(struct redis_keeper *keeper);
/* Redis is away; see redis_go_away. Any thread; NULL is fine, as it is for wake. */
void redis_keeper_note_away(struct redis_keeper *keeper, const char *why);
/* The key was no counter, and has been set aside. Any thread. */
void redis_keeper_note_broken(struct redis_keeper *keeper, const char *key, size_t length);
/* True: text says that Redis is away, since when, and what that means. */
bool redis_keeper_problem(struct redis_keeper *keeper, char *text, size_t size);

#endif
