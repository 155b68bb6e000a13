/*
 * client_step.c - how a connection moves on. One edge-triggered event, added
 * once, and one timer; both lead to step(), where every reading, writing and
 * closing happens and whence every hook is called. What the gate calls
 * (client.c) fills buffers and asks for a step, so that no hook ever runs
 * inside a call of the gate's.
 */
#include "net/client_step.h"

#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/client.h"
#include "net/loop.h"
#include "net/request_reader.h"

enum {
    READS_A_STEP = 4,
    FIRST_BYTES =
        4 * 1024, /* of a request: its head, and a short body; what a longer one has more goes where it stays */
    PIECE_BYTES = 32 * 1024,
    LINGER_BYTES = 64 * 1024 * 1024, /* read after a last reply, so that the caller gets to see it */
    LINGER_QUIET_S = 5,
    LINGER_S = 30,
    WIND_DOWN_S = 5
};

void client_step_ask(struct client *client, short what)
{
    if (client->phase != PHASE_CUT)
        event_active(&client->event, what, 0);
}

static int64_t micros(double seconds)
{
    return (int64_t)(seconds * 1e6);
}

static void release(struct client *client)
{
    client->hooks->on_closed(client->arg, client);
    mem_free(client);
}

/* Closes the connection and lets go of everything but the struct itself. */
static void cut(struct client *client, bool reset)
{
    client->phase = PHASE_CUT;
    event_del(&client->event);
    event_del(&client->timer);
    request_reader_free(client->reader);
    client->reader = NULL;
    buf_free(&client->pending);
    wire_close(&client->wire, reset);
}

static void on_cut(void *arg)
{
    release(arg);
}

void client_step_cut(struct client *client, bool reset)
{
    cut(client, reset);
    loop_post(client->loop, on_cut, client);
}

/* Only from a step: the client is gone after it. */
static void destroy(struct client *client)
{
    /* Between two requests an end is no cut, and says so if it can at once. */
    if (client->phase == PHASE_READING && wire_is_open(&client->wire)) {
        wire_end(&client->wire);
        wire_send(&client->wire);
    }
    cut(client, false);
    release(client);
}

/* The caller left, or takes nothing. Only from a step. */
static void leave(struct client *client)
{
    if (client->phase == PHASE_SERVING && !client->refused) {
        client->phase = PHASE_CUT;
        client->hooks->on_gone(client->arg, client);
    }
    destroy(client);
}

/* The reply is whole: lets the request go, and turns to the next one or to closing. */
static void end_exchange(struct client *client)
{
    request_reader_free(client->reader);
    client->reader = NULL;
    client->data = NULL;
    client->phase = client->keep_alive && !client->retired ? PHASE_READING : PHASE_CLOSING;
    client->since = clock_recent_monotonic_us();
    client->begun = client->refused = client->stopped = client->in_body = false;
    if (client->phase == PHASE_CLOSING) {
        buf_free(&client->pending);
        wire_end(&client->wire);
    }
}

static void serve(struct client *client)
{
    const struct client_request *request = request_reader_request(client->reader);

    client->phase = PHASE_SERVING;
    client->keep_alive = request->keep_alive;
    client->bodiless = strcmp(request->method, "HEAD") == 0;
    client->hooks->on_request(client->arg, client, request);
    if (client->phase == PHASE_FINISHED)
        end_exchange(client);
}

static void refuse(struct client *client, int status, const char *message)
{
    const struct client_request *request = request_reader_request(client->reader);

    client->phase = PHASE_SERVING;
    client->refused = true;
    client->keep_alive = false;
    client->bodiless = strcmp(request->method, "HEAD") == 0;
    client->hooks->on_refused(client->arg, client, request, status, message);
    if (client->phase == PHASE_FINISHED)
        end_exchange(client);
}

/* Between two requests, with nothing to send. */
static bool is_idle(const struct client *client)
{
    return client->phase == PHASE_READING && !client->reader && client->pending.length == 0 &&
           wire_waiting(&client->wire) == 0;
}

/* A caller that reads no replies gets no further requests served. */
static bool may_read(const struct client *client)
{
    return client->phase == PHASE_READING && wire_waiting(&client->wire) <= client->limits->output_bytes;
}

