/* wire.c - see wire.h. */
#include "net/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

size_t wire_waiting(const struct wire *wire)
{
    return wire->output.length - wire->sent;
}

static void block(struct wire *wire, bool moved)
{
    if (moved || !wire->blocked)
        wire->progress_us = clock_monotonic_us();
    wire->blocked = true;
    if (wire->sent > wire->output.length / 2) {
        buf_drop(&wire->output, wire->sent);
        wire->sent = 0;
    }
}

bool wire_send(struct wire *wire)
{
    bool moved = false;

    while (wire_waiting(wire) > 0) {
        ssize_t n = send(wire->descriptor, wire->output.data + wire->sent, wire_waiting(wire), MSG_NOSIGNAL);

        if (n > 0) {
            wire->sent += (size_t)n;
            moved = true;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            block(wire, moved);
            return true;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    wire->blocked = false;
    wire->sent = 0;
    buf_free(&wire->output);
    return true;
}

ssize_t wire_receive(struct wire *wire, char piece[static WIRE_READ_BYTES], bool ending)
{
    ssize_t n;

    do
        n = recv(wire->descriptor, piece, WIRE_READ_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return 0;
    /* A short read has emptied the socket; more comes with a new edge, but the end is told only once. */
    if (n < WIRE_READ_BYTES && !(n > 0 && ending))
        wire->readable = false;
    return n;
}

bool wire_is_broken(const struct wire *wire)
{
    int fault = 0;
    socklen_t size = sizeof fault;

    return getsockopt(wire->descriptor, SOL_SOCKET, SO_ERROR, &fault, &size) < 0 || fault != 0;
}

void wire_close(struct wire *wire, bool reset)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (reset)
        (void)setsockopt(wire->descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(wire->descriptor);
    wire->descriptor = -1;
    buf_free(&wire->output);
    wire->sent = 0;
}
