/*
 * redis_reach.h - a connection that is to come about: a name looked up, its
 * addresses tried one after the other, each for a while. On a loop's thread.
 */
#ifndef NET_REDIS_REACH_H
#define NET_REDIS_REACH_H

struct loop;
struct redis_address;
struct redis_reach;
struct resolver;

/*
 * Connects. on_end comes once, never before this returns: a socket that is connected and now the caller's, or -1 with a
 * reason that is valid in the call. Looking up and each address may take so many seconds.
 */
struct redis_reach *redis_reach_start(struct loop *loop, struct resolver *resolver, const struct redis_address *address,
                                      double seconds, void (*on_end)(void *arg, int descriptor, const char *reason),
                                      void *arg);
/* Before on_end only: it will not come. NULL is fine. */
void redis_reach_stop(struct redis_reach *reach);

#endif
