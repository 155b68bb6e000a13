/*
 * request_reader.c - see request_reader.h. A head is first scanned byte by
 * byte up to its blank line (line ends, controls, folding, bounds), then
 * parsed in one piece. Trailers are scanned the same way and thrown away. Of a
 * usual head and the body behind it the parser sees nothing:
 * spec/fuzz/request.c holds both ways against each other.
 */
#include "net/request_reader.h"

#include <llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "net/client.h"
#include "net/request_head.h"
#include "net/usual_head.h"

enum {
    FIRST_LINE_FRAME = 32,  /* method, spaces and version beside the target */
    EXTENSION_BYTES = 4096, /* of chunk extensions in one request */
    CHUNK_FRAME = 24,       /* sixteen digits, two line ends, and some */
    BODY_RESERVED = 256 * 1024
};

/* SIZED: the body behind a usual head. */
enum part { PART_HEAD, PART_BODY, PART_SIZED, PART_TRAILERS, PART_WHOLE };

struct span {
    const char *at;
    size_t length;
};

struct request_reader {
    const struct client_limits *limits;
    struct client_request request;
    llhttp_t parser;
    enum part part;
    int status; /* of the refusal; 0 if there is none */
    const char *message;
    char sentence[80]; /* a message with a figure in it */
    char *target;      /* owns target, query and path */
    /* scanning a head or trailers */
    struct buf head; /* what came before, if it did not come in one piece */
    size_t scanned, line_length, lines;
    bool after_cr;
    bool named; /* a trailer's colon has been seen */
    /* parsing */
    struct span url, name, value;
    size_t awaited;                                /* of a body whose length is known */
    size_t extension_bytes, chunks, framing_bytes; /* of a chunked body */
    bool in_data;                                  /* not within the lines around a chunk */
    bool wants_continue;
};

static bool refuse(struct request_reader *reader, int status, const char *message)
{
    if (!reader->status) {
        reader->status = status;
        reader->message = message;
    }
    return false;
}

static bool refuse_body(struct request_reader *reader)
{
    snprintf(reader->sentence, sizeof reader->sentence, "the request body is larger than the limit of %zu bytes",
             reader->limits->body_bytes);
    return refuse(reader, 413, reader->sentence);
}

static void refuse_length(struct request_reader *reader)
{
    if (reader->part == PART_HEAD && reader->lines == 0)
        refuse(reader, 414, "the request line is too long");
    else
        refuse(reader, 431, "the header fields are too large");
}

/* A line has ended. Returns true at the blank line that ends the section. */
static bool end_line(struct request_reader *reader)
{
    bool blank = reader->line_length == 0, nameless = reader->part == PART_TRAILERS && !reader->named;

    reader->line_length = 0;
    reader->named = false;
    if (blank)
        return reader->lines > 0;
    if (nameless)
        return refuse(reader, 400, "a trailer field has no name");
    reader->lines++;
    if (reader->lines > reader->limits->header_count + 1)
        refuse(reader, 431, "there are too many header fields");
    return false;
}

/* The parser never sees a trailer: what is none, a request for one, must not be swallowed as if it were. */
static void scan_trailer(struct request_reader *reader, char c)
{
    if (c == ':')
        reader->named = true;
    else if (!reader->named && !headers_is_token(&c, 1))
        refuse(reader, 400, "the name of a trailer field is not a word");
}

/* Looks at the next byte of a head; returns true behind its blank line. */
static bool scan_byte(struct request_reader *reader, unsigned char c)
{
    bool at_start = reader->line_length == 0;

    if (reader->after_cr) {
        reader->after_cr = false;
        if (c == '\n')
            return end_line(reader);
        refuse(reader, 400, "a carriage return stands without its line feed");
    } else if (c == '\r') {
        reader->after_cr = true;
    } else if (c == '\n') {
        refuse(reader, 400, "a line ends without a carriage return");
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
        refuse(reader, 400, "there is a control character in the head");
    } else if (at_start && (c == ' ' || c == '\t')) {
        refuse(reader, 400, "a line begins with white space");
    } else if (at_start && c == ':') {
        refuse(reader, 400, "a header field has no name");
    } else {
        reader->line_length++;
        if (reader->part == PART_TRAILERS)
            scan_trailer(reader, (char)c);
    }
    return false;
}

/* How many of the next bytes are within a line of a head, and within all bounds: to each of them scan_byte would only
 * say that the line is longer by one. */
