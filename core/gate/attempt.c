/*
 * attempt.c - see attempt.h. Bytes come in by the transfer's hooks; who waits
 * is told from the loop, never from inside a hook, because what it does next
 * (another call) is not allowed there.
 */
#include "gate/attempt.h"

#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "gate/exchange.h"
#include "gate/pipe.h"
#include "gate/worker.h"
#include "net/canned.h"
#include "net/loop.h"
#include "net/sse.h"
#include "net/upstream.h"

/* Unread bytes at which the provider is asked to wait. */
enum { PENDING_MAX = 64 * 1024 };
/* How long a closed one may still read its last bytes, in seconds. */
enum { LINGER_S = 1 };
/* As deep as an event's data may be where it breaks off. */
enum { HALF_DEPTH = 200 };

enum mode { MODE_HEAD, MODE_BODY, MODE_EVENTS, MODE_PIPE };

struct attempt {
    /* What a piece of a stream needs comes first: among many streams, the fewer lines of cache the better. */
    struct transfer *transfer; /* NULL once it ended */
    struct sse *sse;
    struct pipe *pipe;
    void (*on_ready)(void *arg);
    void *ready_arg;
    enum mode mode;
    bool over, paused, posted, closed, lingering, lines;
    struct {
        bool there, has_data;
        struct buf name, data, raw;
    } event;
    struct worker *worker;
    struct attempt *previous, *next; /* of the worker's lingering ones */
    int status;
    char *request_body; /* ours: the provider may answer, and Lua be done, before it has read all of it */
    struct headers headers;
    struct buf pending; /* came before anyone asked, or behind an event not taken yet */
    struct buf body;
    const char *failure; /* static text */
    char *message;
    struct loop_timer *deadline, *content, *linger;
};

static void leave_lingering(struct attempt *attempt)
{
    if (!attempt->lingering)
        return;
    loop_forget(attempt->linger);
    if (attempt->previous)
        attempt->previous->next = attempt->next;
    else
        attempt->worker->lingering = attempt->next;
    if (attempt->next)
        attempt->next->previous = attempt->previous;
}

static void free_attempt(struct attempt *attempt)
{
    leave_lingering(attempt);
    loop_forget(attempt->deadline);
    loop_forget(attempt->content);
    headers_free(&attempt->headers);
    buf_free(&attempt->pending);
    buf_free(&attempt->body);
    buf_free(&attempt->event.name);
    buf_free(&attempt->event.data);
    buf_free(&attempt->event.raw);
    sse_free(attempt->sse);
    pipe_free(attempt->pipe);
    mem_free(attempt->request_body);
    mem_free(attempt->message);
    mem_free(attempt);
}

static bool is_ready(struct attempt *attempt)
{
    if (attempt->over)
        return true;
    switch (attempt->mode) {
    case MODE_HEAD:
        return attempt->status != 0;
    case MODE_BODY:
        return false;
    case MODE_EVENTS:
        return attempt->event.there;
    case MODE_PIPE:
        return pipe_is_over(attempt->pipe) || pipe_is_spent(attempt->pipe);
    }
    return true;
}

/* Whether an event waits to be taken; nothing behind it is read. */
static bool has_event(const struct attempt *attempt)
{
    return attempt->event.there || (attempt->pipe && pipe_is_spent(attempt->pipe));
}

static void on_posted(void *arg)
{
    struct attempt *attempt = arg;
    void (*on_ready)(void *) = attempt->on_ready;

    attempt->posted = false;
    if (attempt->closed) {
        if (!attempt->transfer)
            free_attempt(attempt);
        return;
    }
    if (!on_ready || !is_ready(attempt))
        return;
    attempt->on_ready = NULL;
    on_ready(attempt->ready_arg);
}

static void tell(struct attempt *attempt)
{
    if (attempt->posted || !attempt->on_ready || !is_ready(attempt))
        return;
    attempt->posted = true;
    loop_post(attempt->worker->loop, on_posted, attempt);
}

static void finish(struct attempt *attempt, const char *failure, const char *message)
{
    if (attempt->over)
        return;
    attempt->over = true;
    attempt->failure = failure;
    mem_free(attempt->message);
    attempt->message = mem_text(message);
    if (attempt->transfer)
        transfer_cancel(attempt->transfer);
    attempt->transfer = NULL;
    tell(attempt);
}

