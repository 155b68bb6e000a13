/* pipe.c - see pipe.h. An event's bytes are only looked into for signs, and parsed where a sign counts at the top
 * alone. */
#include "gate/pipe.h"

#include <stdint.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "gate/exchange.h"
#include "gate/signs.h"
#include "net/sse.h"

enum { EVENT_DEPTH = 100 };

struct pipe {
    struct exchange *exchange;
    struct signs_marks *signs;
    struct attempt_bound bound;
    bool bounded;
    bool in_run; /* the last line kept is a run of text that may go on */
    /* What goes out with the next flush: out, and behind it what stands in one piece where it came. */
    struct buf out;
    const char *run;
    size_t run_length;
    struct attempt_piped seen;
    struct {
        struct buf name, raw; /* of the event that waits; its data is in seen */
    } held;
    struct json_index index;
};

struct pipe *pipe_new(struct exchange *exchange, struct signs_marks *marks, const struct attempt_bound *bound)
{
    struct pipe *pipe = mem_zero(sizeof *pipe);

    pipe->exchange = exchange;
    pipe->signs = signs_hold(marks);
    pipe->bounded = bound != NULL;
    if (bound)
        pipe->bound = *bound;
    return pipe;
}

void pipe_free(struct pipe *pipe)
{
    if (!pipe)
        return;
    buf_free(&pipe->seen.usage);
    buf_free(&pipe->seen.error);
    buf_free(&pipe->seen.terminal_raw);
    buf_free(&pipe->seen.held);
    buf_free(&pipe->seen.kept);
    buf_free(&pipe->held.name);
    buf_free(&pipe->held.raw);
    buf_free(&pipe->out);
    json_index_free(&pipe->index);
    signs_drop(pipe->signs);
    mem_free(pipe);
}

/* The member at the top that the mark names, in its quotes; NULL if there is none. */
static const struct json_node *top_member(struct pipe *pipe, const struct sse_event *event, const char *mark)
{
    struct json_fault fault;
    size_t node;

    if (!json_scan(event->data, event->data_length, EVENT_DEPTH, &pipe->index, &fault) ||
        pipe->index.nodes[0].type != JSON_OBJECT)
        return NULL;
    node = json_member(event->data, &pipe->index, 0, mark + 1, strlen(mark) - 2);
    return node ? &pipe->index.nodes[node] : NULL;
}

static bool is_named(const struct sse_event *event, const char (*types)[32])
{
    for (int i = 0; event->name_length && i < 4 && types[i][0]; i++)
        if (strlen(types[i]) == event->name_length && memcmp(event->name, types[i], event->name_length) == 0)
            return true;
    return false;
}

/* Its member "type", which may stand in a nested object too, is at the top, and one of these. */
static bool is_of_types(struct pipe *pipe, const struct sse_event *event, const char (*types)[32])
{
    const struct json_node *node = top_member(pipe, event, "\"type\"");

    for (int i = 0; node && node->type == JSON_STRING && i < 4 && types[i][0]; i++)
        if (node->end - node->start == strlen(types[i]) + 2 &&
            memcmp(event->data + node->start + 1, types[i], strlen(types[i])) == 0)
            return true;
    return false;
}

/* The mark may stand in a nested object; an error is one only at the top. */
static bool is_error(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    const struct json_node *node;

    if (is_named(event, pipe->signs->marks.failed) ||
        (signs->maybe_failed && is_of_types(pipe, event, pipe->signs->marks.failed)))
        return true;
    node = signs->maybe_error ? top_member(pipe, event, pipe->signs->marks.error) : NULL;
    return node && node->type != JSON_NULL;
}

static bool is_last(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    const struct json_node *node;

    if (is_named(event, pipe->signs->marks.ends) ||
        (signs->maybe_ends && is_of_types(pipe, event, pipe->signs->marks.ends)))
        return true;
    node = signs->maybe_last ? top_member(pipe, event, pipe->signs->marks.last) : NULL;
    return node && node->type == JSON_TRUE;
}

static void end_run(struct pipe *pipe)
{
    if (pipe->in_run)
        buf_add(&pipe->seen.kept, "\"\n", 2);
    pipe->in_run = false;
}

/* Keeps an event's data, or only its text if it has one: that is most of a stream. A part of what went out is of no
 * use. */
static void keep(struct pipe *pipe, const struct sse_event *event, bool has_text)
{
    struct buf *kept = &pipe->seen.kept;

    if (pipe->seen.overfull)
        return;
    if (kept->length + event->data_length > ATTEMPT_KEPT_MAX) {
        pipe->seen.overfull = true;
        pipe->in_run = false;
        buf_free(kept);
        return;
    }
    if (!has_text) {
        end_run(pipe);
        buf_add(kept, event->data, event->data_length);
        buf_add_char(kept, '\n');
        return;
    }
    if (!pipe->in_run)
        buf_add_char(kept, '"');
    pipe->in_run = true;
    signs_add_text(pipe->signs, event->data, event->data_length, kept);
}

/* Picks out of an event what settling needs. False: it is not for the caller. */
static bool note(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    pipe->seen.finished |= signs->finish;
    if (signs->usage) {
        buf_clear(&pipe->seen.usage);
        buf_add(&pipe->seen.usage, event->data, event->data_length);
        if (pipe->signs->marks.hide_usage && signs->hollow)
            return false;
    }
    pipe->seen.text_bytes += signs->text_bytes;
    if (pipe->signs->marks.keep)
        keep(pipe, event, signs->text_bytes > 0);
    return true;
}

