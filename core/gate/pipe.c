/* pipe.c - see pipe.h. An event's bytes are only looked into for the marks, never parsed as a whole, but where a mark
 * is found. */
#include "gate/pipe.h"

#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "gate/exchange.h"
#include "net/sse.h"

enum { EVENT_DEPTH = 100 };

struct pipe {
    struct exchange *exchange;
    struct attempt_marks marks;
    struct attempt_piped seen;
    struct buf out;
    struct json_index index;
};

struct pipe *pipe_new(struct exchange *exchange, const struct attempt_marks *marks)
{
    struct pipe *pipe = mem_zero(sizeof *pipe);

    pipe->exchange = exchange;
    pipe->marks = *marks;
    return pipe;
}

void pipe_free(struct pipe *pipe)
{
    if (!pipe)
        return;
    buf_free(&pipe->seen.usage);
    buf_free(&pipe->seen.error);
    buf_free(&pipe->seen.terminal_raw);
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

static void measure_text(struct pipe *pipe, const char *data, const char *end)
{
    for (int i = 0; i < 4 && pipe->marks.text[i][0]; i++)
        for (const char *value = data; has_value(value, end, pipe->marks.text[i], '"', &value);)
            pipe->seen.text_bytes += string_bytes(value, end);
}

/* The mark may stand in a nested object; an error is one only at the top. */
static bool is_error(struct pipe *pipe, const char *data, size_t length)
{
    const char *mark = pipe->marks.error;
    struct json_fault fault;
    size_t node;

    if (!*mark || !memmem(data, length, mark, strlen(mark)))
        return false;
    if (!json_scan(data, length, EVENT_DEPTH, &pipe->index, &fault) || pipe->index.nodes[0].type != JSON_OBJECT)
        return false;
    node = json_member(data, &pipe->index, 0, mark + 1, strlen(mark) - 2);
    return node && pipe->index.nodes[node].type != JSON_NULL;
}

static bool is_hollow(const struct pipe *pipe, const char *data, const char *end)
{
    const char *value = value_of(data, end, pipe->marks.hollow);

    if (!value || *value != '[')
        return false;
    value = past_blanks(value + 1, end);
    return value < end && *value == ']';
}

bool pipe_event(struct pipe *pipe, const struct sse_event *event)
{
    const char *data = event->data, *end = data ? data + event->data_length : NULL, *value;
    size_t terminal = strlen(pipe->marks.terminal);

    if (pipe_is_over(pipe))
        return false;
    if (data && terminal && event->data_length == terminal && memcmp(data, pipe->marks.terminal, terminal) == 0) {
        pipe->seen.terminal = true;
        buf_add(&pipe->seen.terminal_raw, event->raw, event->raw_length);
        return false;
    }
    if (data) {
        pipe->seen.events++;
        if (is_error(pipe, data, event->data_length)) {
            pipe->seen.failed = true;
            buf_add(&pipe->seen.error, data, event->data_length);
            return false;
        }
        if (has_value(data, end, pipe->marks.finish, '"', &value))
            pipe->seen.finished = true;
        if (has_value(data, end, pipe->marks.usage, '{', &value)) {
            buf_clear(&pipe->seen.usage);
            buf_add(&pipe->seen.usage, data, event->data_length);
            if (pipe->marks.hide_usage && is_hollow(pipe, data, end))
                return true;
        }
        measure_text(pipe, data, end);
    }
    buf_add(&pipe->out, event->raw, event->raw_length);
    return true;
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

bool pipe_is_over(const struct pipe *pipe)
{
    return pipe->seen.terminal || pipe->seen.failed;
}

const struct attempt_piped *pipe_seen(const struct pipe *pipe)
{
    return &pipe->seen;
}
