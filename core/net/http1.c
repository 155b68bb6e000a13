/*
 * http1.c - see http1.h: the life of one call, from its connection to its end.
 *
 * Hooks run where bytes are read (on_ready) and when the clock strikes, never
 * inside what a caller calls: an end that is known there is told by the clock.
 * Waiting has three clocks: until the connection stands, until the reply's
 * head, and between pieces of the body.
 */
#include "net/http1.h"

#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/connection.h"
#include "net/dial.h"
#include "net/http1_call.h"
#include "net/http1_head.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/resolver.h"
#include "net/upstream.h"

enum { MESSAGE_BYTES = 320, DUE_MOST_US = 1000 };

static void arm(struct http1_call *call, int64_t now_us)
{
    int64_t left_us = call->deadline_us > now_us ? call->deadline_us - now_us : 0;
    struct timeval left = { .tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000 };

    call->armed_us = call->deadline_us;
    event_add(&call->clock, &left);
}

void http1_set_deadline(struct http1_call *call, double seconds)
{
    int64_t now_us = clock_recent_monotonic_us();

    call->deadline_us = seconds > 0 && seconds < 1e9 ? now_us + (int64_t)(seconds * 1e6) : INT64_MAX;
    if (call->deadline_us < call->armed_us)
        arm(call, now_us);
}

static void call_free(struct http1_call *call)
{
    reply_reader_free(call->reader);
    buf_free(&call->head);
    buf_free(&call->held);
    destination_drop(call->destination);
    mem_free(call->refusal);
    mem_free(call);
}

static void disconnect(struct http1_call *call)
{
    if (call->connection)
        connection_close(call->connection);
    call->connection = NULL;
}

/* From here on nothing calls back for it. */
static void detach(struct http1_call *call)
{
    struct calls *calls = call->phase == DUE ? &call->http1->due : &call->http1->calls;

    resolver_forget(call->lookup);
    dial_cancel(call->dial);
    disconnect(call);
    pool_release(call->origin);
    event_del(&call->clock);
    TAILQ_REMOVE(calls, call, entry);
}

void http1_finish(struct http1_call *call, enum transfer_end end, const char *message)
{
    bool running = call->running;

    detach(call);
    call->ended = true;
    call->hooks.on_end(call->arg, end, message);
    if (!running)
        call_free(call);
}

/* Ends it, but not on this stack. */
static void refuse(struct http1_call *call, enum transfer_end end, const char *message)
{
    call->end = end;
    call->refusal = mem_text(message);
    event_active(&call->clock, EV_TIMEOUT, 0);
}

static void on_clock(evutil_socket_t descriptor, short what, void *arg)
{
    struct http1_call *call = arg;
    int64_t now_us = clock_monotonic_us();
    char message[MESSAGE_BYTES];

    (void)descriptor;
    (void)what;
    clock_refresh();
    call->armed_us = INT64_MAX;
    if (call->refusal) {
        http1_finish(call, call->end, call->refusal);
        return;
    }
    if (call->deadline_us == INT64_MAX)
        return;
    if (now_us < call->deadline_us) {
        arm(call, now_us);
        return;
    }
    switch (call->phase) {
    case CONNECTING:
        snprintf(message, sizeof message, "%s within %g s",
                 call->lookup ? "the host's name was not resolved" : "no connection", call->connect_s);
        http1_finish(call, TRANSFER_CONNECT_TIMEOUT, message);
        break;
    case WAITING:
        snprintf(message, sizeof message, "no reply head within %g s", call->first_byte_s);
        http1_finish(call, TRANSFER_FIRST_BYTE_TIMEOUT, message);
        break;
    case STREAMING:
        snprintf(message, sizeof message, "no data within %g s", call->idle_s);
        http1_finish(call, TRANSFER_IDLE_TIMEOUT, message);
        break;
    case DUE:
        break;
    }
}

