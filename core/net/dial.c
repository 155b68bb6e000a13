/* dial.c - see dial.h. After RFC 8305: families in turn, each a quarter of a second behind the one before it. */
#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { ADDRESSES = 16, PROBE_S = 60 };
static const struct timeval head_start = { .tv_usec = 250000 };

struct address {
    struct sockaddr_in6 bytes; /* or the smaller sockaddr_in */
    socklen_t length;
};

struct
try {
    struct dial *dial;
    int descriptor; /* -1: none */
    struct event event;
};

struct dial {
    struct event_base *base;
    void (*on_done)(void *arg, int descriptor, int error);
    void *arg;
    struct event timer; /* the next address's turn; or, with none left, the end */
    int error;
    size_t count, next, open;
    struct address addresses[ADDRESSES];
    struct try tries[ADDRESSES];
};

static bool read_address(struct address *address, const char *text, size_t length, uint16_t port, uint32_t scope)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&address->bytes;
    char copy[INET6_ADDRSTRLEN + 1];

    if (length > 2 && *text == '[') {
        text++;
        length -= 2;
    }
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET6, copy, &address->bytes.sin6_addr) == 1) {
        address->bytes.sin6_family = AF_INET6;
        address->bytes.sin6_port = htons(port);
        address->bytes.sin6_scope_id = scope;
        address->length = sizeof address->bytes;
        return true;
    }
    if (inet_pton(AF_INET, copy, &four->sin_addr) != 1)
        return false;
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    address->length = sizeof *four;
    return true;
}

/* The next of the other family than the last one's comes before the rest of its own. */
static void take_turns(struct dial *dial)
{
    for (size_t i = 1; i < dial->count; i++) {
        size_t other = i;

        while (other < dial->count &&
               dial->addresses[other].bytes.sin6_family == dial->addresses[i - 1].bytes.sin6_family)
            other++;
        if (other < dial->count) {
            struct address taken = dial->addresses[other];

            memmove(&dial->addresses[i + 1], &dial->addresses[i], (other - i) * sizeof taken);
            dial->addresses[i] = taken;
        }
    }
}

static void dial_free(struct dial *dial, int kept)
{
    event_del(&dial->timer);
    for (size_t i = 0; i < dial->next; i++) {
        struct try *try = &dial->tries[i];

        if (try->descriptor < 0)
            continue;
        event_del(&try->event);
        if (try->descriptor != kept)
            close(try->descriptor);
    }
    mem_free(dial);
}

static void finish(struct dial *dial, int descriptor)
{
    void (*on_done)(void *, int, int) = dial->on_done;
    void *arg = dial->arg;
    int error = dial->error;

    dial_free(dial, descriptor);
    on_done(arg, descriptor, descriptor < 0 ? error : 0);
}

/* That a host has no route for one family is the least telling of reasons. */
static void note(struct dial *dial, int error)
{
    bool is_routing = dial->error == ENETUNREACH || dial->error == EADDRNOTAVAIL || dial->error == EAFNOSUPPORT;

    if (!dial->error || is_routing)
        dial->error = error;
}

static void set_options(int descriptor)
{
    static const int on = 1, probe = PROBE_S;

    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &probe, sizeof probe);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &probe, sizeof probe);
}

static void on_writable(evutil_socket_t descriptor, short what, void *arg);

static bool try_address(struct dial *dial, struct try *try, const struct address *address)
{
    try->dial = dial;
    try->descriptor = socket(address->bytes.sin6_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (try->descriptor < 0) {
        note(dial, errno);
        return false;
    }
    set_options(try->descriptor);
    if (connect(try->descriptor, (const struct sockaddr *)&address->bytes, address->length) != 0 &&
        errno != EINPROGRESS && errno != EINTR) {
        note(dial, errno);
        close(try->descriptor);
        try->descriptor = -1;
        return false;
    }
    event_assign(&try->event, dial->base, try->descriptor, EV_WRITE, on_writable, try);
    event_add(&try->event, NULL);
    dial->open++;
    return true;
}

/* Turns to the next address that does not fail at once. False: there is none, and none under way. */
static bool go_on(struct dial *dial)
{
    while (dial->next < dial->count) {
        size_t i = dial->next++;

        if (try_address(dial, &dial->tries[i], &dial->addresses[i]))
            break;
    }
    if (dial->next < dial->count)
        event_add(&dial->timer, &head_start);
    return dial->open > 0;
}

static void on_writable(evutil_socket_t descriptor, short what, void *arg)
{
    struct try *try = arg;
    struct dial *dial = try->dial;
    socklen_t size = sizeof(int);
    int error = 0;

    (void)what;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0) {
        finish(dial, descriptor);
        return;
    }
    note(dial, error);
    close(descriptor);
    try->descriptor = -1;
    dial->open--;
    if (!go_on(dial))
        finish(dial, -1);
}

static void on_timer(evutil_socket_t descriptor, short what, void *arg)
{
    struct dial *dial = arg;

    (void)descriptor;
    (void)what;
    if (!go_on(dial))
        finish(dial, -1);
}

struct dial *dial_start(struct event_base *base, const char *addresses, uint16_t port, uint32_t scope,
                        void (*on_done)(void *arg, int descriptor, int error), void *arg)
{
    struct dial *dial = mem_zero(sizeof *dial);

    dial->base = base;
    dial->on_done = on_done;
    dial->arg = arg;
    dial->error = 0;
    evtimer_assign(&dial->timer, base, on_timer, dial);
    while (*addresses && dial->count < ADDRESSES) {
        size_t length = strcspn(addresses, ",");

        dial->count += read_address(&dial->addresses[dial->count], addresses, length, port, scope);
        addresses += length + (addresses[length] == ',');
    }
    take_turns(dial);
    if (dial->count == 0)
        dial->error = EADDRNOTAVAIL;
    if (!go_on(dial))
        event_active(&dial->timer, EV_TIMEOUT, 0);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        dial_free(dial, -1);
}
