/*
 * upstream.c - see upstream.h. One curl multi handle on the loop's events.
 *
 * Hooks run inside libcurl's callbacks, where the multi handle must not be
 * touched: what they ask for then (send, resume, cancel) becomes a chore, done
 * as soon as libcurl has returned. Waiting has three clocks of ours: until the
 * connection stands, until the reply's head, and between pieces of the body.
 */
#include "net/upstream.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/call.h"
#include "net/destination.h"
#include "net/libraries.h"
#include "net/loop.h"
#include "net/resolver.h"

enum { CONNECTIONS = 1000, SPARE_HANDLES = 64 };

TAILQ_HEAD(calls, call);

struct upstream {
    struct event_base *base;
    struct loop *loop;
    struct resolver *resolver;
    CURLM *multi;
    struct event *timer; /* libcurl's */
    struct event *turn;  /* chores wait, and libcurl is not on the stack */
    bool inside;         /* libcurl is on the stack */
    struct calls calls, chores;
    struct destinations destinations;
    CURL *spare[SPARE_HANDLES];
    size_t spare_count;
};

void upstream_global_start(void)
{
    signal(SIGPIPE, SIG_IGN); /* a peer that closes is an error of one call */
    libraries_start();
}

void upstream_global_stop(void)
{
    libraries_stop();
}

static void arm(struct call *call, int64_t now_us)
{
    int64_t left_us = call->deadline_us > now_us ? call->deadline_us - now_us : 0;
    struct timeval left = { .tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000 };

    call->armed_us = call->deadline_us;
    event_add(&call->clock, &left);
}

void upstream_set_deadline(struct call *call, double seconds)
{
    int64_t now_us = clock_monotonic_us();

    call->deadline_us = seconds > 0 && seconds < 1e9 ? now_us + (int64_t)(seconds * 1e6) : INT64_MAX;
    if (call->deadline_us < call->armed_us)
        arm(call, now_us);
}

static void enqueue(struct call *call)
{
    if (!call->queued)
        TAILQ_INSERT_TAIL(&call->upstream->chores, call, chore);
    call->queued = true;
    if (!call->upstream->inside)
        event_active(call->upstream->turn, EV_TIMEOUT, 0);
}

void upstream_refuse(struct call *call, enum transfer_end end, const char *message)
{
    call->refused = true;
    call->end = end;
    snprintf(call->message, sizeof call->message, "%s", message);
    enqueue(call);
}

static CURL *handle_take(struct upstream *upstream)
{
    return upstream->spare_count ? upstream->spare[--upstream->spare_count] : call_handle_new();
}

static void handle_release(struct call *call)
{
    struct upstream *upstream = call->upstream;

    if (upstream->spare_count == SPARE_HANDLES) {
        curl_easy_cleanup(call->easy);
        return;
    }
    call_clear_handle(call);
    upstream->spare[upstream->spare_count++] = call->easy;
}

/* From here on nothing calls back for it. */
static void detach(struct call *call)
{
    struct upstream *upstream = call->upstream;

    resolver_forget(call->lookup);
    event_del(&call->clock);
    if (call->added)
        curl_multi_remove_handle(upstream->multi, call->easy);
    handle_release(call);
    if (call->queued)
        TAILQ_REMOVE(&upstream->chores, call, chore);
    TAILQ_REMOVE(&upstream->calls, call, entry);
}

static void finish(struct call *call, enum transfer_end end, const char *message)
{
    detach(call);
    call->ended = true;
    call->hooks.on_end(call->arg, end, message);
    call_free(call);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct call *call = arg;
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

static void conclude(struct call *call, CURLcode code)
{
    if (!call->refused)
        call->end = call_judge(call, code);
    finish(call, call->end, call->message);
}

static void start(struct call *call)
{
    struct upstream *upstream = call->upstream;
    int64_t left_us = call->deadline_us - clock_monotonic_us();

    /* Ours is the clock that counts; libcurl shares its own out among a host's addresses. */
    if (call->deadline_us != INT64_MAX)
        curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, left_us > 1000 ? (long)(left_us / 1000) : 1L);
    call->added = curl_multi_add_handle(upstream->multi, call->easy) == CURLM_OK;
    if (!call->added)
        upstream_refuse(call, TRANSFER_IMPOSSIBLE, "libcurl takes no more calls");
}

static void run_chore(struct call *call)
{
    struct upstream *upstream = call->upstream;
    CURLcode code;

    TAILQ_REMOVE(&upstream->chores, call, chore);
    call->queued = false;
    if (call->cancelled) {
        detach(call);
        call_free(call);
    } else if (call->refused) {
        finish(call, call->end, call->message);
    } else if (!call->added && !call->lookup) {
        start(call);
    } else if (call->stalled && !call->paused) {
        call->stalled = false;
        upstream->inside = true; /* it may call on_piece */
        code = curl_easy_pause(call->easy, CURLPAUSE_CONT);
        upstream->inside = false;
        if (code != CURLE_OK && !call->cancelled)
            conclude(call, code);
    }
}

static void settle(struct upstream *upstream)
{
    struct call *call;
    CURLMsg *done;
    CURLcode code;
    int left;

    do {
        while ((call = TAILQ_FIRST(&upstream->chores)))
            run_chore(call);
        while ((done = curl_multi_info_read(upstream->multi, &left))) {
            code = done->data.result;
            curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            conclude(call, code);
        }
    } while (!TAILQ_EMPTY(&upstream->chores));
}

