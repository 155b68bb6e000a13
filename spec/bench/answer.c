/*
 * answer.c - see answer.h.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 16384 };

void answer_reset(struct answer *answer)
{
    struct answer fresh = { .text = answer->text, .events = answer->events, .transit = answer->transit };

    buf_clear(&fresh.text);
    *answer = fresh;
}

static enum answer_state understand_head(struct answer *answer)
{
    const char *head = buf_text_of(&answer->text);
    const char *length = strcasestr(head, "\r\ncontent-length:");
    bool chunked = strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL;

    answer->status = (int)strtol(head + strlen("HTTP/1.1 "), NULL, 10);
    answer->keeps = strcasestr(head, "\r\nconnection: close") == NULL;
    answer->left = length ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    answer->part = chunked ? IN_SIZE : IN_BODY;
    buf_clear(&answer->text);
    if (!chunked && !length) {
        return ANSWER_BROKEN; /* a body up to the connection's end: no subject should do that */
    }
    return answer->part == IN_BODY && answer->left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}

/* Takes what belongs to the head. */
static enum answer_state read_head(struct answer *answer, const char *data, size_t length, size_t *used)
{
    size_t before = answer->text.length, from = before > 3 ? before - 3 : 0, whole;
    const char *stop;

    buf_add(&answer->text, data, length);
    stop = memmem(answer->text.data + from, answer->text.length - from, "\r\n\r\n", 4);
    if (!stop) {
        *used += length;
        return answer->text.length > HEAD_MAX ? ANSWER_BROKEN : ANSWER_MORE;
    }
    whole = (size_t)(stop - answer->text.data) + 4;
    *used += whole - before;
    answer->text.length = whole;
    return understand_head(answer);
}

static void read_event(struct answer *answer, int64_t now)
{
    const char *line = buf_text_of(&answer->text), *made;

    if (strncmp(line, "data: ", 6) != 0) {
        return;
    }
    answer->events++;
    answer->saw_done = answer->saw_done || strncmp(line + 6, "[DONE]", 6) == 0;
    made = strstr(line, "\"t@");
    if (made) {
        samples_add(answer->transit, now - strtoll(made + 3, NULL, 10));
    }
}

/* Takes the bytes of the body that are there; they may be cut anywhere. */
static void read_data(struct answer *answer, const char *data, size_t length, int64_t now, size_t *used)
{
    size_t taken = answer->left < length ? answer->left : length;
    const char *stop, *line = data;

    answer->has_begun = true;
    answer->left -= taken;
    *used += taken;
    if (!answer->transit) {
        return;
    }
    while ((stop = memchr(line, '\n', (size_t)(data + taken - line)))) {
        buf_add(&answer->text, line, (size_t)(stop - line));
        read_event(answer, now);
        buf_clear(&answer->text);
        line = stop + 1;
    }
    buf_add(&answer->text, line, (size_t)(data + taken - line));
}

static void begin_chunk(struct answer *answer)
{
    answer->part = answer->left > 0 ? IN_CHUNK : IN_TRAILER;
}

/* One byte of what stands between chunks. */
static enum answer_state read_frame(struct answer *answer, char c)
{
    switch (answer->part) {
    case IN_SIZE:
        if (c == '\n') {
            begin_chunk(answer);
        } else if (c == ';') {
            answer->part = IN_EXTENSION;
        } else if (c != '\r') {
            answer->left = answer->left * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
        break;
    case IN_EXTENSION:
        if (c == '\n') {
            begin_chunk(answer);
        }
        break;
    case AFTER_CHUNK:
        answer->part = c == '\n' ? IN_SIZE : AFTER_CHUNK;
        break;
    default: /* IN_TRAILER: an empty line ends it */
        if (c == '\n' && answer->left == 0) {
            return ANSWER_WHOLE;
        }
        answer->left = c == '\n' ? 0 : answer->left + (c != '\r');
    }
    return ANSWER_MORE;
}

enum answer_state answer_feed(struct answer *answer, const char *data, size_t length, int64_t now, size_t *used)
{
    enum answer_state state = ANSWER_MORE;

    for (*used = 0; *used < length && state == ANSWER_MORE;) {
        const char *rest = data + *used;

        if (answer->part == IN_HEAD) {
            state = read_head(answer, rest, length - *used, used);
        } else if (answer->part == IN_BODY) {
            read_data(answer, rest, length - *used, now, used);
            state = answer->left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
        } else if (answer->part == IN_CHUNK) {
            read_data(answer, rest, length - *used, now, used);
            answer->part = answer->left == 0 ? AFTER_CHUNK : IN_CHUNK;
        } else {
            state = read_frame(answer, *rest);
            *used += 1;
        }
    }
    return state;
}
