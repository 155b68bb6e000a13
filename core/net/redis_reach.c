/* redis_reach.c - see redis_reach.h. */
#include "net/redis_reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "net/redis.h"
#include "net/resolver.h"

struct redis_reach {
    struct loop *loop;
    struct resolver *resolver;
    const struct redis_address *address;
    double seconds;
    void (*on_end)(void *arg, int descriptor, const char *reason);
    void *arg;
    struct loop_timer *timer;
    struct lookup *lookup;
    char *found, *next; /* numeric addresses, and from next on those not tried yet; NULL: none */
    int descriptor;
    struct event writable;
};

union place {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static socklen_t place_of(union place *place, const char *host, int port)
{
    memset(place, 0, sizeof *place);
    if (!port) {
        if (strlen(host) >= sizeof place->un.sun_path)
            return 0;
        place->un.sun_family = AF_UNIX;
        memcpy(place->un.sun_path, host, strlen(host) + 1);
        return sizeof place->un;
    }
    if (inet_pton(AF_INET, host, &place->in.sin_addr) == 1) {
        place->in.sin_family = AF_INET;
        place->in.sin_port = htons((uint16_t)port);
        return sizeof place->in;
    }
    if (inet_pton(AF_INET6, host, &place->in6.sin6_addr) == 1) {
        place->in6.sin6_family = AF_INET6;
        place->in6.sin6_port = htons((uint16_t)port);
        return sizeof place->in6;
    }
    return 0;
}

/* A socket that connects, writable once that is decided; -1 with errno. */
static int open_socket(const char *host, int port)
{
    union place place;
    socklen_t length = place_of(&place, host, port);
    int one = 1, descriptor, error;

    if (!length) {
        errno = EINVAL;
        return -1;
    }
    descriptor = socket(place.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    if (port) {
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(descriptor, &place.any, length) == 0 || errno == EINPROGRESS)
        return descriptor;
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static void on_late(void *arg);
static void on_writable(evutil_socket_t descriptor, short what, void *arg);

static void close_socket(struct redis_reach *reach)
{
    if (reach->descriptor < 0)
        return;
    event_del(&reach->writable);
    close(reach->descriptor);
    reach->descriptor = -1;
}

static void set_timer(struct redis_reach *reach)
{
    loop_forget(reach->timer);
    reach->timer = loop_after(reach->loop, reach->seconds, on_late, reach);
}

static void end(struct redis_reach *reach, int descriptor, const char *reason)
{
    void (*on_end)(void *arg, int descriptor, const char *reason) = reach->on_end;
    void *arg = reach->arg;

    redis_reach_stop(reach);
    on_end(arg, descriptor, reason);
}

/* A path of a Unix socket may have a comma in it. */
static char *take_next(struct redis_reach *reach)
{
    char *whole = reach->next;

    if (reach->address->port)
        return strsep(&reach->next, ",");
    reach->next = NULL;
    return whole;
}

/* Tries the next address; the reason of the one before stands if there is none. */
static void try_next(struct redis_reach *reach, const char *reason)
{
    char *next;

    close_socket(reach);
    while ((next = take_next(reach))) {
        reach->descriptor = open_socket(next, reach->address->port);
        if (reach->descriptor >= 0) {
            event_assign(&reach->writable, loop_base(reach->loop), reach->descriptor, EV_WRITE, on_writable, reach);
            event_add(&reach->writable, NULL);
            set_timer(reach);
            return;
        }
        reason = strerrordesc_np(errno);
    }
    end(reach, -1, reason);
}

static void on_late(void *arg)
{
    struct redis_reach *reach = arg;

    reach->timer = NULL;
    try_next(reach, reach->lookup ? "its name could not be looked up in time" : "it does not answer");
}

static void on_writable(evutil_socket_t descriptor, short what, void *arg)
{
    struct redis_reach *reach = arg;
    int error = 0;
    socklen_t size = sizeof error;

    (void)what;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        try_next(reach, strerrordesc_np(error));
        return;
    }
    reach->descriptor = -1; /* the caller's from here on */
    end(reach, descriptor, NULL);
}

static void on_addresses(void *arg, const char *addresses, const char *reason)
{
    struct redis_reach *reach = arg;

    reach->lookup = NULL;
    reach->found = reach->next = mem_text(addresses);
    try_next(reach, reason);
}

static void on_begin(void *arg)
{
    struct redis_reach *reach = arg;
    struct lookup *lookup;

    reach->timer = NULL;
    if (!reach->address->port) {
        on_addresses(reach, reach->address->host, NULL);
        return;
    }
    set_timer(reach);
    lookup = resolver_find(reach->resolver, reach->loop, reach->address->host, on_addresses, reach);
    /* NULL: on_addresses came already, and this may have ended by it. */
    if (lookup)
        reach->lookup = lookup;
}

struct redis_reach *redis_reach_start(struct loop *loop, struct resolver *resolver, const struct redis_address *address,
                                      double seconds, void (*on_end)(void *arg, int descriptor, const char *reason),
                                      void *arg)
{
    struct redis_reach *reach = mem_zero(sizeof *reach);

    *reach = (struct redis_reach){ .loop = loop,
                                   .resolver = resolver,
                                   .address = address,
                                   .seconds = seconds,
                                   .on_end = on_end,
                                   .arg = arg,
                                   .descriptor = -1 };
    reach->timer = loop_after(loop, 0, on_begin, reach);
    return reach;
}

void redis_reach_stop(struct redis_reach *reach)
{
    if (!reach)
        return;
    close_socket(reach);
    loop_forget(reach->timer);
    resolver_forget(reach->lookup);
    mem_free(reach->found);
    mem_free(reach);
}