static size_t plain_bytes(const struct request_reader *reader, const char *data, size_t length)
{
    const struct client_limits *limits = reader->limits;
    size_t most = limits->header_bytes - reader->scanned, i = 0;

    if (reader->part != PART_HEAD || reader->after_cr || reader->line_length == 0)
        return 0;
    if (reader->lines == 0 && most > limits->target_bytes + FIRST_LINE_FRAME + 1 - reader->line_length)
        most = limits->target_bytes + FIRST_LINE_FRAME + 1 - reader->line_length;
    for (; i + 8 <= length && i + 8 <= most; i += 8) {
        uint64_t word = bytes_word(data + i);

        if (bytes_less(word, 0x20) | bytes_equal(word, 0x7f))
            break;
    }
    while (i < length && i < most && (unsigned char)data[i] >= 0x20 && data[i] != 0x7f)
        i++;
    return i;
}

/* Scans on and returns how many bytes it took; done tells that the section is whole. */
static size_t scan(struct request_reader *reader, const char *data, size_t length, bool *done)
{
    size_t i = 0;

    *done = false;
    while (i < length && !*done && !reader->status) {
        bool first_line = reader->part == PART_HEAD && reader->lines == 0;
        size_t plain;

        if (reader->scanned >= reader->limits->header_bytes ||
            (first_line && reader->line_length > reader->limits->target_bytes + FIRST_LINE_FRAME))
            refuse_length(reader);
        plain = reader->status ? 0 : plain_bytes(reader, data + i, length - i);
        if (plain > 0) {
            reader->scanned += plain;
            reader->line_length += plain;
            i += plain;
            continue;
        }
        reader->scanned++;
        *done = scan_byte(reader, (unsigned char)data[i++]);
    }
    return i;
}

static bool split_target(struct request_reader *reader, const char *url, size_t length)
{
    struct client_request *request = &reader->request;

    reader->target = request_head_split(url, length, &request->path, &request->query);
    if (!reader->target)
        return refuse(reader, 400, "the path holds a percent sign without two hexadecimal digits, or a NUL");
    request->target = reader->target;
    return true;
}

/* The fields are all there; what llhttp lets pass is refused here. */
static bool check_head(struct request_reader *reader, bool usual)
{
    const struct headers *headers = &reader->request.headers;
    bool old = reader->parser.http_minor == 0, is_sized = reader->parser.flags & F_CONTENT_LENGTH;
    const char *expected = headers_get(headers, "expect"), *message;
    int status = request_head_check_host(headers, old, &message);

    if (!status && !usual)
        status = request_head_check_framing(headers, old, reader->parser.flags & F_CHUNKED, is_sized, &message);
    if (status)
        return refuse(reader, status, message);
    if (is_sized && reader->parser.content_length > reader->limits->body_bytes)
        return refuse_body(reader);
    if (reader->parser.upgrade)
        return refuse(reader, 400, "no upgrade to another protocol is served");
    if (expected && !old) {
        if (strcasecmp(expected, "100-continue") != 0)
            return refuse(reader, 417, "the only expectation served is 100-continue");
        reader->wants_continue = true;
    }
    return true;
}

static void await_body(struct request_reader *reader)
{
    if (!(reader->parser.flags & F_CONTENT_LENGTH))
        return;
    reader->awaited = (size_t)reader->parser.content_length;
    buf_reserve(&reader->request.body, reader->awaited < BODY_RESERVED ? reader->awaited + 1 : BODY_RESERVED);
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct request_reader *reader = parser->data;

    reader->url = (struct span){ at, length };
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t length)
{
    struct request_reader *reader = parser->data;

    reader->name = (struct span){ at, length };
    reader->value = (struct span){ at, 0 };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    struct request_reader *reader = parser->data;

    reader->value = (struct span){ at, length };
    return 0;
}

