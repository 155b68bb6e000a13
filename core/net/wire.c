/* wire.c - see wire.h. */
#include "net/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/tls.h"

size_t wire_waiting(const struct wire *wire)
{
    return wire->output.length - wire->sent + (wire->ending ? 1 : 0);
}

static void drop_sent(struct wire *wire)
{
    buf_drop(&wire->output, wire->sent);
    wire->sent = 0;
}

void wire_make_room(struct wire *wire, size_t length)
{
    if (wire->sent > 0 && wire->output.length + length > wire->output.capacity)
        drop_sent(wire);
}

static void block(struct wire *wire, bool moved)
{
    if (moved || !wire->blocked)
        wire->progress_us = clock_monotonic_us();
    wire->blocked = true;
    if (wire->sent > wire->output.length / 2)
        drop_sent(wire);
}

/* Bytes that went out; -1: none can now, 0: none ever will. */
static ssize_t send_some(struct wire *wire)
{
    const char *data = wire->output.data + wire->sent;
    size_t length = wire->output.length - wire->sent;
    ssize_t n;

    if (wire->tls)
        return tls_write(wire->tls, data, length);
    do
        n = send(wire->descriptor, data, length, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
    return n;
}

bool wire_send(struct wire *wire)
{
    bool moved = false;

    while (wire->sent < wire->output.length) {
        ssize_t n = send_some(wire);

        if (n == 0)
            return false;
        if (n < 0) {
            block(wire, moved);
            return true;
        }
        wire->sent += (size_t)n;
        moved = true;
    }
    if (wire->ending && !tls_end(wire->tls)) {
        block(wire, moved);
        return true;
    }
    wire->ending = false;
    wire->blocked = false;
    wire->sent = 0;
    buf_free(&wire->output);
    return true;
}

/* OpenSSL may hold bytes that the socket no longer has: only its own word for "none" counts. */
static ssize_t receive_by_tls(struct wire *wire, char *piece, size_t most)
{
    ssize_t n = tls_read(wire->tls, piece, most);

    if (n <= 0)
        wire->readable = false;
    return n;
}

ssize_t wire_receive(struct wire *wire, char *piece, size_t most, bool ending)
{
    ssize_t n;

    if (wire->tls)
        return receive_by_tls(wire, piece, most);
    do
        n = recv(wire->descriptor, piece, most, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return 0;
    /* A short read has emptied the socket; more comes with a new edge, but the end is told only once. */
    if (n < (ssize_t)most && !(n > 0 && ending))
        wire->readable = false;
    return n;
}

bool wire_is_broken(const struct wire *wire)
{
    int fault = 0;
    socklen_t size = sizeof fault;

    return getsockopt(wire->descriptor, SOL_SOCKET, SO_ERROR, &fault, &size) < 0 || fault != 0;
}

void wire_end(struct wire *wire)
{
    wire->ending = wire->tls != NULL;
}

void wire_note_writable(struct wire *wire)
{
    if (wire->tls && tls_read_waits_to_write(wire->tls))
        wire->readable = true;
}

bool wire_is_open(const struct wire *wire)
{
    return !wire->tls || tls_is_open(wire->tls);
}

void wire_close(struct wire *wire, bool reset)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (reset)
        (void)setsockopt(wire->descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    tls_free(wire->tls);
    wire->tls = NULL;
    wire->ending = false;
    close(wire->descriptor);
    wire->descriptor = -1;
    buf_free(&wire->output);
    wire->sent = 0;
}
