/* pool.c - see pool.h. */
#include "net/pool.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/connection.h"
#include "net/destination.h"

/* An idle connection is younger than the time after which providers commonly close it, unasked. */
enum { CONNECTIONS = 1000, ORIGINS = 256, AGE_S = 60 };

struct pool {
    struct hash origins;     /* by name */
    struct connections idle; /* of all origins; the oldest last */
    size_t count;
    struct event timer;
};

static void drop(struct pool *pool, struct connection *connection)
{
    TAILQ_REMOVE(&pool->idle, connection, entry);
    TAILQ_REMOVE(&connection->origin->idle, connection, peer);
    pool->count--;
    connection_close(connection);
}

static void arm(struct pool *pool, const struct connection *oldest)
{
    int64_t left_us = oldest->idle_since_us + AGE_S * 1000000LL - clock_recent_monotonic_us();
    struct timeval left = { .tv_sec = left_us > 0 ? left_us / 1000000 + 1 : 0 };

    event_add(&pool->timer, &left);
}

static void on_timer(evutil_socket_t descriptor, short what, void *arg)
{
    struct pool *pool = arg;
    int64_t oldest_us = clock_recent_monotonic_us() - AGE_S * 1000000LL;
    struct connection *oldest;

    (void)descriptor;
    (void)what;
    while ((oldest = TAILQ_LAST(&pool->idle, connections)) && oldest->idle_since_us <= oldest_us)
        drop(pool, oldest);
    if (oldest)
        arm(pool, oldest);
}

/* A ticket of TLS is nothing to be dropped for. */
static void on_idle_ready(void *arg, short what)
{
    struct connection *connection = arg;

    (void)what;
    if (!connection_is_quiet(connection))
        drop(connection->origin->pool, connection);
}

static void origin_free(struct pool *pool, struct origin *origin)
{
    hash_remove(&pool->origins, origin->name, strlen(origin->name));
    trust_forget(&origin->session);
    mem_free(origin->name);
    mem_free(origin->ca_file);
    mem_free(origin);
}

/* Makes room where a script makes hosts up: those that nobody is at go. */
static void forget_idle_origins(struct pool *pool)
{
    struct origin *origin, *unused[ORIGINS];
    size_t at = 0, count = 0;

    while (count < ORIGINS && (origin = hash_next(&pool->origins, &at)))
        if (origin->holders == 0 && TAILQ_EMPTY(&origin->idle))
            unused[count++] = origin;
    while (count)
        origin_free(pool, unused[--count]);
}

struct origin *pool_origin(struct pool *pool, const struct destination *destination, const char *ca_file)
{
    char *name = NULL;
    const char *key = destination->origin;
    struct origin *origin;

    if (ca_file && destination->is_secure)
        key = name = mem_format("%s %s", destination->origin, ca_file);
    origin = hash_get(&pool->origins, key, strlen(key));
    if (!origin) {
        if (pool->origins.count >= ORIGINS)
            forget_idle_origins(pool);
        origin = mem_zero(sizeof *origin);
        origin->pool = pool;
        origin->name = mem_text(key);
        origin->ca_file = mem_text(ca_file);
        TAILQ_INIT(&origin->idle);
        hash_put(&pool->origins, origin->name, strlen(origin->name), origin);
    }
    mem_free(name);
    origin->holders++;
    return origin;
}

void pool_release(struct origin *origin)
{
    if (origin)
        origin->holders--;
}

struct connection *pool_take(struct pool *pool, struct origin *origin)
{
    int64_t oldest_us = clock_recent_monotonic_us() - AGE_S * 1000000LL;
    struct connection *connection;

    while ((connection = TAILQ_FIRST(&origin->idle))) {
        /* The loop may not have come to telling that it is closed. */
        if (connection->idle_since_us <= oldest_us || !connection_is_quiet(connection)) {
            drop(pool, connection);
            continue;
        }
        TAILQ_REMOVE(&pool->idle, connection, entry);
        TAILQ_REMOVE(&origin->idle, connection, peer);
        pool->count--;
        return connection;
    }
    return NULL;
}

void pool_keep(struct pool *pool, struct origin *origin, struct connection *connection)
{
    connection->origin = origin;
    connection->idle_since_us = clock_recent_monotonic_us();
    connection_hand(connection, on_idle_ready, connection);
    connection_want(connection, true, false);
    TAILQ_INSERT_HEAD(&pool->idle, connection, entry);
    TAILQ_INSERT_HEAD(&origin->idle, connection, peer);
    if (pool->count++ == 0 && !event_pending(&pool->timer, EV_TIMEOUT, NULL))
        arm(pool, connection);
    if (pool->count > CONNECTIONS)
        drop(pool, TAILQ_LAST(&pool->idle, connections));
}

struct pool *pool_new(struct event_base *base)
{
    struct pool *pool = mem_zero(sizeof *pool);

    TAILQ_INIT(&pool->idle);
    evtimer_assign(&pool->timer, base, on_timer, pool);
    return pool;
}

void pool_free(struct pool *pool)
{
    struct connection *connection;
    struct origin *origin;
    size_t at = 0;

    event_del(&pool->timer);
    while ((connection = TAILQ_FIRST(&pool->idle)))
        drop(pool, connection);
    while ((at = 0, origin = hash_next(&pool->origins, &at)))
        origin_free(pool, origin);
    hash_free(&pool->origins);
    mem_free(pool);
}
