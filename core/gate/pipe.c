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

/* Behind the mark (a member's name in quotes), its colon and blanks: where the value begins; NULL if the mark is not
 * there. */
static const char *value_of(const char *data, const char *end, const char *mark)
{
    size_t length = strlen(mark);
    const char *at = length ? memmem(data, (size_t)(end - data), mark, length) : NULL;

    if (!at)
        return NULL;
    at += length;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ':'))
        at++;
    return at < end ? at : NULL;
}

/* Bytes of the string that begins at its quote. */
static int64_t string_bytes(const char *at, const char *end)
{
    const char *start = ++at;

    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at - start;
}

static void measure_text(struct pipe *pipe, const char *data, const char *end)
{
    for (int i = 0; i < 4 && pipe->marks.text[i][0]; i++) {
        const char *value = value_of(data, end, pipe->marks.text[i]);

        if (value && *value == '"')
            pipe->seen.text_bytes += string_bytes(value, end);
    }
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
    for (value++; value < end && (*value == ' ' || *value == '\n' || *value == '\r' || *value == '\t');)
        value++;
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
        value = value_of(data, end, pipe->marks.finish);
        if (value && *value == '"')
            pipe->seen.finished = true;
        value = value_of(data, end, pipe->marks.usage);
        if (value && *value == '{') {
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