static void on_deadline(void *arg)
{
    struct attempt *attempt = arg;

    attempt->deadline = NULL;
    finish(attempt, "total_timeout", "the time for the whole request is used up");
}

static void on_no_content(void *arg)
{
    struct attempt *attempt = arg;

    attempt->content = NULL;
    finish(attempt, "first_content_timeout", "no content came in time");
}

/* Whether the stream ended in the middle of an event's data: what is there of it says nothing. */
static bool is_half(const struct sse_event *event)
{
    const char *data = event->data;
    struct json_index index = { 0 };
    struct json_fault fault;
    bool whole;

    if (!*event->lacks)
        return false;
    if (!data || !event->data_length)
        return true;
    if (*data != '{')
        return *data == '[' && data[event->data_length - 1] != ']';
    whole = json_scan(data, event->data_length, HALF_DEPTH, &index, &fault);
    json_index_free(&index);
    return !whole;
}

static bool on_event(void *arg, const struct sse_event *event)
{
    struct attempt *attempt = arg;

    if (is_half(event))
        return true;
    buf_clear(&attempt->event.name);
    buf_clear(&attempt->event.data);
    buf_clear(&attempt->event.raw);
    buf_add(&attempt->event.name, event->name, event->name_length);
    if (event->data)
        buf_add(&attempt->event.data, event->data, event->data_length);
    buf_add(&attempt->event.raw, event->raw, event->raw_length);
    buf_add(&attempt->event.raw, event->lacks, strlen(event->lacks));
    attempt->event.has_data = event->data != NULL;
    attempt->event.there = true;
    return false;
}

static bool on_piped_event(void *arg, const struct sse_event *event)
{
    struct attempt *attempt = arg;

    return is_half(event) || pipe_event(attempt->pipe, event);
}

static void on_caller_drained(void *arg)
{
    struct attempt *attempt = arg;

    attempt->paused = false;
    if (attempt->transfer)
        transfer_resume(attempt->transfer);
}

/* What is read of a reply that has ended well can still be wrong. */
static void fail(struct attempt *attempt, const char *failure, const char *message)
{
    if (!attempt->failure)
        attempt->over = false;
    finish(attempt, failure, message);
}

/* Hands bytes to the stream's reader. last: nothing comes behind them. */
static void read_stream(struct attempt *attempt, const char *data, size_t length, bool last)
{
    bool (*reader)(void *, const struct sse_event *) = attempt->mode == MODE_PIPE ? on_piped_event : on_event;
    bool readable = sse_push(attempt->sse, data, length, reader, attempt);

    if (readable && last && !has_event(attempt))
        sse_finish(attempt->sse, reader, attempt);
    if (attempt->mode == MODE_PIPE) {
        if (!pipe_flush(attempt->pipe, on_caller_drained, attempt) && !attempt->paused && attempt->transfer) {
            attempt->paused = true;
            transfer_pause(attempt->transfer);
        }
        sse_rest(attempt->sse);
    }
    if (!readable)
        fail(attempt, "malformed", "a stream event is larger than the gateway accepts");
}

static void keep(struct attempt *attempt, const char *data, size_t length)
{
    buf_add(&attempt->pending, data, length);
    if (attempt->pending.length > PENDING_MAX && !attempt->paused && attempt->transfer) {
        attempt->paused = true;
        transfer_pause(attempt->transfer);
    }
}

static void on_sent(void *arg)
{
    struct attempt *attempt = arg;

    mem_free(attempt->request_body);
    attempt->request_body = NULL;
}

static void on_head(void *arg, int status, struct headers *headers)
{
    struct attempt *attempt = arg;

    if (attempt->closed)
        return;
    attempt->status = status;
    attempt->headers = *headers;
    *headers = (struct headers){ 0 };
    tell(attempt);
}