/* Reads requests out of data and serves them, as long as one is answered before the next; returns what was used. */
static size_t feed(struct client *client, const char *data, size_t length)
{
    size_t taken = 0;

    while (taken < length && may_read(client)) {
        enum request_outcome outcome;
        const char *message;
        size_t used;
        int status;

        if (!client->reader) {
            client->reader = request_reader_new(client->limits, client->peer);
            client->since = clock_recent_monotonic_us();
        }
        outcome = request_reader_read(client->reader, data + taken, length - taken, &used);
        taken += used;
        if (outcome == REQUEST_WHOLE) {
            serve(client);
        } else if (outcome == REQUEST_REFUSED) {
            status = request_reader_refusal(client->reader, &message);
            refuse(client, status, message);
        } else if (!client->in_body && request_reader_in_body(client->reader)) {
            client->in_body = true;
            client->since = clock_recent_monotonic_us();
            if (request_reader_wants_continue(client->reader)) {
                buf_add_text(&client->wire.output, "HTTP/1.1 100 Continue\r\n\r\n");
                client_step_ask(client, EV_WRITE);
            }
        }
    }
    return taken;
}

static void feed_pending(struct client *client)
{
    struct buf pending = client->pending;
    size_t used;

    client->pending = (struct buf){ 0 };
    used = feed(client, pending.data, pending.length);
    if (client->phase != PHASE_CUT && client->phase != PHASE_CLOSING && used < pending.length) {
        buf_drop(&pending, used);
        client->pending = pending;
    } else {
        buf_free(&pending);
    }
}

/* The caller sends no more, and no request is under way. Returns false if the client is gone. */
static bool end_of_input(struct client *client)
{
    if (wire_waiting(&client->wire) == 0) {
        destroy(client);
        return false;
    }
    client->keep_alive = false;
    client->phase = PHASE_CLOSING;
    wire_end(&client->wire);
    return true;
}

/* Reads and serves what has come. Returns false if the client is gone. */
static bool read_more(struct client *client)
{
    char piece[PIECE_BYTES];

    if (client->pending.length > 0)
        feed_pending(client);
    for (int i = 0; i < READS_A_STEP && client->wire.readable && client->pending.length == 0 && may_read(client); i++) {
        size_t most = client->reader ? PIECE_BYTES : FIRST_BYTES, used;
        char *room = client->reader ? request_reader_room(client->reader, &most) : NULL, *place = room ? room : piece;
        ssize_t n = wire_receive(&client->wire, place, most, client->half_closed);

        if (n == 0)
            return end_of_input(client);
        if (n < 0)
            break;
        used = feed(client, place, (size_t)n);
        /* All that room is made for is used. */
        if (!room && used < (size_t)n && client->phase != PHASE_CUT && client->phase != PHASE_CLOSING)
            buf_add(&client->pending, piece + used, (size_t)n - used);
    }
    if (may_read(client) && (client->wire.readable || client->pending.length > 0))
        client_step_ask(client, EV_READ);
    return true;
}

/* All is sent. What the caller still sends must be read: closing on unread bytes would reset, and lose the reply. */
static bool start_lingering(struct client *client)
{
    if (shutdown(client->wire.descriptor, SHUT_WR) < 0) {
        destroy(client);
        return false;
    }
    request_reader_free(client->reader);
    client->reader = NULL;
    client->phase = PHASE_LINGERING;
    client->since = client->heard = clock_recent_monotonic_us();
    client->wire.readable = true;
    return true;
}

/* Returns false if the client is gone. */
static bool linger(struct client *client)
{
    char piece[PIECE_BYTES];

    for (int i = 0; i < READS_A_STEP && client->wire.readable; i++) {
        ssize_t n = wire_receive(&client->wire, piece, sizeof piece, client->half_closed);

        if (n > 0) {
            client->discarded += (size_t)n;
            client->heard = clock_recent_monotonic_us();
        }
        if (n == 0 || client->discarded > LINGER_BYTES) {
            destroy(client);
            return false;
        }
    }
    if (client->wire.readable)
        client_step_ask(client, EV_READ);
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    if (!a || !b)
        return a ? a : b;
    return a < b ? a : b;
}

