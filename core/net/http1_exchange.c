/*
 * http1_exchange.c - see http1_call.h: the request goes out, the reply comes in.
 * The two are apart: a provider may answer before it has read all, and stop
 * reading then.
 */
#include "net/http1_call.h"

#include <string.h>

#include "base/headers.h"
#include "net/connection.h"
#include "net/pool.h"

/* Of sending in a row, so that a fast reader of a large body leaves the others their turn. */
enum { ROUNDS = 16 };

static const char sent_before[] = "the reused connection was closed before any reply; the request was not sent again";

static bool is_sent(const struct http1_call *call)
{
    return call->head_sent == call->head.length && call->body_sent == call->body_length;
}

/* During a pause the socket is left alone, and what comes stays with the kernel. */
void http1_exchange_want(struct http1_call *call)
{
    bool is_paused = call->paused && call->phase == STREAMING;

    connection_want(call->connection, !is_paused && !call->is_over, !is_sent(call) && !call->is_deaf);
}

static bool on_head(void *arg, int status, struct headers *headers)
{
    struct http1_call *call = arg;

    if (call->hooks.on_sent && is_sent(call)) /* a provider may answer before it has read all of the request */
        call->hooks.on_sent(call->arg);
    if (call->cancelled)
        return false;
    call->phase = STREAMING;
    http1_set_deadline(call, call->paused ? 0 : call->idle_s);
    call->hooks.on_head(call->arg, status, headers);
    return !call->cancelled;
}

static void hand_over(struct http1_call *call, const char *data, size_t length)
{
    http1_set_deadline(call, call->idle_s);
    call->hooks.on_data(call->arg, data, length);
}

static bool on_body(void *arg, const char *data, size_t length)
{
    struct http1_call *call = arg;

    if (call->paused || call->held.length)
        buf_add(&call->held, data, length);
    else
        hand_over(call, data, length);
    return !call->cancelled;
}

static const struct reply_reader_hooks reader_hooks = { on_head, on_body };

/* The connection is kept before the end is told: whoever is told may call again at once. */
static void conclude(struct http1_call *call, enum reply_outcome outcome)
{
    const char *fault = reply_reader_fault(call->reader);
    const char *message = "the connection was closed before the reply's head";

    if (outcome == REPLY_WHOLE) {
        if (reply_reader_keeps(call->reader) && is_sent(call) && !call->has_surplus) {
            pool_keep(call->http1->pool, call->origin, call->connection);
            call->connection = NULL;
        }
        http1_finish(call, TRANSFER_DONE, "the reply is complete");
    } else if (fault) {
        http1_finish(call, TRANSFER_MALFORMED, fault);
    } else {
        if (call->phase == STREAMING)
            message = "the reply broke off before its end";
        else if (call->is_reused && !call->has_received)
            message = sent_before;
        http1_finish(call, TRANSFER_CUT, message);
    }
}

/* What is held comes before the end. */
static void settle(struct http1_call *call, enum reply_outcome outcome)
{
    if (call->held.length == 0) {
        conclude(call, outcome);
        return;
    }
    call->is_over = true;
    call->outcome = outcome;
    http1_exchange_want(call);
}

/* Only a request of which nothing was sent, over a connection that was kept, may go over another. */
static bool may_start_anew(const struct http1_call *call)
{
    return call->is_reused && !call->has_sent && !call->has_received;
}

/* The connection is gone. */
static void lose(struct http1_call *call)
{
    if (may_start_anew(call)) {
        http1_start_anew(call);
        return;
    }
    settle(call, REPLY_BROKEN);
}

/* False: that was the end of it, or it waits for its turn. */
static bool read_once(struct http1_call *call)
{
    struct http1 *http1 = call->http1;
    ssize_t length = connection_read(call->connection, http1->room, sizeof http1->room);
    enum reply_outcome outcome;
    size_t used;

    if (length == CONNECTION_LATER)
        return false;
    if (length == CONNECTION_BROKEN) {
        lose(call);
        return false;
    }
    if (length == CONNECTION_ENDED) {
        outcome = reply_reader_end(call->reader);
        if (outcome == REPLY_WHOLE)
            settle(call, outcome);
        else
            lose(call);
        return false;
    }
    call->has_received = true;
    outcome = reply_reader_read(call->reader, http1->room, (size_t)length, &used);
    if (call->cancelled) /* the connection is gone */
        return false;
    call->has_surplus = used < (size_t)length || connection_has_more(call->connection);
    if (outcome != REPLY_MORE)
        settle(call, outcome);
    return outcome == REPLY_MORE;
}

/* What came during a pause. False: that was the end of it. */
static bool hand_over_held(struct http1_call *call)
{
    struct buf held = call->held;

    if (held.length == 0)
        return true;
    call->held = (struct buf){ 0 };
    hand_over(call, held.data, held.length);
    buf_free(&held);
    if (call->cancelled || !call->is_over)
        return !call->cancelled;
    conclude(call, call->outcome);
    return false;
}

static bool may_read(struct http1_call *call)
{
    if (!call->paused || call->phase != STREAMING)
        return true;
    http1_exchange_want(call);
    return false;
}

static void receive(struct http1_call *call)
{
    bool more = true;

    while (more)
        more = may_read(call) && hand_over_held(call) && may_read(call) && read_once(call) &&
               connection_has_more(call->connection);
}

static ssize_t send_once(struct http1_call *call)
{
    size_t head_left = call->head.length - call->head_sent;
    const char *body = call->body_length ? call->body + call->body_sent : NULL;
    ssize_t sent = connection_send(call->connection, head_left ? call->head.data + call->head_sent : NULL, head_left,
                                   body, call->body_length - call->body_sent);
    size_t of_head;

    if (sent <= 0)
        return sent;
    of_head = (size_t)sent < head_left ? (size_t)sent : head_left;
    call->head_sent += of_head;
    call->body_sent += (size_t)sent - of_head;
    if (call->has_sent && call->phase == WAITING) /* an upload that moves is not silence */
        http1_set_deadline(call, call->first_byte_s);
    call->has_sent = true;
    return sent;
}

static void send_on(struct http1_call *call)
{
    ssize_t sent = 1;

    for (int round = 0; round < ROUNDS && sent > 0 && !is_sent(call); round++)
        sent = send_once(call);
    if (sent == CONNECTION_BROKEN) {
        if (may_start_anew(call)) {
            http1_start_anew(call);
            return;
        }
        call->is_deaf = true; /* it may have answered before it stopped reading: reading tells */
    }
    if (is_sent(call)) {
        buf_free(&call->head);
        call->head_sent = 0;
    }
    http1_exchange_want(call);
}

void http1_exchange_start(struct http1_call *call)
{
    call->phase = WAITING;
    call->reader = reply_reader_new(&reader_hooks, call, call->is_head);
    http1_set_deadline(call, call->first_byte_s);
    send_on(call);
}

void http1_exchange_go_on(struct http1_call *call)
{
    if (!is_sent(call) && !call->is_deaf)
        send_on(call);
    if (call->phase != CONNECTING)
        receive(call);
}