static bool is_terminal(const struct pipe *pipe, const struct sse_event *event)
{
    const char *terminal = pipe->signs->marks.terminal;
    size_t length = event->data_length;

    if (length == 0 || length >= sizeof pipe->signs->marks.terminal)
        return false;
    return length == strlen(terminal) && memcmp(event->data, terminal, length) == 0;
}

/* What comes behind it must not be glued to it. */
static void add_raw(struct buf *out, const struct sse_event *event)
{
    buf_add(out, event->raw, event->raw_length);
    buf_add(out, event->lacks, strlen(event->lacks));
}

static void gather(struct pipe *pipe)
{
    buf_add(&pipe->out, pipe->run, pipe->run_length);
    pipe->run_length = 0;
}

/* To the caller, with the next flush. */
static void pass_on(struct pipe *pipe, const struct sse_event *event)
{
    bool goes_on = pipe->run_length > 0 && (uintptr_t)pipe->run + pipe->run_length == (uintptr_t)event->raw;

    if (!goes_on) {
        gather(pipe);
        pipe->run = event->raw;
    }
    pipe->run_length += event->raw_length;
    if (*event->lacks) {
        gather(pipe);
        buf_add_text(&pipe->out, event->lacks);
    }
}

/* Whether its figures are beyond the bound. Those that come with an answer's end are not held against it: it has been
 * made by then. */
static bool tells_too_much(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    return !pipe->seen.finished && signs->tokens > pipe->bound.tokens && !signs->finish && !is_last(pipe, event, signs);
}

/* Whether an event is more than the bound allows. */
static bool is_beyond(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    int64_t bytes = signs->text_bytes;

    if (!pipe->bounded || !event->data)
        return false;
    if ((!bytes || pipe->seen.text_bytes + bytes <= pipe->bound.bytes) && !tells_too_much(pipe, event, signs))
        return false;
    return !is_error(pipe, event, signs);
}

static void hold(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    end_run(pipe);
    pipe->seen.spent = true;
    pipe->seen.held_bytes = signs->text_bytes;
    buf_add(&pipe->held.name, event->name, event->name_length);
    add_raw(&pipe->held.raw, event);
    buf_add(&pipe->seen.held, event->data, event->data_length);
}

/* Whether it can be an error or the last: nearly none can. */
static bool may_end(const struct sse_event *event, const struct signs *signs)
{
    return event->name_length || signs->maybe_error || signs->maybe_failed || signs->maybe_last || signs->maybe_ends;
}

static bool take(struct pipe *pipe, const struct sse_event *event, const struct signs *signs)
{
    if (!is_terminal(pipe, event)) {
        bool is_suspect = may_end(event, signs);

        if (event->data)
            pipe->seen.events++;
        if (is_suspect && is_error(pipe, event, signs)) {
            pipe->seen.failed = true;
            if (event->data)
                buf_add(&pipe->seen.error, event->data, event->data_length);
            return false;
        }
        if (event->data && !note(pipe, event, signs))
            return true;
        if (!is_suspect || !is_last(pipe, event, signs)) {
            pass_on(pipe, event);
            return true;
        }
    }
    pipe->seen.terminal = true;
    add_raw(&pipe->seen.terminal_raw, event);
    return false;
}

static struct signs signs_of(const struct pipe *pipe, const struct sse_event *event)
{
    return event->data ? signs_read(pipe->signs, event->data, event->data_length) : (struct signs){ 0 };
}

bool pipe_event(struct pipe *pipe, const struct sse_event *event)
{
    struct signs signs;

    if (pipe_is_over(pipe) || pipe->seen.spent)
        return false;
    signs = signs_of(pipe, event);
    if (!is_beyond(pipe, event, &signs))
        return take(pipe, event, &signs);
    hold(pipe, event, &signs);
    return false;
}

bool pipe_flush(struct pipe *pipe, void (*on_drained)(void *arg), void *arg)
{
    const char *data = pipe->run;
    size_t length = pipe->run_length;
    bool room;

    if (pipe->out.length > 0) {
        gather(pipe);
        data = pipe->out.data;
        length = pipe->out.length;
    }
    room = !pipe->exchange || exchange_write(pipe->exchange, data, length, on_drained, arg);
    pipe->run_length = 0;
    buf_free(&pipe->out); /* a stream is silent for most of its time */
    return room;
}

void pipe_detach(struct pipe *pipe)
{
    if (pipe->exchange)
        exchange_forget(pipe->exchange);
    pipe->exchange = NULL;
}

void pipe_go_on(struct pipe *pipe, struct exchange *exchange, const struct attempt_bound *bound)
{
    struct sse_event event = { .raw = pipe->held.raw.data,
                               .raw_length = pipe->held.raw.length,
                               .name = pipe->held.name.length ? pipe->held.name.data : "",
                               .name_length = pipe->held.name.length,
                               .data = pipe->seen.held.data,
                               .data_length = pipe->seen.held.length,
                               .lacks = "" };
    struct signs signs = signs_of(pipe, &event);

    pipe->exchange = exchange;
    pipe->bound = *bound;
    if (!pipe->seen.spent)
        return;
    pipe->seen.spent = false;
    take(pipe, &event, &signs);
    gather(pipe);
    pipe->seen.held_bytes = 0;
    buf_clear(&pipe->held.name);
    buf_clear(&pipe->held.raw);
    buf_clear(&pipe->seen.held);
}

bool pipe_is_over(const struct pipe *pipe)
{
    return pipe->seen.terminal || pipe->seen.failed;
}

bool pipe_is_spent(const struct pipe *pipe)
{
    return pipe->seen.spent;
}

const struct attempt_piped *pipe_seen(const struct pipe *pipe)
{
    return &pipe->seen;
}
