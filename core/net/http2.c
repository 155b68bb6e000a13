/*
 * http2.c - see http2.h. One curl multi handle on the loop's events.
 *
 * Hooks run inside libcurl's callbacks, where the multi handle must not be
 * touched: what they ask for then (send, resume, cancel) becomes a chore, done
 * as soon as libcurl has returned. Waiting has three clocks of ours: until the
 * connection stands, until the reply's head, and between pieces of the body.
 */
#include "net/http2.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/destination.h"
#include "net/http2_call.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/upstream.h"

enum { CONNECTIONS = 1000 };

TAILQ_HEAD(calls, http2_call);

struct http2 {
    struct event_base *base;
    struct loop *loop;
    struct resolver *resolver;
    CURLM *multi;
    struct event *timer; /* libcurl's */
    struct event *turn;  /* chores wait, and libcurl is not on the stack */
    bool inside;         /* libcurl is on the stack */
    struct calls calls, chores;
    struct destinations destinations;
};

static void arm(struct http2_call *call, int64_t now_us)
{
    int64_t left_us = call->deadline_us > now_us ? call->deadline_us - now_us : 0;
    struct timeval left = { .tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000 };

    call->armed_us = call->deadline_us;
    event_add(&call->clock, &left);
}

void http2_set_deadline(struct http2_call *call, double seconds)
{
    int64_t now_us = clock_monotonic_us();

    call->deadline_us = seconds > 0 && seconds < 1e9 ? now_us + (int64_t)(seconds * 1e6) : INT64_MAX;
    if (call->deadline_us < call->armed_us)
        arm(call, now_us);
}

static void enqueue(struct http2_call *call)
{
    if (!call->queued)
        TAILQ_INSERT_TAIL(&call->http2->chores, call, chore);
    call->queued = true;
    if (!call->http2->inside)
        event_active(call->http2->turn, EV_TIMEOUT, 0);
}

void http2_refuse(struct http2_call *call, enum transfer_end end, const char *message)
{
    call->refused = true;
    call->end = end;
    snprintf(call->message, sizeof call->message, "%s", message);
    enqueue(call);
}

/* From here on nothing calls back for it. */
static void detach(struct http2_call *call)
{
    struct http2 *http2 = call->http2;

    resolver_forget(call->lookup);
    event_del(&call->clock);
    if (call->added)
        curl_multi_remove_handle(http2->multi, call->easy);
    curl_easy_cleanup(call->easy);
    if (call->queued)
        TAILQ_REMOVE(&http2->chores, call, chore);
    TAILQ_REMOVE(&http2->calls, call, entry);
}

static void finish(struct http2_call *call, enum transfer_end end, const char *message)
{
    detach(call);
    call->ended = true;
    call->hooks.on_end(call->arg, end, message);
    http2_call_free(call);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct http2_call *call = arg;
    int64_t now_us = clock_monotonic_us();

    (void)fd;
    (void)what;
    call->armed_us = INT64_MAX;
    if (call->deadline_us == INT64_MAX)
        return;
    if (now_us < call->deadline_us) {
        arm(call, now_us);
        return;
    }
    switch (call->phase) {
    case CONNECTING:
        snprintf(call->message, sizeof call->message, "%s within %g s",
                 call->lookup ? "the host's name was not resolved" : "no connection", call->connect_s);
        finish(call, TRANSFER_CONNECT_TIMEOUT, call->message);
        break;
    case WAITING:
        snprintf(call->message, sizeof call->message, "no reply head within %g s", call->first_byte_s);
        finish(call, TRANSFER_FIRST_BYTE_TIMEOUT, call->message);
        break;
    case STREAMING:
        snprintf(call->message, sizeof call->message, "no data within %g s", call->idle_s);
        finish(call, TRANSFER_IDLE_TIMEOUT, call->message);
        break;
    }
}

static void conclude(struct http2_call *call, CURLcode code)
{
    if (!call->refused)
        call->end = http2_call_judge(call, code);
    finish(call, call->end, call->message);
}

static void start(struct http2_call *call)
{
    struct http2 *http2 = call->http2;
    int64_t left_us = call->deadline_us - clock_monotonic_us();

    /* Ours is the clock that counts; libcurl shares its own out among a host's addresses. */
    if (call->deadline_us != INT64_MAX)
        curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, left_us > 1000 ? (long)(left_us / 1000) : 1L);
    call->added = curl_multi_add_handle(http2->multi, call->easy) == CURLM_OK;
    if (!call->added)
        http2_refuse(call, TRANSFER_IMPOSSIBLE, "libcurl takes no more calls");
}

static void run_chore(struct http2_call *call)
{
    struct http2 *http2 = call->http2;
    CURLcode code;

    TAILQ_REMOVE(&http2->chores, call, chore);
    call->queued = false;
    if (call->cancelled) {
        detach(call);
        http2_call_free(call);
    } else if (call->refused) {
        finish(call, call->end, call->message);
    } else if (!call->added && !call->lookup) {
        start(call);
    } else if (call->stalled && !call->paused) {
        call->stalled = false;
        http2->inside = true; /* it may call on_piece */
        code = curl_easy_pause(call->easy, CURLPAUSE_CONT);
        http2->inside = false;
        if (code != CURLE_OK && !call->cancelled)
            conclude(call, code);
    }
}

static void settle(struct http2 *http2)
{
    struct http2_call *call;
    CURLMsg *done;
    CURLcode code;
    int left;

    do {
        while ((call = TAILQ_FIRST(&http2->chores)))
            run_chore(call);
        while ((done = curl_multi_info_read(http2->multi, &left))) {
            code = done->data.result;
            curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            conclude(call, code);
        }
    } while (!TAILQ_EMPTY(&http2->chores));
}