/* How long it may stay between two requests, or in its handshake. */
static double patience(const struct client *client)
{
    double seconds = wire_is_open(&client->wire) ? client->limits->idle_s : client->limits->header_s;

    return client->winding_down && (seconds <= 0 || seconds > WIND_DOWN_S) ? WIND_DOWN_S : seconds;
}

static int64_t due(int64_t start, double seconds)
{
    return seconds > 0 ? start + micros(seconds) : 0;
}

/* The deadline of the moment. Re-arms the timer only if it would go off too late: going off early costs little. */
static void arrange_deadline(struct client *client)
{
    const struct client_limits *limits = client->limits;
    int64_t deadline = 0, delay;
    struct timeval after;

    if (wire_waiting(&client->wire) > 0)
        deadline = client->wire.blocked ? due(client->wire.progress_us, limits->write_s) : 0;
    else if (is_idle(client))
        deadline = due(client->since, patience(client));
    if (client->phase == PHASE_READING && client->reader)
        deadline = earlier(deadline, due(client->since, client->in_body ? limits->body_s : limits->header_s));
    else if (client->phase == PHASE_LINGERING)
        deadline = earlier(due(client->heard, LINGER_QUIET_S), due(client->since, LINGER_S));
    client->deadline = deadline;
    if (!deadline || (client->armed && client->armed <= deadline))
        return;
    delay = deadline - clock_monotonic_us();
    if (delay < 1000)
        delay = 1000;
    client->armed = deadline;
    after = (struct timeval){ delay / 1000000, delay % 1000000 };
    evtimer_add(&client->timer, &after);
}

static void step(struct client *client)
{
    if (client->phase == PHASE_FINISHED)
        end_exchange(client);
    if (!wire_send(&client->wire) || (client->phase == PHASE_SERVING && client->half_closed && !client->refused)) {
        leave(client);
        return;
    }
    if (client->stopped && wire_waiting(&client->wire) <= client->limits->output_bytes / 2) {
        client->stopped = false;
        client->hooks->on_drained(client->arg, client);
    }
    if (client->phase == PHASE_READING && !read_more(client))
        return;
    if (client->phase == PHASE_SERVING && client->half_closed && !client->refused) {
        leave(client);
        return;
    }
    if ((client->phase == PHASE_ABORTING && wire_waiting(&client->wire) == 0) ||
        (client->retired && (client->phase == PHASE_LINGERING || (is_idle(client) && !client->wire.readable)))) {
        destroy(client);
        return;
    }
    if (client->phase == PHASE_CLOSING && wire_waiting(&client->wire) == 0 && !start_lingering(client))
        return;
    if (client->phase == PHASE_LINGERING && !linger(client))
        return;
    if (client->phase != PHASE_CUT)
        arrange_deadline(client);
}

static void on_event(evutil_socket_t descriptor, short what, void *arg)
{
    struct client *client = arg;

    (void)descriptor;
    clock_refresh();
    if (what & EV_READ)
        client->wire.readable = true;
    if (what & EV_WRITE)
        wire_note_writable(&client->wire);
    if (what & EV_CLOSED)
        client->half_closed = true;
    /* A reset comes as readable, and must not hide behind pipelined bytes that are not read yet. */
    if ((what & EV_READ) && client->phase == PHASE_SERVING && wire_is_broken(&client->wire)) {
        leave(client);
        return;
    }
    step(client);
}

/* The deadline has passed. Returns false if the client is gone. */
static bool expire(struct client *client)
{
    if (client->phase == PHASE_READING && client->reader && !client->wire.blocked) {
        refuse(client, 408,
               client->in_body ? "the request body did not come in time" : "the request head did not come in time");
        return true;
    }
    leave(client);
    return false;
}

static void on_timer(evutil_socket_t descriptor, short what, void *arg)
{
    struct client *client = arg;

    (void)descriptor;
    (void)what;
    client->armed = 0;
    if (client->deadline && clock_monotonic_us() >= client->deadline) {
        if (expire(client))
            step(client);
    } else {
        arrange_deadline(client);
    }
}

void client_step_start(struct client *client)
{
    struct event_base *base = loop_base(client->loop);

    client->since = clock_monotonic_us();
    event_assign(&client->event, base, client->wire.descriptor, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
                 on_event, client);
    evtimer_assign(&client->timer, base, on_timer, client);
    event_add(&client->event, NULL);
    arrange_deadline(client);
}
