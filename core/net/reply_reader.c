/*
 * reply_reader.c - see reply_reader.h. A head is first scanned up to its blank
 * line, then parsed in one piece, so that names and values never are in two. A
 * body goes through the parser as it comes. Of a usual head and the body behind
 * it the parser sees nothing: spec/fuzz/reply.c holds both ways against each other.
 */
#include "net/reply_reader.h"

#include <llhttp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/mem.h"
#include "net/usual_head.h"

/* HEAD_BYTES bounds all heads of a reply together, and what comes in a row that is neither head nor body. */
enum { HEAD_BYTES = 256 * 1024, HEAD_FIELDS = 512 };

static const char beginning[] = "HTTP/";
static const char not_http[] = "the reply is not valid HTTP";
static const char too_large[] = "the reply's head is larger than any should be";

/* SIZED: the body behind a usual head. */
enum part { PART_HEAD, PART_BODY, PART_SIZED, PART_WHOLE };

struct span {
    const char *at;
    size_t length;
};

struct reply_reader {
    const struct reply_reader_hooks *hooks;
    void *arg;
    llhttp_t parser;
    enum part part;
    bool is_head, keeps, stopped, announced;
    bool moved;        /* some of the body came */
    size_t bare_bytes; /* read since then */
    uint64_t awaited;  /* of a sized body */
    const char *fault;
    /* scanning a head */
    struct buf head; /* what came before, if it did not come in one piece */
    size_t line_length, begun, head_bytes;
    bool line_is_cr; /* ... as far as it has come */
    /* parsing */
    struct headers fields;
    struct span name, value;
    bool folded;
    char sentence[96]; /* a fault with the parser's words in it */
};

static int refuse(struct reply_reader *reader, const char *fault)
{
    if (!reader->fault)
        reader->fault = fault;
    return -1;
}

/* Returns how many bytes belong to the head; done tells that it is whole. */
static size_t scan(struct reply_reader *reader, const char *data, size_t length, bool *done)
{
    size_t i = 0;

    *done = false;
    for (; reader->begun < sizeof beginning - 1 && reader->begun < reader->head.length + length; reader->begun++)
        if (data[reader->begun - reader->head.length] != beginning[reader->begun]) {
            refuse(reader, not_http);
            return length;
        }
    while (i < length && !*done) {
        const char *feed = memchr(data + i, '\n', length - i);
        size_t taken = feed ? (size_t)(feed - data) - i : length - i;

        if (taken > 0) {
            reader->line_is_cr = reader->line_length == 0 && taken == 1 && data[i] == '\r';
            reader->line_length += taken;
        }
        i += taken + (feed != NULL);
        if (!feed)
            break;
        *done = reader->line_length == 0 || reader->line_is_cr;
        reader->line_length = 0;
        reader->line_is_cr = false;
    }
    reader->head_bytes += i;
    if (reader->head_bytes > HEAD_BYTES)
        refuse(reader, too_large);
    return i;
}

static int on_name(llhttp_t *parser, const char *at, size_t length)
{
    struct reply_reader *reader = parser->data;

    reader->name = (struct span){ at, length };
    reader->value = (struct span){ NULL, 0 };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    struct reply_reader *reader = parser->data;

    reader->folded = reader->folded || reader->value.at;
    reader->value = (struct span){ at, length };
    return 0;
}

