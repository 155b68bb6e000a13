/* pipe.c - see pipe.h. An event's bytes are only looked into for the marks, never parsed as a whole, but where a mark
 * is found. */
#include "gate/pipe.h"

#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "gate/exchange.h"
#include "net/sse.h"

enum { EVENT_DEPTH = 100 };
/* Past any count of tokens. */
static const int64_t COUNT_MAX = INT64_C(1000000000000);

struct pipe {
    struct exchange *exchange;
    struct attempt_marks marks;
    struct attempt_bound bound;
    bool bounded;
    bool in_run; /* the last line kept is a run of text that may go on */
    struct attempt_piped seen;
    struct {
        struct buf name, raw; /* of the event that waits; its data is in seen */
    } held;
    struct buf out;
    struct json_index index;
};

struct pipe *pipe_new(struct exchange *exchange, const struct attempt_marks *marks, const struct attempt_bound *bound)
{
    struct pipe *pipe = mem_zero(sizeof *pipe);

    pipe->exchange = exchange;
    pipe->marks = *marks;
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
    mem_free(pipe);
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/*
 * Where the value of the next member of that name (the mark: the name in quotes) begins; NULL if there is none. What
 * stands in a string is none: its quotes are escaped; nor is a string that reads like the mark: no colon follows.
 */
static const char *value_of(const char *data, const char *end, const char *mark)
{
    size_t length = strlen(mark);
    const char *at = data;

    while (length && at < end && (at = memmem(at, (size_t)(end - at), mark, length))) {
        bool escaped = at > data && at[-1] == '\\';

        at = past_blanks(at + length, end);
        if (at == end || *at != ':' || escaped)
            continue;
        at = past_blanks(at + 1, end);
        return at < end ? at : NULL;
    }
    return NULL;
}

/* True if a member of that name has a value that begins so; `at` is set to it. Other members may bear the name too. */
static bool has_value(const char *data, const char *end, const char *mark, char first, const char **at)
{
    for (*at = data; (*at = value_of(*at, end, mark));)
        if (**at == first)
            return true;
    return false;
}

/* Bytes of the string that begins at its quote. */
static int64_t string_bytes(const char *at, const char *end)
{
    const char *start = ++at;

    while (at < end && *at != '"')
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    return at - start;
}

/* Bytes of what the model wrote in it. */
static int64_t text_bytes(const struct pipe *pipe, const struct sse_event *event)
{
    const char *data = event->data, *end = data + event->data_length;
    int64_t sum = 0;

    if (!data)
        return 0;
    for (int i = 0; i < 4 && pipe->marks.text[i][0]; i++)
        for (const char *value = data; has_value(value, end, pipe->marks.text[i], '"', &value);)
            sum += string_bytes(value, end);
    return sum;
}

/* Usage is an object, or figures beside it (then the mark may be one of them, or what is true where they are). */
static bool tells_usage(const struct pipe *pipe, const char *data, const char *end)
{
    for (const char *at = data; (at = value_of(at, end, pipe->marks.usage));)
        if (*at == '{' || *at == 't' || (*at >= '0' && *at <= '9'))
            return true;
    return false;
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

/* An event's type is its name, or its member at the top; only what has the word somewhere is scanned. */
static bool is_of_type(struct pipe *pipe, const struct sse_event *event, const char *type)
{
    size_t length = strlen(type);
    char quoted[40];
    const struct json_node *node;

    if (event->name_length == length && memcmp(event->name, type, length) == 0)
        return true;
    snprintf(quoted, sizeof quoted, "\"%s\"", type);
    length += 2;
    if (!event->data || !memmem(event->data, event->data_length, quoted, length))
        return false;
    node = top_member(pipe, event, "\"type\"");
    return node && node->end - node->start == length && memcmp(event->data + node->start, quoted, length) == 0;
}

static bool is_of_types(struct pipe *pipe, const struct sse_event *event, char (*types)[32])
{
    for (int i = 0; i < 4 && types[i][0]; i++)
        if (is_of_type(pipe, event, types[i]))
            return true;
    return false;
}

/* The mark may stand in a nested object; an error is one only at the top. */
static bool is_error(struct pipe *pipe, const struct sse_event *event)
{
    const char *mark = pipe->marks.error;
    const struct json_node *node;

    if (is_of_types(pipe, event, pipe->marks.failed))
        return true;
    if (!*mark || !event->data || !memmem(event->data, event->data_length, mark, strlen(mark)))
        return false;
    node = top_member(pipe, event, mark);
    return node && node->type != JSON_NULL;
}

static bool is_last(struct pipe *pipe, const struct sse_event *event)
{
    const char *data = event->data, *value, *mark = pipe->marks.last;
    const struct json_node *node;

    if (is_of_types(pipe, event, pipe->marks.ends))
        return true;
    if (!*mark || !data || !has_value(data, data + event->data_length, mark, 't', &value))
        return false;
    node = top_member(pipe, event, mark);
    return node && node->type == JSON_TRUE;
}

static bool is_hollow(const struct pipe *pipe, const char *data, const char *end)
{
    const char *value = value_of(data, end, pipe->marks.hollow);

    if (!value || *value != '[')
        return false;
    value = past_blanks(value + 1, end);
    return value < end && *value == ']';
}

static void end_run(struct pipe *pipe)
{
    if (pipe->in_run)
        buf_add(&pipe->seen.kept, "\"\n", 2);
    pipe->in_run = false;
}

/* Keeps an event's data, or only its text if it has one: that is most of a stream. */
static void keep(struct pipe *pipe, const struct sse_event *event, bool has_text)
{
    const char *data = event->data, *end = data + event->data_length;
    struct buf *kept = &pipe->seen.kept;

    if (!has_text) {
        end_run(pipe);
        buf_add(kept, data, event->data_length);
        buf_add_char(kept, '\n');
        return;
    }
    if (!pipe->in_run)
        buf_add_char(kept, '"');
    pipe->in_run = true;
    for (int i = 0; i < 4 && pipe->marks.text[i][0]; i++)
        for (const char *value = data; has_value(value, end, pipe->marks.text[i], '"', &value);)
            buf_add(kept, value + 1, (size_t)string_bytes(value, end));
}

/* Picks out of an event what settling needs. False: it is not for the caller. */
static bool note(struct pipe *pipe, const struct sse_event *event, int64_t bytes)
{
    const char *data = event->data, *end = data + event->data_length, *value;

    if (has_value(data, end, pipe->marks.finish, '"', &value))
        pipe->seen.finished = true;
    if (tells_usage(pipe, data, end)) {
        buf_clear(&pipe->seen.usage);
        buf_add(&pipe->seen.usage, data, event->data_length);
        if (pipe->marks.hide_usage && is_hollow(pipe, data, end))
            return false;
    }
    pipe->seen.text_bytes += bytes;
    if (pipe->marks.keep)
        keep(pipe, event, bytes > 0);
    return true;
}

static bool is_terminal(const struct pipe *pipe, const struct sse_event *event)
{
    size_t length = strlen(pipe->marks.terminal);

    return length && event->data && event->data_length == length &&
           memcmp(event->data, pipe->marks.terminal, length) == 0;
}

/* What comes behind it must not be glued to it. */
static void add_raw(struct buf *out, const struct sse_event *event)
{
    buf_add(out, event->raw, event->raw_length);
    buf_add(out, event->lacks, strlen(event->lacks));
}

/* What the provider says the answer has used so far; 0: it does not say. */
static int64_t count_in(const struct pipe *pipe, const char *data, const char *end)
{
    int64_t sum = 0;

    for (int i = 0; i < 4 && pipe->marks.counts[i][0]; i++) {
        const char *value = value_of(data, end, pipe->marks.counts[i]);
        int64_t count = 0;

        for (; value && value < end && *value >= '0' && *value <= '9' && count < COUNT_MAX; value++)
            count = count * 10 + (*value - '0');
        sum += count;
    }
    return sum;
}

/* Figures that come with an answer's end are not held against it: it has been made by then. */
static bool tells_too_much(struct pipe *pipe, const struct sse_event *event)
{
    const char *data = event->data, *end = data + event->data_length, *value;

    return !pipe->seen.finished && count_in(pipe, data, end) > pipe->bound.tokens &&
           !has_value(data, end, pipe->marks.finish, '"', &value) && !is_last(pipe, event);
}

/* Whether an event with so many bytes of text is more than the bound allows. */
static bool is_beyond(struct pipe *pipe, const struct sse_event *event, int64_t bytes)
{
    if (!pipe->bounded || !event->data)
        return false;
    if ((!bytes || pipe->seen.text_bytes + bytes <= pipe->bound.bytes) && !tells_too_much(pipe, event))
        return false;
    return !is_error(pipe, event);
}

static void hold(struct pipe *pipe, const struct sse_event *event, int64_t bytes)
{
    end_run(pipe);
    pipe->seen.spent = true;
    pipe->seen.held_bytes = bytes;
    buf_add(&pipe->held.name, event->name, event->name_length);
    add_raw(&pipe->held.raw, event);
    buf_add(&pipe->seen.held, event->data, event->data_length);
}

static bool take(struct pipe *pipe, const struct sse_event *event, int64_t bytes)
{
    if (!is_terminal(pipe, event)) {
        if (event->data)
            pipe->seen.events++;
        if (is_error(pipe, event)) {
            pipe->seen.failed = true;
            if (event->data)
                buf_add(&pipe->seen.error, event->data, event->data_length);
            return false;
        }
        if (event->data && !note(pipe, event, bytes))
            return true;
        if (!is_last(pipe, event)) {
            add_raw(&pipe->out, event);
            return true;
        }
    }
    pipe->seen.terminal = true;
    add_raw(&pipe->seen.terminal_raw, event);
    return false;
}

bool pipe_event(struct pipe *pipe, const struct sse_event *event)
{
    int64_t bytes;

    if (pipe_is_over(pipe) || pipe->seen.spent)
        return false;
    bytes = text_bytes(pipe, event);
    if (!is_beyond(pipe, event, bytes))
        return take(pipe, event, bytes);
    hold(pipe, event, bytes);
    return false;
}

bool pipe_flush(struct pipe *pipe, void (*on_drained)(void *arg), void *arg)
{
    bool room = !pipe->exchange || exchange_write(pipe->exchange, pipe->out.data, pipe->out.length, on_drained, arg);

    buf_clear(&pipe->out);
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

    pipe->exchange = exchange;
    pipe->bound = *bound;
    if (!pipe->seen.spent)
        return;
    pipe->seen.spent = false;
    take(pipe, &event, pipe->seen.held_bytes);
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
