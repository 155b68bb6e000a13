/*
 * listener.c - see listener.h. Options set on the listening socket are
 * inherited by what it accepts: no system call a connection for them.
 */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/tls.h"

enum {
    BACKLOG = 4096,
    ACCEPTS_A_TURN = 64,
    HOST_SIZE = 256,
    UNSENT_BYTES = 128 * 1024,
    KEPT_LEAST = 16,
    KEPT_MOST = 1024
};

static const double rest_s = 0.1;
static const int64_t warning_gap_us = 10000000;

struct listener {
    struct event event;
    struct loop *loop;
    struct loop_timer *rest;         /* while out of descriptors */
    struct certificate *certificate; /* NULL: no TLS */
    void (*on_accept)(void *arg, int accepted, struct tls *tls, const char *peer);
    void *arg;
    int descriptor;
    bool *starved; /* where to tell that there are no descriptors; NULL: nowhere */
    int spare;     /* given up for a moment to be able to turn a connection away */
    int64_t warned_us;
};

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

struct place {
    union address address;
    socklen_t size;
};

/* Cuts "HOST:PORT" and "[HOST]:PORT". */
static bool split(const char *text, char host[static HOST_SIZE], unsigned *port)
{
    const char *colon = strrchr(text, ':'), *start = text, *end = colon;
    unsigned number = 0;

    if (!colon || !colon[1] || strlen(colon + 1) > 5)
        return false;
    for (const char *at = colon + 1; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        number = number * 10 + (unsigned)(*at - '0');
    }
    if (*text == '[') {
        if (colon - text < 3 || colon[-1] != ']')
            return false;
        start++;
        end--;
    }
    if (number > 65535 || end - start >= HOST_SIZE || (*text != '[' && memchr(start, ':', (size_t)(end - start))))
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    *port = number;
    return true;
}

static bool is_literal(const char *host, unsigned port, struct place *place)
{
    union address *address = &place->address;

    memset(place, 0, sizeof *place);
    /* "localhost" needs no look-up: it must mean this machine whatever a resolver says. */
    if (inet_pton(AF_INET, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address->four.sin_addr) == 1) {
        address->four.sin_family = AF_INET;
        address->four.sin_port = htons((uint16_t)port);
        place->size = sizeof address->four;
        return true;
    }
    if (inet_pton(AF_INET6, *host ? host : "::", &address->six.sin6_addr) == 1) {
        address->six.sin6_family = AF_INET6;
        address->six.sin6_port = htons((uint16_t)port);
        place->size = sizeof address->six;
        return true;
    }
    return false;
}

static bool find_place(const char *host, unsigned port, struct place *place)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    if (is_literal(host, port, place))
        return true;
    if (getaddrinfo(host, NULL, &hints, &found) != 0 || !found)
        return false;
    place->size = found->ai_addrlen < sizeof place->address ? found->ai_addrlen : sizeof place->address;
    memcpy(&place->address, found->ai_addr, place->size);
    freeaddrinfo(found);
    if (place->address.any.sa_family == AF_INET6)
        place->address.six.sin6_port = htons((uint16_t)port);
    else
        place->address.four.sin_port = htons((uint16_t)port);
    return true;
}

static void set(int descriptor, int level, int name, int value)
{
    /* All of these are improvements: a kernel that lacks one still serves. */
    (void)setsockopt(descriptor, level, name, &value, sizeof value);
}

/* A bound socket, or -1 with errno. */
static int bind_place(const struct place *place, bool shared)
{
    int descriptor = socket(place->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int fault;

    if (descriptor < 0)
        return -1;
    set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (place->address.any.sa_family == AF_INET6)
        set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (shared)
        set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(descriptor, &place->address.any, place->size) == 0)
        return descriptor;
    fault = errno;
    close(descriptor);
    errno = fault;
    return -1;
}

static void explain(int fault, const char *address, const char *host, unsigned port, char *error, size_t error_size)
{
    if (fault == EADDRINUSE)
        snprintf(error, error_size,
                 "%s is in use by another program: stop it or choose another with --listen ADDR:PORT", address);
    else if (fault == EACCES || fault == EPERM)
        snprintf(error, error_size,
                 "port %u needs a privilege that this user has not: choose one above 1023 with --listen ADDR:PORT",
                 port);
    else if (fault == EADDRNOTAVAIL)
        snprintf(error, error_size,
                 "%s is not an address of this machine: choose one of its own, or :%u for all of them", host, port);
    else
        snprintf(error, error_size, "%s can't be listened on: %s", address, strerrordesc_np(fault));
}

