/*
 * exchange.h - one request and its answer: what joins a caller's connection to
 * the Lua task that serves it. It sees to it that every exchange ends once,
 * whatever the caller, the provider or the script does.
 */
#ifndef GATE_EXCHANGE_H
#define GATE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/id.h"

struct client;
struct client_request;
struct task;
struct tls;
struct worker;

struct session; /* a caller's connection */

struct exchange {
    struct session *session;       /* NULL: answered, or the caller left */
    void (*on_drained)(void *arg); /* who waits for the caller to read on */
    void *drained_arg;
    bool begun;    /* a streamed reply is under way */
    bool answered; /* the reply is whole */
    bool gone;     /* the caller left before that */
    bool private;  /* only local targets, from now on */
    bool full;     /* exchange_offer: what it took last is still on its way */
    int status;
    struct worker *worker;
    struct exchange *previous, *next;     /* of the worker */
    const struct client_request *request; /* valid while session is */
    struct task *task;
    void **handle;                   /* Lua's userdata: cleared when the exchange ends */
    char id[4 + ID_LENGTH + 1 + 96]; /* "req_...", or the caller's own */
    int64_t started_us;
    struct headers always; /* go with the reply, whatever it is */
};

/* Serves an accepted connection. */
void exchange_accept(struct worker *worker, int descriptor, struct tls *tls, const char *peer);
/* Draining: idle connections close, busy ones after their reply. */
void exchange_retire_all(struct worker *worker);
/* Another process takes over: each connection gets one more reply, and closes. */
void exchange_wind_down_all(struct worker *worker);
/* Cuts every connection at once; they are freed with the loop. */
void exchange_cut_all(struct worker *worker);
/* Cancels every task still at work (for the end of the process). */
void exchange_cancel_all(struct worker *worker, const char *reason);
/* Forgets those that not even that has ended; their tasks die with the Lua state, and are not told. */
void exchange_drop_all(struct worker *worker);

/* What the caller sent, for buf_free: once. */
struct buf exchange_take_body(struct exchange *exchange);
/* The reply; ignored once the caller has left. Headers gain x-request-id. */
void exchange_reply(struct exchange *exchange, int status, struct headers *headers, const char *body, size_t length);
/* The same with status 200, and fields that stand ready (see net/reply.h). */
void exchange_answer(struct exchange *exchange, struct buf *ready, const char *body, size_t length);
/* A reply that is written piece by piece. */
void exchange_begin(struct exchange *exchange, int status, struct headers *headers);
/* The same with status 200, and fields that stand ready. */
void exchange_start(struct exchange *exchange, struct buf *ready);
/* False: on_drained will be called when the caller has read enough; wait for it. */
bool exchange_write(struct exchange *exchange, const char *data, size_t length, void (*on_drained)(void *arg),
                    void *arg);
/* Never waits: false if the caller has not read yet what it was offered before; then nothing is taken. */
bool exchange_offer(struct exchange *exchange, const char *data, size_t length);
/* The writer no longer waits. */
void exchange_forget(struct exchange *exchange);
void exchange_finish(struct exchange *exchange);
/* Cuts a begun reply so that it is not taken for whole. */
void exchange_abort(struct exchange *exchange);

#endif
