/*
 * pool.h - connections to providers that are kept for the next call, by where
 * they lead: scheme, host, port and authorities. The youngest is taken first;
 * one that is closed, or says what nobody asked for, is dropped at once. One an
 * upstream, on its thread.
 */
#ifndef NET_POOL_H
#define NET_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "net/trust.h"

struct connection;
struct destination;
struct event_base;
struct pool;

TAILQ_HEAD(connections, connection);

/* Where connections lead. */
struct origin {
    struct pool *pool;
    char *name;
    char *ca_file; /* NULL: the system's authorities, or plain */
    struct trust_session session;
    struct connections idle; /* the youngest first */
    size_t holders;
};

struct pool *pool_new(struct event_base *base);
/* No call may be under way. */
void pool_free(struct pool *pool);

/* To be released. */
struct origin *pool_origin(struct pool *pool, const struct destination *destination, const char *ca_file);
void pool_release(struct origin *origin); /* NULL is fine */

/* NULL: there is none. */
struct connection *pool_take(struct pool *pool, struct origin *origin);
/* Takes the connection over. */
void pool_keep(struct pool *pool, struct origin *origin, struct connection *connection);

#endif