static void shake(struct http1_call *call)
{
    enum connection_answer answer = CONNECTION_BROKEN;
    char message[MESSAGE_BYTES];

    if (connection_shake(call->connection, &answer)) {
        http1_exchange_start(call);
    } else if (answer == CONNECTION_BROKEN) {
        connection_say(call->connection, call->destination->name, message, sizeof message);
        http1_finish(call, TRANSFER_TLS, message);
    }
}

static void on_ready(void *arg, short what)
{
    struct http1_call *call = arg;

    (void)what;
    clock_refresh();
    call->running = true;
    if (call->phase == CONNECTING)
        shake(call);
    else
        http1_exchange_go_on(call);
    call->running = false;
    if (call->cancelled || call->ended)
        call_free(call);
}

static void say_unreachable(struct http1_call *call, int error)
{
    const char *reason = strerrordesc_np(error);
    char message[MESSAGE_BYTES];

    snprintf(message, sizeof message, "%s", reason ? reason : "could not connect");
    message[0] = (char)tolower((unsigned char)message[0]);
    http1_finish(call, TRANSFER_UNREACHABLE, message);
}

static void on_dialed(void *arg, int descriptor, int error)
{
    struct http1_call *call = arg;
    struct http1 *http1 = call->http1;
    struct ssl_st *ssl = NULL;
    char message[MESSAGE_BYTES];

    call->dial = NULL;
    if (descriptor < 0) {
        say_unreachable(call, error);
        return;
    }
    if (call->destination->is_secure)
        ssl = trust_open(http1->trust, call->origin->ca_file, call->destination->name, &call->origin->session, message,
                         sizeof message);
    call->connection = connection_new(http1->base, descriptor, ssl);
    if (call->destination->is_secure && !ssl) {
        http1_finish(call, TRANSFER_TLS, message);
        return;
    }
    connection_hand(call->connection, on_ready, call);
    call->running = true;
    shake(call);
    call->running = false;
    if (call->ended)
        call_free(call);
}

static void on_addresses(void *arg, const char *addresses, const char *reason)
{
    struct http1_call *call = arg;
    const struct destination *destination = call->destination;
    char message[MESSAGE_BYTES];

    call->lookup = NULL;
    if (addresses) {
        call->dial = dial_start(call->http1->base, addresses, (uint16_t)atoi(destination->port), destination->scope,
                                on_dialed, call);
        return;
    }
    snprintf(message, sizeof message, "the host's name does not resolve: %s", reason);
    refuse(call, TRANSFER_UNRESOLVED, message);
}

static void begin(struct http1_call *call)
{
    struct http1 *http1 = call->http1;
    struct connection *kept = call->needs_fresh ? NULL : pool_take(http1->pool, call->origin);

    call->is_reused = kept != NULL;
    if (kept) {
        call->connection = kept;
        connection_hand(kept, on_ready, call);
        http1_exchange_start(call);
        return;
    }
    call->phase = CONNECTING;
    reply_reader_free(call->reader);
    call->reader = NULL;
    http1_set_deadline(call, call->connect_s);
    call->lookup = resolver_find(http1->resolver, http1->loop, call->destination->name, on_addresses, call);
}

void http1_start_anew(struct http1_call *call)
{
    disconnect(call);
    call->needs_fresh = true;
    begin(call);
}

static void begin_all(struct http1 *http1)
{
    struct http1_call *call;

    while ((call = TAILQ_FIRST(&http1->due))) {
        TAILQ_REMOVE(&http1->due, call, entry);
        TAILQ_INSERT_TAIL(&http1->calls, call, entry);
        begin(call);
    }
}

static void on_turn(evutil_socket_t descriptor, short what, void *arg)
{
    (void)descriptor;
    (void)what;
    begin_all(arg);
}

/*
 * To write to somebody who sleeps is to wake him: what a turn of the loop sends goes out together at its end, or once
 * the first is due for long enough.
 */