static void on_data(void *arg, const char *data, size_t length)
{
    struct attempt *attempt = arg;

    if (attempt->over || attempt->closed)
        return;
    if (attempt->mode == MODE_BODY) {
        buf_add(&attempt->body, data, length);
        if (attempt->body.length > ATTEMPT_BODY_MAX)
            finish(attempt, "malformed", "the reply is larger than the gateway accepts");
    } else if ((attempt->mode == MODE_PIPE || attempt->mode == MODE_EVENTS) && !has_event(attempt)) {
        read_stream(attempt, data, length, false);
    } else {
        keep(attempt, data, length);
    }
    tell(attempt);
}

static void on_end(void *arg, enum transfer_end end, const char *message)
{
    struct attempt *attempt = arg;

    attempt->transfer = NULL;
    if (attempt->closed) {
        if (!attempt->posted)
            free_attempt(attempt);
        return;
    }
    /* What is still unread ends the stream; behind an event not taken yet it is read when it is asked for. */
    if (end == TRANSFER_DONE && attempt->sse && !has_event(attempt))
        read_stream(attempt, "", 0, true);
    finish(attempt, end == TRANSFER_DONE ? NULL : transfer_end_name(end), message);
}

static const struct transfer_hooks hooks = {
    .on_sent = on_sent, .on_head = on_head, .on_data = on_data, .on_end = on_end
};

static struct attempt *new_attempt(struct worker *worker, double deadline_s, double content_s)
{
    struct attempt *attempt = mem_zero(sizeof *attempt);

    attempt->worker = worker;
    attempt->deadline = loop_after(worker->loop, deadline_s, on_deadline, attempt);
    if (content_s > 0)
        attempt->content = loop_after(worker->loop, content_s, on_no_content, attempt);
    return attempt;
}

struct attempt *attempt_send(struct worker *worker, const struct upstream_request *request, char *body,
                             double deadline_s, double content_s)
{
    struct attempt *attempt = new_attempt(worker, deadline_s, content_s);
    struct upstream_request own = *request;
    struct transfer *transfer;

    own.is_stream = content_s > 0; /* nothing else waits for content */
    own.body = attempt->request_body = body;
    transfer = upstream_send(worker->upstream, &own, &hooks, attempt);
    if (!attempt->over)
        attempt->transfer = transfer;
    return attempt;
}

struct attempt *attempt_play(struct worker *worker, struct canned_reply *reply, double deadline_s, double content_s)
{
    struct attempt *attempt = new_attempt(worker, deadline_s, content_s);

    attempt->transfer = canned_play(worker->loop, reply, &hooks, attempt);
    return attempt;
}

void attempt_lines(struct attempt *attempt)
{
    attempt->lines = true;
}

static void end(struct attempt *attempt)
{
    if (attempt->transfer)
        transfer_cancel(attempt->transfer);
    attempt->transfer = NULL;
    if (!attempt->posted)
        free_attempt(attempt);
}

static void on_lingered(void *arg)
{
    struct attempt *attempt = arg;

    attempt->linger = NULL;
    end(attempt);
}

static void start_lingering(struct attempt *attempt)
{
    struct worker *worker = attempt->worker;

    attempt->lingering = true;
    attempt->next = worker->lingering;
    if (attempt->next)
        attempt->next->previous = attempt;
    worker->lingering = attempt;
    attempt->linger = loop_after(worker->loop, LINGER_S, on_lingered, attempt);
    if (attempt->paused)
        transfer_resume(attempt->transfer);
}

void attempt_close(struct attempt *attempt, bool nearly_over)
{
    attempt->closed = true;
    attempt->on_ready = NULL;
    if (!attempt->transfer || !nearly_over) {
        end(attempt);
        return;
    }
    loop_forget(attempt->deadline);
    loop_forget(attempt->content);
    attempt->deadline = attempt->content = NULL;
    start_lingering(attempt);
}

void attempt_drop_all(struct worker *worker)
{
    struct attempt *next;

    for (struct attempt *attempt = worker->lingering; attempt; attempt = next) {
        next = attempt->next;
        end(attempt);
    }
}

static bool await(struct attempt *attempt, void (*on_ready)(void *arg), void *arg)
{
    if (is_ready(attempt))
        return true;
    attempt->on_ready = on_ready;
    attempt->ready_arg = arg;
    return false;
}