static void drive(struct upstream *upstream, curl_socket_t socket, int what)
{
    int running;

    upstream->inside = true;
    curl_multi_socket_action(upstream->multi, socket, what, &running);
    upstream->inside = false;
    settle(upstream);
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
    struct upstream *upstream = arg;
    struct timeval delay = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

    (void)multi;
    if (timeout_ms < 0)
        event_del(upstream->timer);
    else if (timeout_ms == 0) /* as soon as libcurl is off the stack, before the loop waits again */
        event_active(upstream->timer, EV_TIMEOUT, 0);
    else
        event_add(upstream->timer, &delay);
    return 0;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct upstream *upstream = arg;
    struct event *event = socket_arg;
    short wanted = EV_PERSIST;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (event)
            event_free(event);
        curl_multi_assign(upstream->multi, socket, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        wanted |= EV_READ;
    if (what & CURL_POLL_OUT)
        wanted |= EV_WRITE;
    if (!event) {
        event = event_new(upstream->base, socket, wanted, on_ready, upstream);
        curl_multi_assign(upstream->multi, socket, event);
    } else if (event_get_events(event) == wanted) {
        return 0;
    } else {
        event_del(event);
        event_assign(event, upstream->base, socket, wanted, on_ready, upstream);
    }
    event_add(event, NULL);
    return 0;
}

static void upstream_pause(struct transfer *transfer)
{
    struct call *call = (struct call *)transfer;

    call->paused = true;
    if (call->phase == STREAMING)
        call->deadline_us = INT64_MAX;
}

static void upstream_resume(struct transfer *transfer)
{
    struct call *call = (struct call *)transfer;

    if (!call->paused || call->ended || call->cancelled)
        return;
    call->paused = false;
    if (call->phase == STREAMING)
        upstream_set_deadline(call, call->idle_s);
    if (call->stalled)
        enqueue(call);
}

static void upstream_cancel(struct transfer *transfer)
{
    struct call *call = (struct call *)transfer;

    if (call->ended)
        return;
    call->cancelled = true;
    if (call->upstream->inside) {
        enqueue(call);
    } else {
        detach(call);
        call_free(call);
    }
}

static void on_addresses(void *arg, const char *addresses, const char *reason)
{
    struct call *call = arg;
    char message[256];

    call->lookup = NULL;
    if (!addresses) {
        snprintf(message, sizeof message, "the host's name does not resolve: %s", reason);
        upstream_refuse(call, TRANSFER_UNRESOLVED, message);
        return;
    }
    call_set_addresses(call, addresses);
    if (call->upstream->inside)
        enqueue(call);
    else
        start(call);
}

struct transfer *upstream_send(struct upstream *upstream, const struct upstream_request *request,
                               const struct transfer_hooks *hooks, void *arg)
{
    struct call *call = mem_zero(sizeof *call);
    const char *fault;

    call->transfer = (struct transfer){ upstream_pause, upstream_resume, upstream_cancel };
    call->upstream = upstream;
    call->hooks = *hooks;
    call->arg = arg;
    call->body = request->body;
    call->body_length = request->body_length;
    call->connect_s = request->connect_s;
    call->first_byte_s = request->first_byte_s;
    call->idle_s = request->idle_s;
    call->deadline_us = call->armed_us = INT64_MAX;
    evtimer_assign(&call->clock, upstream->base, on_clock, call);
    call->easy = handle_take(upstream);
    TAILQ_INSERT_TAIL(&upstream->calls, call, entry);
    fault = call_prepare(call, request, &upstream->destinations);
    if (fault) {
        upstream_refuse(call, TRANSFER_IMPOSSIBLE, fault);
    } else {
        upstream_set_deadline(call, call->connect_s);
        if (*call->destination->host == '[') /* an IPv6 literal */
            on_addresses(call, call->destination->host, NULL);
        else
            call->lookup =
                resolver_find(upstream->resolver, upstream->loop, call->destination->host, on_addresses, call);
    }
    return &call->transfer;
}

struct upstream *upstream_new(struct loop *loop, struct resolver *resolver)
{
    struct upstream *upstream = mem_zero(sizeof *upstream);

    upstream->loop = loop;
    upstream->base = loop_base(loop);
    upstream->resolver = resolver;
    TAILQ_INIT(&upstream->calls);
    TAILQ_INIT(&upstream->chores);
    upstream->timer = evtimer_new(upstream->base, on_timer, upstream);
    upstream->turn = evtimer_new(upstream->base, on_turn, upstream);
    upstream->multi = curl_multi_init();
    if (!upstream->multi || !upstream->timer || !upstream->turn)
        abort();
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERDATA, upstream);
    /* Of many HTTP/2 streams on one connection this libcurl now and then forgets one: each has its own, kept alive. */
    curl_multi_setopt(upstream->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(upstream->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    struct call *call;

    if (!upstream)
        return;
    while ((call = TAILQ_FIRST(&upstream->calls)))
        upstream_cancel(&call->transfer);
    while (upstream->spare_count)
        curl_easy_cleanup(upstream->spare[--upstream->spare_count]);
    curl_multi_cleanup(upstream->multi);
    destination_forget_all(&upstream->destinations);
    event_free(upstream->timer);
    event_free(upstream->turn);
    mem_free(upstream);
}