static void await_turn(struct http1_call *call)
{
    struct http1 *http1 = call->http1;
    int64_t now_us = clock_monotonic_us();

    if (TAILQ_EMPTY(&http1->due)) {
        http1->due_since_us = now_us;
        event_active(&http1->turn, EV_TIMEOUT, 0);
    }
    TAILQ_INSERT_TAIL(&http1->due, call, entry);
    call->phase = DUE;
    if (now_us - http1->due_since_us >= DUE_MOST_US)
        begin_all(http1);
}

static void pause_call(struct transfer *transfer)
{
    struct http1_call *call = (struct http1_call *)transfer;

    call->paused = true;
    if (call->phase == STREAMING)
        call->deadline_us = INT64_MAX;
}

static void resume_call(struct transfer *transfer)
{
    struct http1_call *call = (struct http1_call *)transfer;

    if (!call->paused || call->ended || call->cancelled)
        return;
    call->paused = false;
    if (call->phase != STREAMING)
        return;
    http1_set_deadline(call, call->idle_s);
    http1_exchange_want(call);
    if (call->held.length || connection_has_more(call->connection))
        connection_wake(call->connection);
}

static void cancel_call(struct transfer *transfer)
{
    struct http1_call *call = (struct http1_call *)transfer;

    if (call->ended || call->cancelled)
        return;
    call->cancelled = true;
    detach(call);
    if (!call->running)
        call_free(call);
}

/* NULL, or why it cannot be sent. */
static const char *prepare(struct http1_call *call, const struct upstream_request *request)
{
    const char *fault;

    call->destination = destination_take(&call->http1->destinations, request->url);
    if (!call->destination)
        return "the URL is not one";
    if (!call->destination->is_http)
        return "it can't be sent: only http and https addresses can be called";
    fault = http1_head_add(&call->head, request, call->destination);
    if (fault)
        return fault;
    call->origin = pool_origin(call->http1->pool, call->destination, request->ca_file);
    call->is_head = strcmp(request->method, "HEAD") == 0;
    /* It cannot be sent again, and is cheap: it takes no chance with a connection that may be dying. */
    call->needs_fresh = request->body_length == 0 && !call->is_head && strcmp(request->method, "GET") != 0;
    return NULL;
}

struct transfer *http1_send(struct http1 *http1, const struct upstream_request *request,
                            const struct transfer_hooks *hooks, void *arg)
{
    struct http1_call *call = mem_zero(sizeof *call);
    const char *fault;

    call->transfer = (struct transfer){ pause_call, resume_call, cancel_call };
    call->http1 = http1;
    call->hooks = *hooks;
    call->arg = arg;
    call->body = request->body;
    call->body_length = request->body_length;
    call->connect_s = request->connect_s;
    call->first_byte_s = request->first_byte_s;
    call->idle_s = request->idle_s;
    call->deadline_us = call->armed_us = INT64_MAX;
    evtimer_assign(&call->clock, http1->base, on_clock, call);
    fault = prepare(call, request);
    if (!fault) {
        await_turn(call);
        return &call->transfer;
    }
    TAILQ_INSERT_TAIL(&http1->calls, call, entry);
    refuse(call, TRANSFER_IMPOSSIBLE, fault);
    return &call->transfer;
}

struct http1 *http1_new(struct loop *loop, struct resolver *resolver)
{
    struct http1 *http1 = mem_zero(sizeof *http1);

    http1->loop = loop;
    http1->base = loop_base(loop);
    http1->resolver = resolver;
    http1->pool = pool_new(http1->base);
    http1->trust = trust_new();
    TAILQ_INIT(&http1->calls);
    TAILQ_INIT(&http1->due);
    event_assign(&http1->turn, http1->base, -1, 0, on_turn, http1);
    return http1;
}

void http1_free(struct http1 *http1)
{
    struct http1_call *call;

    if (!http1)
        return;
    while ((call = TAILQ_FIRST(&http1->due)) || (call = TAILQ_FIRST(&http1->calls)))
        cancel_call(&call->transfer);
    event_del(&http1->turn);
    pool_free(http1->pool);
    trust_free(http1->trust);
    destination_forget_all(&http1->destinations);
    mem_free(http1);
}
