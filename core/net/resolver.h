/*
 * resolver.h - names to addresses on a few threads of its own, with a cache,
 * so that a slow DNS server never holds a loop. One a process, shared by all
 * workers.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stddef.h>

struct loop;
struct lookup;
struct resolver;

struct resolver *resolver_new(void);
/* Look-ups that are still pending are answered with a reason; a thread that hangs is not waited for. */
void resolver_free(struct resolver *resolver);

/*
 * Looks host up (a name; literals need no look-up). Calls on_addresses on loop with numeric addresses joined by
 * commas ("10.0.0.1,::1"), or NULL and a reason; at once (before returning, with NULL returned) when it is cached.
 */
struct lookup *resolver_find(struct resolver *resolver, struct loop *loop, const char *host,
                             void (*on_addresses)(void *arg, const char *addresses, const char *reason), void *arg);
/* Takes a pending look-up back: on_addresses will not be called. */
void resolver_forget(struct lookup *lookup);

#endif