static void prepare(int descriptor)
{
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    /* What a caller does not read stays with us, where it is counted, and not in the kernel's buffers. */
    set(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
    /* A caller whose machine vanished, while it waits for an answer, is found out in two minutes. */
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

int listener_bind(const char *address, bool first, char *error, size_t error_size)
{
    char host[HOST_SIZE];
    struct place place;
    unsigned port;
    int descriptor;

    if (!split(address, host, &port)) {
        snprintf(error, error_size, "\"%s\" is no ADDR:PORT: write it like 127.0.0.1:8080, [::1]:8080 or :8080",
                 address);
        return -1;
    }
    if (!find_place(host, port, &place)) {
        snprintf(error, error_size, "the name %s has no address: write the address itself, like 127.0.0.1:%u", host,
                 port);
        return -1;
    }
    descriptor = bind_place(&place, !first || port == 0);
    if (descriptor < 0 && !*host && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) &&
        is_literal("0.0.0.0", port, &place))
        descriptor = bind_place(&place, !first || port == 0);
    if (descriptor >= 0 && first && port != 0) {
        /* Nobody else is there; from here on our other workers may join. */
        close(descriptor);
        descriptor = bind_place(&place, true);
    }
    if (descriptor >= 0 && listen(descriptor, BACKLOG) == 0) {
        prepare(descriptor);
        return descriptor;
    }
    explain(errno, address, host, port, error, error_size);
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

int listener_port(int descriptor)
{
    union address address = { 0 };
    socklen_t size = sizeof address;

    if (getsockname(descriptor, &address.any, &size) < 0)
        return -1;
    return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

bool listener_is_at(int descriptor, const char *address)
{
    char host[HOST_SIZE] = "";
    union address bound = { 0 };
    socklen_t size = sizeof bound, flag_size = sizeof(int);
    struct place place = { 0 };
    unsigned port;
    int listens = 0;

    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_size) < 0 || !listens ||
        getsockname(descriptor, &bound.any, &size) < 0)
        return false;
    if (!split(address, host, &port) || !is_literal(host, port, &place))
        return false;
    if (!*host && bound.any.sa_family == AF_INET) /* where there is no IPv6, all addresses are all of IPv4 */
        is_literal("0.0.0.0", port, &place);
    if (place.address.any.sa_family != bound.any.sa_family)
        return false;
    if (bound.any.sa_family == AF_INET)
        return place.address.four.sin_port == bound.four.sin_port &&
               place.address.four.sin_addr.s_addr == bound.four.sin_addr.s_addr;
    return place.address.six.sin6_port == bound.six.sin6_port &&
           IN6_ARE_ADDR_EQUAL(&place.address.six.sin6_addr, &bound.six.sin6_addr);
}

bool listener_is_loopback(const char *address)
{
    char host[HOST_SIZE] = "";
    struct place place = { 0 };
    const struct in6_addr *six = &place.address.six.sin6_addr;
    unsigned port;

    if (!split(address, host, &port) || !is_literal(host, port, &place))
        return false;
    if (place.address.any.sa_family == AF_INET)
        return ntohl(place.address.four.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static void write_peer(const union address *address, char *peer, size_t size)
{
    const struct in6_addr *six = &address->six.sin6_addr;
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(six))
        snprintf(peer, size, "%s:%u", inet_ntop(AF_INET, six->s6_addr + 12, host, sizeof host),
                 ntohs(address->six.sin6_port));
    else if (address->any.sa_family == AF_INET6)
        snprintf(peer, size, "[%s]:%u", inet_ntop(AF_INET6, six, host, sizeof host), ntohs(address->six.sin6_port));
    else
        snprintf(peer, size, "%s:%u", inet_ntop(AF_INET, &address->four.sin_addr, host, sizeof host),
                 ntohs(address->four.sin_port));
}

static void tell(struct listener *listener, bool starved)
{
    if (listener->starved && __atomic_load_n(listener->starved, __ATOMIC_RELAXED) != starved)
        __atomic_store_n(listener->starved, starved, __ATOMIC_RELAXED);
}

/*
 * True if the descriptor is one of the last: an eighth of them is kept for calls to providers, so that those who are
 * connected are served still. A new descriptor is the lowest that is free.
 */
static bool is_kept(int descriptor)
{
    struct rlimit limit;
    rlim_t kept;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    kept = limit.rlim_cur / 8;
    kept = kept < KEPT_LEAST ? KEPT_LEAST : kept > KEPT_MOST ? KEPT_MOST : kept;
    return (rlim_t)descriptor + kept >= limit.rlim_cur;
}

/* Accepts one. False with errno: there is none, or it can't be had. */
static bool accept_one(struct listener *listener)
{
    union address address = { 0 };
    socklen_t size = sizeof address;
    char peer[INET6_ADDRSTRLEN + 16];
    struct tls *tls = NULL;
    int accepted = accept4(listener->descriptor, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (accepted < 0)
        return false;
    if (is_kept(accepted)) {
        close(accepted);
        errno = EMFILE;
        return false;
    }
    tell(listener, false);
    if (listener->certificate) {
        tls = tls_new(listener->certificate, accepted);
        if (!tls) {
            close(accepted);
            return true;
        }
    }
    write_peer(&address, peer, sizeof peer);
    listener->on_accept(listener->arg, accepted, tls, peer);
    return true;
}

static bool is_passing(int fault)
{
    /* The connection, not the socket, is at fault: the next one may be fine (accept(2)). */
    return fault == EINTR || fault == ECONNABORTED || fault == EPROTO || fault == ENETDOWN || fault == ENOPROTOOPT ||
           fault == EHOSTDOWN || fault == ENONET || fault == EHOSTUNREACH || fault == EOPNOTSUPP ||
           fault == ENETUNREACH || fault == EPERM;
}

static void warn(struct listener *listener, int fault)
{
    int64_t now = clock_monotonic_us();

    if (listener->warned_us && now - listener->warned_us < warning_gap_us)
        return;
    listener->warned_us = now;
    log_line(LOG_WARN, "connections are turned away: raise the limit of open files", "reason", strerrordesc_np(fault),
             NULL);
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Turns away what is queued: a caller that sees a closed connection can go elsewhere, one that waits can't. */
static void shed(struct listener *listener)
{
    if (listener->spare < 0)
        listener->spare = open_spare();
    for (int i = 0; i < ACCEPTS_A_TURN && listener->spare >= 0; i++) {
        int turned_away;

        close(listener->spare);
        turned_away = accept(listener->descriptor, NULL, NULL);
        if (turned_away >= 0)
            close(turned_away);
        listener->spare = open_spare();
        if (turned_away < 0)
            return;
    }
}

static void on_rested(void *arg)
{
    struct listener *listener = arg;

    listener->rest = NULL;
    event_add(&listener->event, NULL);
}

/* Accepts up to count. Returns false when nothing is left to accept, or nothing can be. */
static bool accept_some(struct listener *listener, int count)
{
    for (int i = 0; i < count; i++) {
        int fault;

        if (accept_one(listener))
            continue;
        fault = errno;
        if (is_passing(fault))
            continue;
        if (fault == EAGAIN || fault == EWOULDBLOCK)
            return false;
        warn(listener, fault);
        tell(listener, true);
        if (fault == EMFILE || fault == ENFILE)
            shed(listener);
        if (!listener->rest) {
            event_del(&listener->event);
            listener->rest = loop_after(listener->loop, rest_s, on_rested, listener);
        }
        return false;
    }
    return true;
}

static void on_acceptable(evutil_socket_t descriptor, short what, void *arg)
{
    (void)descriptor;
    (void)what;
    accept_some(arg, ACCEPTS_A_TURN);
}

struct listener *listener_start(struct loop *loop, int descriptor, struct certificate *certificate,
                                void (*on_accept)(void *arg, int accepted, struct tls *tls, const char *peer),
                                void *arg)
{
    struct listener *listener = mem_zero(sizeof *listener);

    listener->loop = loop;
    listener->descriptor = descriptor;
    listener->certificate = certificate;
    listener->spare = open_spare();
    listener->on_accept = on_accept;
    listener->arg = arg;
    event_assign(&listener->event, loop_base(loop), descriptor, EV_READ | EV_PERSIST, on_acceptable, listener);
    event_add(&listener->event, NULL);
    return listener;
}

void listener_watch(struct listener *listener, bool *starved)
{
    listener->starved = starved;
}

void listener_stop(struct listener *listener)
{
    if (!listener)
        return;
    /* Closing a listening socket resets what is queued on it; these callers were promised a connection. */
    while (accept_some(listener, ACCEPTS_A_TURN))
        ;
    listener_leave(listener);
}

void listener_leave(struct listener *listener)
{
    loop_forget(listener->rest);
    event_del(&listener->event);
    close(listener->descriptor);
    if (listener->spare >= 0)
        close(listener->spare);
    mem_free(listener);
}
