/* exchange.c - see exchange.h. All on the worker's thread. */
#include "gate/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/headers.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate.h"
#include "gate/settings.h"
#include "gate/worker.h"
#include "net/client.h"
#include "net/reply.h"
#include "script/task.h"
#include "script/vm.h"

struct session {
    struct session *previous, *next;
    struct worker *worker;
    struct client *client;
    struct exchange *exchange; /* the request under way */
    struct settings *settings; /* whose limits the connection began with */
};

static void end(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;

    if (exchange->handle)
        *exchange->handle = NULL;
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        worker->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    __atomic_store_n(&worker->exchange_count, worker->exchange_count - 1, __ATOMIC_RELEASE);
    headers_free(&exchange->always);
    mem_free(exchange);
}

/* A caller may name its own request, if the name is harmless in a log and a header. */
static bool is_sane_id(const char *id)
{
    size_t length = id ? strlen(id) : 0;

    if (length < 1 || length > 96)
        return false;
    return strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == length;
}

static void name(struct exchange *exchange)
{
    const char *given = headers_get(&exchange->request->headers, "x-request-id");

    if (is_sane_id(given)) {
        snprintf(exchange->id, sizeof exchange->id, "%s", given);
        return;
    }
    memcpy(exchange->id, "req_", 4);
    id_make(exchange->id + 4);
}

static void detach(struct exchange *exchange)
{
    if (exchange->session)
        exchange->session->exchange = NULL;
    exchange->session = NULL;
    exchange->request = NULL;
    exchange->on_drained = NULL;
}

/* Whatever happens, the caller gets an answer. */
static void refuse(struct exchange *exchange, int status, const char *message)
{
    exchange->worker->gate->script->on_refused(exchange, status, message);
    if (exchange->session)
        exchange_reply(exchange, status, &(struct headers){ 0 }, "", 0);
}

static void on_task_end(void *arg, const char *error)
{
    struct exchange *exchange = arg;

    exchange->task = NULL;
    if (error)
        log_line(LOG_ERROR, "a request's script failed", "request_id", exchange->id, "error", error, NULL);
    if (exchange->session && exchange->begun)
        exchange_abort(exchange);
    else if (exchange->session)
        refuse(exchange, 500, "the gateway failed inside; its log tells more under this request's id");
    end(exchange);
}

static struct exchange *new_exchange(struct session *session, const struct client_request *request)
{
    struct worker *worker = session->worker;
    struct exchange *exchange = mem_zero(sizeof *exchange);

    exchange->worker = worker;
    exchange->session = session;
    exchange->request = request;
    exchange->started_us = clock_recent_monotonic_us();
    exchange->next = worker->exchanges;
    if (worker->exchanges)
        worker->exchanges->previous = exchange;
    worker->exchanges = exchange;
    __atomic_store_n(&worker->exchange_count, worker->exchange_count + 1, __ATOMIC_RELEASE);
    session->exchange = exchange;
    name(exchange);
    return exchange;
}

static void on_request(void *arg, struct client *client, const struct client_request *request)
{
    struct session *session = arg;
    struct exchange *exchange = new_exchange(session, request);
    struct task *task;

    (void)client;
    session->worker->gate->script->on_request(exchange);
    /* The task may end, and the exchange with it, before this returns. */
    task = task_start(session->worker->vm, 1, on_task_end, exchange);
    if (!task)
        return;
    exchange->task = task;
    if (exchange->gone)
        task_cancel(task, "client_gone");
}

static void on_refused(void *arg, struct client *client, const struct client_request *request, int status,
                       const char *message)
{
    struct session *session = arg;
    struct exchange *exchange = new_exchange(session, request);

    (void)client;
    refuse(exchange, status, message);
    end(exchange);
}

static void on_gone(void *arg, struct client *client)
{
    struct session *session = arg;
    struct exchange *exchange = session->exchange;

    (void)client;
    if (!exchange)
        return;
    detach(exchange);
    exchange->gone = true;
    if (exchange->task)
        task_cancel(exchange->task, "client_gone");
}

static void on_drained(void *arg, struct client *client)
{
    struct session *session = arg;
    struct exchange *exchange = session->exchange;
    void (*waiting)(void *) = exchange ? exchange->on_drained : NULL;

    (void)client;
    if (!waiting)
        return;
    exchange->on_drained = NULL;
    waiting(exchange->drained_arg);
}

static void on_closed(void *arg, struct client *client)
{
    struct session *session = arg;

    on_gone(arg, client);
    if (session->previous)
        session->previous->next = session->next;
    else
        session->worker->sessions = session->next;
    if (session->next)
        session->next->previous = session->previous;
    __atomic_store_n(&session->worker->session_count, session->worker->session_count - 1, __ATOMIC_RELEASE);
    settings_drop(session->settings);
    mem_free(session);
}