static void drive(struct http2 *http2, curl_socket_t socket, int what)
{
    int running;

    http2->inside = true;
    curl_multi_socket_action(http2->multi, socket, what, &running);
    http2->inside = false;
    settle(http2);
}

static void on_ready(evutil_socket_t socket, short what, void *arg)
{
    drive(arg, socket, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t socket, short what, void *arg)
{
    (void)socket;
    (void)what;
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_turn(evutil_socket_t socket, short what, void *arg)
{
    (void)socket;
    (void)what;
    settle(arg);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http2 *http2 = arg;
    struct timeval delay = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

    (void)multi;
    if (timeout_ms < 0)
        event_del(http2->timer);
    else if (timeout_ms == 0) /* as soon as libcurl is off the stack, before the loop waits again */
        event_active(http2->timer, EV_TIMEOUT, 0);
    else
        event_add(http2->timer, &delay);
    return 0;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct http2 *http2 = arg;
    struct event *event = socket_arg;
    short wanted = EV_PERSIST;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (event)
            event_free(event);
        curl_multi_assign(http2->multi, socket, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        wanted |= EV_READ;
    if (what & CURL_POLL_OUT)
        wanted |= EV_WRITE;
    if (!event) {
        event = event_new(http2->base, socket, wanted, on_ready, http2);
        curl_multi_assign(http2->multi, socket, event);
    } else if (event_get_events(event) == wanted) {
        return 0;
    } else {
        event_del(event);
        event_assign(event, http2->base, socket, wanted, on_ready, http2);
    }
    event_add(event, NULL);
    return 0;
}

static void pause_call(struct transfer *transfer)
{
    struct http2_call *call = (struct http2_call *)transfer;

    call->paused = true;
    if (call->phase == STREAMING)
        call->deadline_us = INT64_MAX;
}

static void resume_call(struct transfer *transfer)
{
    struct http2_call *call = (struct http2_call *)transfer;

    if (!call->paused || call->ended || call->cancelled)
        return;
    call->paused = false;
    if (call->phase == STREAMING)
        http2_set_deadline(call, call->idle_s);
    if (call->stalled)
        enqueue(call);
}

static void cancel_call(struct transfer *transfer)
{
    struct http2_call *call = (struct http2_call *)transfer;

    if (call->ended)
        return;
    call->cancelled = true;
    if (call->http2->inside) {
        enqueue(call);
    } else {
        detach(call);
        http2_call_free(call);
    }
}

static void on_addresses(void *arg, const char *addresses, const char *reason)
{
    struct http2_call *call = arg;
    char message[256];

    call->lookup = NULL;
    if (!addresses) {
        snprintf(message, sizeof message, "the host's name does not resolve: %s", reason);
        http2_refuse(call, TRANSFER_UNRESOLVED, message);
        return;
    }
    http2_call_set_addresses(call, addresses);
    if (call->http2->inside)
        enqueue(call);
    else
        start(call);
}

struct transfer *http2_send(struct http2 *http2, const struct upstream_request *request,
                            const struct transfer_hooks *hooks, void *arg)
{
    struct http2_call *call = mem_zero(sizeof *call);
    const char *fault;

    call->transfer = (struct transfer){ pause_call, resume_call, cancel_call };
    call->http2 = http2;
    call->hooks = *hooks;
    call->arg = arg;
    call->body = request->body;
    call->body_length = request->body_length;
    call->connect_s = request->connect_s;
    call->first_byte_s = request->first_byte_s;
    call->idle_s = request->idle_s;
    call->deadline_us = call->armed_us = INT64_MAX;
    evtimer_assign(&call->clock, http2->base, on_clock, call);
    call->easy = curl_easy_init();
    if (!call->easy)
        abort();
    TAILQ_INSERT_TAIL(&http2->calls, call, entry);
    fault = http2_call_prepare(call, request, &http2->destinations);
    if (fault) {
        http2_refuse(call, TRANSFER_IMPOSSIBLE, fault);
    } else {
        http2_set_deadline(call, call->connect_s);
        if (*call->destination->host == '[') /* an IPv6 literal */
            on_addresses(call, call->destination->host, NULL);
        else
            call->lookup = resolver_find(http2->resolver, http2->loop, call->destination->host, on_addresses, call);
    }
    return &call->transfer;
}

struct http2 *http2_new(struct loop *loop, struct resolver *resolver)
{
    struct http2 *http2 = mem_zero(sizeof *http2);

    http2->loop = loop;
    http2->base = loop_base(loop);
    http2->resolver = resolver;
    TAILQ_INIT(&http2->calls);
    TAILQ_INIT(&http2->chores);
    http2->timer = evtimer_new(http2->base, on_timer, http2);
    http2->turn = evtimer_new(http2->base, on_turn, http2);
    http2->multi = curl_multi_init();
    if (!http2->multi || !http2->timer || !http2->turn)
        abort();
    curl_multi_setopt(http2->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(http2->multi, CURLMOPT_SOCKETDATA, http2);
    curl_multi_setopt(http2->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(http2->multi, CURLMOPT_TIMERDATA, http2);
    /* Of many HTTP/2 streams on one connection this libcurl now and then forgets one: each has its own, kept alive. */
    curl_multi_setopt(http2->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(http2->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
    return http2;
}

void http2_free(struct http2 *http2)
{
    struct http2_call *call;

    if (!http2)
        return;
    while ((call = TAILQ_FIRST(&http2->calls)))
        cancel_call(&call->transfer);
    curl_multi_cleanup(http2->multi);
    destination_forget_all(&http2->destinations);
    event_free(http2->timer);
    event_free(http2->turn);
    mem_free(http2);
}