static void resume(struct attempt *attempt)
{
    if (!attempt->paused || !attempt->transfer)
        return;
    attempt->paused = false;
    transfer_resume(attempt->transfer);
}

bool attempt_await_head(struct attempt *attempt, void (*on_ready)(void *arg), void *arg)
{
    return await(attempt, on_ready, arg);
}

bool attempt_await_body(struct attempt *attempt, void (*on_ready)(void *arg), void *arg)
{
    if (attempt->mode == MODE_HEAD) {
        attempt->mode = MODE_BODY;
        attempt->body = attempt->pending;
        attempt->pending = (struct buf){ 0 };
        resume(attempt);
    }
    return await(attempt, on_ready, arg);
}

/* Reads on in what has come already: what the reader holds first, so that it never holds more than one round's. */
static void read_on(struct attempt *attempt)
{
    struct buf pending;

    read_stream(attempt, "", 0, false);
    if (has_event(attempt))
        return;
    pending = attempt->pending;
    attempt->pending = (struct buf){ 0 };
    read_stream(attempt, pending.data, pending.length, attempt->over && !attempt->failure);
    buf_free(&pending);
    resume(attempt);
}

static void open_reader(struct attempt *attempt)
{
    if (attempt->sse)
        return;
    attempt->sse = sse_new(ATTEMPT_EVENT_MAX);
    if (attempt->lines)
        sse_lines(attempt->sse);
}

bool attempt_await_event(struct attempt *attempt, void (*on_ready)(void *arg), void *arg)
{
    if (attempt->mode == MODE_HEAD) {
        attempt->mode = MODE_EVENTS;
        open_reader(attempt);
    }
    attempt->event.there = false;
    if (attempt->mode == MODE_EVENTS)
        read_on(attempt);
    else if (attempt->mode == MODE_BODY)
        return true; /* it was read as a whole: there are no events */
    return await(attempt, on_ready, arg);
}

bool attempt_await_pipe(struct attempt *attempt, void (*on_ready)(void *arg), void *arg)
{
    return await(attempt, on_ready, arg);
}

void attempt_forget(struct attempt *attempt)
{
    attempt->on_ready = NULL;
}

void attempt_content(struct attempt *attempt)
{
    loop_forget(attempt->content);
    attempt->content = NULL;
}

void attempt_pipe(struct attempt *attempt, struct exchange *exchange, struct signs_marks *marks,
                  const struct attempt_bound *bound)
{
    attempt_content(attempt);
    open_reader(attempt);
    attempt->mode = MODE_PIPE;
    attempt->event.there = false;
    attempt->pipe = pipe_new(exchange, marks, bound);
    read_on(attempt);
}

void attempt_pipe_on(struct attempt *attempt, struct exchange *exchange, const struct attempt_bound *bound)
{
    pipe_go_on(attempt->pipe, exchange, bound);
    read_on(attempt);
}

void attempt_unpipe(struct attempt *attempt)
{
    attempt->on_ready = NULL;
    pipe_detach(attempt->pipe);
}

const char *attempt_failure(const struct attempt *attempt)
{
    return attempt->failure;
}

const char *attempt_message(const struct attempt *attempt)
{
    return attempt->message ? attempt->message : "";
}

bool attempt_is_over(const struct attempt *attempt)
{
    return attempt->over;
}

int attempt_status(const struct attempt *attempt)
{
    return attempt->status;
}

const struct headers *attempt_headers(const struct attempt *attempt)
{
    return &attempt->headers;
}

const struct buf *attempt_body(const struct attempt *attempt)
{
    return &attempt->body;
}

bool attempt_event(struct attempt *attempt, const char **name, size_t *name_length, const char **data,
                   size_t *data_length, const char **raw, size_t *raw_length)
{
    if (!attempt->event.there)
        return false;
    *name = attempt->event.name.data;
    *name_length = attempt->event.name.length;
    *data = attempt->event.has_data ? attempt->event.data.data : NULL;
    *data_length = attempt->event.data.length;
    *raw = attempt->event.raw.data;
    *raw_length = attempt->event.raw.length;
    return true;
}

const struct attempt_piped *attempt_piped(const struct attempt *attempt)
{
    return attempt->pipe ? pipe_seen(attempt->pipe) : NULL;
}