static const struct client_hooks hooks = {
    .on_request = on_request,
    .on_refused = on_refused,
    .on_gone = on_gone,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

void exchange_accept(struct worker *worker, int descriptor, struct tls *tls, const char *peer)
{
    struct session *session = mem_zero(sizeof *session);

    session->worker = worker;
    session->settings = settings_take(worker->settings);
    session->next = worker->sessions;
    if (worker->sessions)
        worker->sessions->previous = session;
    worker->sessions = session;
    __atomic_store_n(&worker->session_count, worker->session_count + 1, __ATOMIC_RELEASE);
    session->client = client_open(worker->loop, descriptor, tls, peer, &session->settings->client, &hooks, session);
    if (worker->draining)
        client_retire(session->client);
}

void exchange_retire_all(struct worker *worker)
{
    struct session *next;

    for (struct session *session = worker->sessions; session; session = next) {
        next = session->next;
        client_retire(session->client);
    }
}

void exchange_wind_down_all(struct worker *worker)
{
    for (struct session *session = worker->sessions; session; session = session->next)
        client_wind_down(session->client);
}

void exchange_cut_all(struct worker *worker)
{
    for (struct session *session = worker->sessions; session; session = session->next) {
        client_abort(session->client);
        client_abort(session->client); /* the first may still be sending what was written */
    }
}

void exchange_cancel_all(struct worker *worker, const char *reason)
{
    struct exchange *next;

    for (struct exchange *exchange = worker->exchanges; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->task)
            task_cancel(exchange->task, reason);
    }
}

void exchange_drop_all(struct worker *worker)
{
    while (worker->exchanges) {
        detach(worker->exchanges);
        end(worker->exchanges);
    }
}

static void add_own(const struct exchange *exchange, struct headers *headers)
{
    headers_add(headers, "x-request-id", exchange->id);
    for (size_t i = 0; i < exchange->always.count; i++)
        headers_add(headers, exchange->always.fields[i].name, exchange->always.fields[i].value);
}

struct buf exchange_take_body(struct exchange *exchange)
{
    return exchange->session ? client_take_body(exchange->session->client) : (struct buf){ 0 };
}

void exchange_reply(struct exchange *exchange, int status, struct headers *headers, const char *body, size_t length)
{
    struct session *session = exchange->session;

    if (!session || exchange->begun)
        return;
    add_own(exchange, headers);
    exchange->answered = true;
    exchange->status = status;
    detach(exchange);
    client_reply(session->client, status, headers, body, length);
}

static void make_own_ready(const struct exchange *exchange, struct buf *ready)
{
    reply_add_field(ready, "x-request-id", strlen("x-request-id"), exchange->id, strlen(exchange->id));
    for (size_t i = 0; i < exchange->always.count; i++) {
        const struct header *field = &exchange->always.fields[i];

        if (reply_may_name(field->name, strlen(field->name)))
            reply_add_field(ready, field->name, strlen(field->name), field->value, strlen(field->value));
    }
}

void exchange_answer(struct exchange *exchange, struct buf *ready, const char *body, size_t length)
{
    struct session *session = exchange->session;

    if (!session || exchange->begun)
        return;
    make_own_ready(exchange, ready);
    exchange->answered = true;
    exchange->status = 200;
    detach(exchange);
    client_answer(session->client, 200, ready, body, length);
}

void exchange_begin(struct exchange *exchange, int status, struct headers *headers)
{
    if (!exchange->session || exchange->begun)
        return;
    add_own(exchange, headers);
    exchange->begun = true;
    exchange->status = status;
    client_begin(exchange->session->client, status, headers);
}

void exchange_start(struct exchange *exchange, struct buf *ready)
{
    if (!exchange->session || exchange->begun)
        return;
    make_own_ready(exchange, ready);
    exchange->begun = true;
    exchange->status = 200;
    client_start(exchange->session->client, 200, ready);
}

bool exchange_write(struct exchange *exchange, const char *data, size_t length, void (*on_drained)(void *arg),
                    void *arg)
{
    if (!exchange->session || !exchange->begun || length == 0)
        return true;
    /* Set first: the caller may leave within the write. */
    exchange->on_drained = on_drained;
    exchange->drained_arg = arg;
    if (!client_write(exchange->session->client, data, length))
        return false;
    exchange->on_drained = NULL;
    return true;
}

static void on_room(void *arg)
{
    ((struct exchange *)arg)->full = false;
}

bool exchange_offer(struct exchange *exchange, const char *data, size_t length)
{
    if (exchange->full)
        return false;
    /* Set first: the caller may read within the write. */
    exchange->full = true;
    if (exchange_write(exchange, data, length, on_room, exchange))
        exchange->full = false;
    return true;
}

void exchange_forget(struct exchange *exchange)
{
    exchange->on_drained = NULL;
}

void exchange_finish(struct exchange *exchange)
{
    struct session *session = exchange->session;

    if (!session || !exchange->begun)
        return;
    exchange->answered = true;
    detach(exchange);
    client_finish(session->client);
}

void exchange_abort(struct exchange *exchange)
{
    struct session *session = exchange->session;

    if (!session)
        return;
    detach(exchange);
    client_abort(session->client);
}