static int on_field(llhttp_t *parser)
{
    struct reply_reader *reader = parser->data;
    struct span name = reader->name, value = reader->value;

    if (reader->part != PART_HEAD) /* a trailer's */
        return 0;
    if (reader->folded)
        return refuse(reader, "the reply has a header field that goes on in the next line, which no longer is HTTP");
    if (name.length == 0) /* that it is a word is the parser's to see to */
        return refuse(reader, not_http);
    if (reader->fields.count >= HEAD_FIELDS)
        return refuse(reader, too_large);
    while (value.length && (value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
        value.length--;
    if (!headers_is_clean(value.at, value.length))
        return 0;
    headers_add_bytes(&reader->fields, name.at, name.length, value.length ? value.at : "", value.length);
    return 0;
}

static bool is_interim(const llhttp_t *parser)
{
    return parser->status_code < 200;
}

/* The parser takes any last coding but chunked for a body that lasts until the close. */
static bool is_chunked_alone(const struct reply_reader *reader)
{
    return headers_count(&reader->fields, "transfer-encoding") == 1 &&
           strcasecmp(headers_get(&reader->fields, "transfer-encoding"), "chunked") == 0;
}

static int on_head(llhttp_t *parser)
{
    struct reply_reader *reader = parser->data;
    bool has_coding = (parser->flags & (F_TRANSFER_ENCODING | F_CHUNKED)) != 0;

    if (parser->http_major != 1 || parser->http_minor > 1 || parser->status_code < 100)
        return refuse(reader, not_http);
    if (parser->status_code == 101)
        return refuse(reader, "the reply switches to another protocol, which nobody asked for");
    if (has_coding && (parser->flags & F_CONTENT_LENGTH))
        return refuse(reader, "the reply has both a content-length and a transfer-encoding");
    if (has_coding && !is_chunked_alone(reader))
        return refuse(reader, "the reply has another transfer-encoding than chunked");
    reader->part = PART_BODY;
    /* To the parser a length would be a body's even here. */
    return reader->is_head || is_interim(parser) || parser->status_code == 204 || parser->status_code == 304;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct reply_reader *reader = parser->data;

    if (!reader->announced) /* it should have come behind the head's last byte */
        return refuse(reader, not_http);
    reader->moved = true;
    if (reader->hooks->on_body(reader->arg, at, length))
        return 0;
    reader->stopped = true;
    return -1;
}

static int on_whole(llhttp_t *parser)
{
    struct reply_reader *reader = parser->data;

    reader->part = PART_WHOLE;
    reader->keeps = llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_field,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_whole,
};

/* Parses on and returns how many bytes were used. */
static size_t parse(struct reply_reader *reader, const char *data, size_t length)
{
    llhttp_errno_t outcome = llhttp_execute(&reader->parser, data, length);

    if (outcome == HPE_OK)
        return length;
    if (outcome == HPE_PAUSED)
        return (size_t)(llhttp_get_error_pos(&reader->parser) - data);
    if (!reader->fault && !reader->stopped) {
        snprintf(reader->sentence, sizeof reader->sentence, "%s: %s", not_http,
                 llhttp_get_error_reason(&reader->parser));
        refuse(reader, reader->sentence);
    }
    return length;
}

static void announce(struct reply_reader *reader, int status)
{
    reader->announced = true;
    if (!reader->hooks->on_head(reader->arg, status, &reader->fields))
        reader->stopped = true;
    headers_free(&reader->fields);
}

static void parse_head(struct reply_reader *reader, const char *head, size_t length)
{
    size_t used;

    llhttp_init(&reader->parser, HTTP_RESPONSE, &settings);
    reader->parser.data = reader;
    used = parse(reader, head, length);
    if (!reader->fault && (reader->part == PART_HEAD || used < length))
        refuse(reader, not_http);
    if (reader->fault)
        return;
    if (is_interim(&reader->parser)) {
        headers_free(&reader->fields);
        reader->part = PART_HEAD;
        reader->begun = 0;
        return;
    }
    announce(reader, reader->parser.status_code);
}

/* The status of a line of HTTP/1.1 that has a reason, and a body behind its head; 0: it is none. */
static int usual_status(const char *line, size_t length)
{
    static const char version[] = "HTTP/1.1 ";
    const char *digits = line + sizeof version - 1;
    int status = 0;

    if (length < sizeof "HTTP/1.1 200 " - 1 || memcmp(line, version, sizeof version - 1) != 0 || digits[3] != ' ' ||
        !headers_is_clean(line, length))
        return 0;
    for (int i = 0; i < 3; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return 0;
        status = status * 10 + (digits[i] - '0');
    }
    return status < 200 || status == 204 || status == 304 ? 0 : status;
}

/* Reads a usual head that came in one piece, and returns its bytes; 0: it is none. */
static size_t read_usual_head(struct reply_reader *reader, const char *data, size_t length)
{
    const char *end = data + (length < HEAD_BYTES ? length : HEAD_BYTES), *body = NULL;
    struct usual_length told;
    size_t line_length;
    const char *fields = usual_head_line(data, end, &line_length);
    int status = fields ? usual_status(data, line_length) : 0;

    if (status)
        body = usual_head_fields(fields, end, HEAD_FIELDS, &reader->fields, &told);
    if (!body || !told.is_told) {
        headers_free(&reader->fields);
        return 0;
    }
    reader->awaited = told.bytes;
    reader->keeps = told.bytes == 0;
    reader->part = reader->keeps ? PART_WHOLE : PART_SIZED;
    announce(reader, status);
    return (size_t)(body - data);
}

static size_t read_head(struct reply_reader *reader, const char *data, size_t length)
{
    bool done;
    size_t used = reader->is_head || reader->head_bytes > 0 ? 0 : read_usual_head(reader, data, length);

    if (used > 0)
        return used;
    used = scan(reader, data, length, &done);

    if (reader->fault)
        return used;
    if (!done || reader->head.length > 0)
        buf_add(&reader->head, data, used);
    if (!done)
        return used;
    if (reader->head.length > 0) {
        struct buf head = reader->head;

        reader->head = (struct buf){ 0 };
        parse_head(reader, head.data, head.length);
        buf_free(&head);
    } else {
        parse_head(reader, data, used);
    }
    return used;
}

static size_t read_body(struct reply_reader *reader, const char *data, size_t length)
{
    size_t used;

    reader->moved = false;
    used = parse(reader, data, length);
    reader->bare_bytes = reader->moved ? 0 : reader->bare_bytes + used;
    if (reader->bare_bytes > HEAD_BYTES)
        refuse(reader, "the reply's body has more framing than any should have");
    return used;
}

static size_t read_sized(struct reply_reader *reader, const char *data, size_t length)
{
    size_t taken = length < reader->awaited ? length : (size_t)reader->awaited;

    if (!reader->hooks->on_body(reader->arg, data, taken)) {
        reader->stopped = true;
        return length;
    }
    reader->awaited -= taken;
    if (reader->awaited == 0) {
        reader->part = PART_WHOLE;
        reader->keeps = true;
    }
    return taken;
}

static size_t read_part(struct reply_reader *reader, const char *data, size_t length)
{
    if (reader->part == PART_HEAD)
        return read_head(reader, data, length);
    return reader->part == PART_SIZED ? read_sized(reader, data, length) : read_body(reader, data, length);
}

enum reply_outcome reply_reader_read(struct reply_reader *reader, const char *data, size_t length, size_t *used)
{
    *used = 0;
    while (*used < length && reader->part != PART_WHOLE && !reader->fault && !reader->stopped)
        *used += read_part(reader, data + *used, length - *used);
    if (reader->stopped)
        return REPLY_STOPPED;
    if (reader->fault)
        return REPLY_BROKEN;
    return reader->part == PART_WHOLE ? REPLY_WHOLE : REPLY_MORE;
}

enum reply_outcome reply_reader_end(struct reply_reader *reader)
{
    if (reader->part == PART_BODY)
        llhttp_finish(&reader->parser);
    reader->keeps = false;
    return reader->part == PART_WHOLE ? REPLY_WHOLE : REPLY_BROKEN;
}

bool reply_reader_keeps(const struct reply_reader *reader)
{
    return reader->keeps;
}

const char *reply_reader_fault(const struct reply_reader *reader)
{
    return reader->fault;
}

struct reply_reader *reply_reader_new(const struct reply_reader_hooks *hooks, void *arg, bool is_head)
{
    struct reply_reader *reader = mem_zero(sizeof *reader);

    reader->hooks = hooks;
    reader->arg = arg;
    reader->is_head = is_head;
    return reader;
}

void reply_reader_free(struct reply_reader *reader)
{
    if (!reader)
        return;
    headers_free(&reader->fields);
    buf_free(&reader->head);
    mem_free(reader);
}