static int on_field(llhttp_t *parser)
{
    struct request_reader *reader = parser->data;
    struct span name = reader->name, value = reader->value;

    if (!headers_is_token(name.at, name.length)) {
        refuse(reader, 400, "the name of a header field is not a word");
        return -1;
    }
    while (value.length && (value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
        value.length--;
    headers_add_bytes(&reader->request.headers, name.at, name.length, value.at, value.length);
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct request_reader *reader = parser->data;

    reader->request.method = llhttp_method_name(parser->method);
    reader->request.keep_alive = llhttp_should_keep_alive(parser);
    if (!split_target(reader, reader->url.at, reader->url.length) || !check_head(reader, false))
        return -1;
    reader->part = PART_BODY;
    await_body(reader);
    return 0;
}

static void add_body(struct request_reader *reader, const char *at, size_t length)
{
    struct buf *body = &reader->request.body;

    if ((uintptr_t)at == (uintptr_t)body->data + body->length)
        body->length += length; /* it has been put where it belongs */
    else
        buf_add(body, at, length);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    add_body(parser->data, at, length);
    return 0;
}

static int on_chunk(llhttp_t *parser)
{
    struct request_reader *reader = parser->data;

    reader->chunks++;
    if (parser->content_length > reader->limits->body_bytes - reader->request.body.length) {
        refuse_body(reader);
        return -1;
    }
    reader->in_data = parser->content_length > 0;
    if (reader->in_data)
        return 0;
    reader->part = PART_TRAILERS;
    reader->lines = 1;
    reader->scanned = reader->line_length = 0;
    return HPE_PAUSED;
}

static int on_chunk_end(llhttp_t *parser)
{
    struct request_reader *reader = parser->data;

    reader->in_data = false;
    return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t length)
{
    struct request_reader *reader = parser->data;

    (void)at;
    reader->extension_bytes += length;
    if (reader->extension_bytes <= EXTENSION_BYTES)
        return 0;
    refuse(reader, 400, "the chunk extensions are too long");
    return -1;
}

static int on_whole(llhttp_t *parser)
{
    struct request_reader *reader = parser->data;

    reader->part = PART_WHOLE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_field,
    .on_headers_complete = on_head,
    .on_chunk_header = on_chunk,
    .on_chunk_complete = on_chunk_end,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_body = on_body,
    .on_message_complete = on_whole,
};

/* Parses on and returns how many bytes were used. */
static size_t parse(struct request_reader *reader, const char *data, size_t length)
{
    llhttp_errno_t outcome = llhttp_execute(&reader->parser, data, length);

    if (outcome == HPE_OK)
        return length;
    if (outcome == HPE_PAUSED)
        return (size_t)(llhttp_get_error_pos(&reader->parser) - data);
    if (outcome == HPE_INVALID_METHOD)
        refuse(reader, 501, "this method is not served");
    else if (reader->part == PART_HEAD)
        refuse(reader, 400, "the head of the request is malformed");
    else
        refuse(reader, 400, "the body of the request is malformed");
    return length;
}

/* What the lines around chunks may be long. A size may begin with zeros, but not without end. */
static size_t framing_limit(const struct request_reader *reader)
{
    return 3 * reader->extension_bytes + CHUNK_FRAME * (reader->chunks + 1);
}

/* How much can be parsed in one go and reach the limit at its end at the earliest: in whatever pieces a body comes,
 * the same is refused, and by the same byte. */
static size_t within_limit(const struct request_reader *reader, size_t length)
{
    size_t left = framing_limit(reader) - reader->framing_bytes;
    size_t data = reader->in_data ? (size_t)reader->parser.content_length : 0, most = data + (left ? left : 1);

    return length < most ? length : most;
}

static size_t parse_body(struct request_reader *reader, const char *data, size_t length)
{
    size_t before = reader->request.body.length, used;

    if (reader->awaited > 0)
        return parse(reader, data, length);
    used = parse(reader, data, within_limit(reader, length));
    reader->framing_bytes += used - (reader->request.body.length - before);
    if (reader->framing_bytes > framing_limit(reader))
        refuse(reader, 400, "a chunk size is too long");
    return used;
}

static void parse_head(struct request_reader *reader, const char *head, size_t length)
{
    const char *line_end, *message;
    int status;

    /* Empty lines before a request are allowed, and none of the parser's business. */
    while (length > 1 && head[0] == '\r') {
        head += 2;
        length -= 2;
    }
    line_end = memchr(head, '\r', length);
    status = request_head_check(head, line_end ? (size_t)(line_end - head) : 0, reader->limits->target_bytes, &message);
    if (status) {
        refuse(reader, status, message);
        return;
    }
    llhttp_init(&reader->parser, HTTP_REQUEST, &settings);
    reader->parser.data = reader;
    parse(reader, head, length);
    if (reader->part == PART_HEAD)
        refuse(reader, 400, "the head of the request is malformed");
}

/* Reads a usual head that came in one piece, and returns its bytes; 0: it is none, or what is wrong is told by the long
 * way. */
static size_t read_usual_head(struct request_reader *reader, const char *data, size_t length)
{
    const struct client_limits *limits = reader->limits;
    const char *end = data + (length < limits->header_bytes ? length : limits->header_bytes), *body = NULL, *message;
    struct usual_length told;
    size_t line_length, url_length;
    const char *fields = usual_head_line(data, end, &line_length);
    const char *url = fields ? usual_head_target(data, line_length, &url_length) : NULL;

    if (url && request_head_check(data, line_length, limits->target_bytes, &message) == 0)
        body = usual_head_fields(fields, end, limits->header_count, &reader->request.headers, &told);
    if (!body) {
        headers_free(&reader->request.headers);
        return 0;
    }
    reader->request.method = "POST";
    reader->request.keep_alive = true;
    /* What the parser would know now. */
    reader->parser.http_minor = 1;
    reader->parser.flags = told.is_told ? F_CONTENT_LENGTH : 0;
    reader->parser.content_length = told.bytes;
    if (split_target(reader, url, url_length) && check_head(reader, true)) {
        await_body(reader);
        reader->part = reader->awaited > 0 ? PART_SIZED : PART_WHOLE;
    }
    return (size_t)(body - data);
}

static size_t read_sized(struct request_reader *reader, const char *data, size_t length)
{
    size_t left = reader->awaited - reader->request.body.length, taken = length < left ? length : left;

    add_body(reader, data, taken);
    if (taken == left)
        reader->part = PART_WHOLE;
    return taken;
}

static size_t read_head(struct request_reader *reader, const char *data, size_t length)
{
    bool done;
    size_t used = reader->scanned > 0 ? 0 : read_usual_head(reader, data, length);

    if (used > 0)
        return used;
    used = scan(reader, data, length, &done);

    if (reader->status)
        return used;
    if (!done || reader->head.length > 0)
        buf_add(&reader->head, data, used);
    if (!done)
        return used;
    if (reader->head.length > 0)
        parse_head(reader, reader->head.data, reader->head.length);
    else
        parse_head(reader, data, used);
    buf_free(&reader->head);
    return used;
}

static bool is_in_content(const struct request_reader *reader)
{
    return reader->part == PART_BODY || reader->part == PART_SIZED;
}

char *request_reader_room(struct request_reader *reader, size_t *most)
{
    struct buf *body = &reader->request.body;
    size_t left = reader->awaited - body->length, room;

    if (!is_in_content(reader) || reader->awaited == 0 || left == 0)
        return NULL;
    /* As much more as has come: what is claimed to come takes no memory. */
    if (body->length == body->capacity)
        buf_reserve(body, 1);
    room = body->capacity - body->length;
    *most = room < left ? room : left;
    return body->data + body->length;
}

enum request_outcome request_reader_read(struct request_reader *reader, const char *data, size_t length, size_t *used)
{
    bool done;

    *used = 0;
    while (*used < length && reader->part != PART_WHOLE && !reader->status) {
        const char *rest = data + *used;
        size_t left = length - *used;

        if (reader->part == PART_HEAD) {
            *used += read_head(reader, rest, left);
        } else if (reader->part == PART_BODY) {
            *used += parse_body(reader, rest, left);
        } else if (reader->part == PART_SIZED) {
            *used += read_sized(reader, rest, left);
        } else {
            *used += scan(reader, rest, left, &done);
            if (done)
                reader->part = PART_WHOLE;
        }
    }
    if (reader->status)
        return REQUEST_REFUSED;
    return reader->part == PART_WHOLE ? REQUEST_WHOLE : REQUEST_MORE;
}

struct request_reader *request_reader_new(const struct client_limits *limits, const char *peer)
{
    struct request_reader *reader = mem_zero(sizeof *reader);

    reader->limits = limits;
    reader->request.method = reader->request.target = reader->request.path = reader->request.query = "";
    reader->request.peer = peer;
    return reader;
}

void request_reader_free(struct request_reader *reader)
{
    if (!reader)
        return;
    headers_free(&reader->request.headers);
    buf_free(&reader->request.body);
    buf_free(&reader->head);
    mem_free(reader->target);
    mem_free(reader);
}

const struct client_request *request_reader_request(const struct request_reader *reader)
{
    return &reader->request;
}

struct buf request_reader_take_body(struct request_reader *reader)
{
    struct buf body = reader->request.body;

    reader->request.body = (struct buf){ 0 };
    return body;
}

void request_reader_drop_body(struct request_reader *reader)
{
    buf_free(&reader->request.body);
}

int request_reader_refusal(const struct request_reader *reader, const char **message)
{
    *message = reader->message;
    return reader->status;
}

bool request_reader_in_body(const struct request_reader *reader)
{
    return is_in_content(reader) || reader->part == PART_TRAILERS;
}

bool request_reader_wants_continue(const struct request_reader *reader)
{
    return reader->wants_continue && is_in_content(reader) && reader->request.body.length == 0;
}

bool request_reader_is_old(const struct request_reader *reader)
{
    return reader->part != PART_HEAD && reader->parser.http_minor == 0;
}
