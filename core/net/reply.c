/* reply.c - see reply.h. client.c is its only caller. */
#include "net/reply.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/headers.h"

static const struct reason {
    int status;
    const char *text;
} reasons[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 302, "Found" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 422, "Unprocessable Content" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 529, "Overloaded" },
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "";
}

/* What this file writes itself, and what would contradict it. */
static bool is_framing(const char *name, size_t length)
{
    static const uint32_t lengths = 1u << 4 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 17;
    static const struct {
        const char *text;
        size_t length;
    } names[] = { { "connection", 10 },       { "content-length", 14 }, { "date", 4 },
                  { "keep-alive", 10 },       { "trailer", 7 },         { "upgrade", 7 },
                  { "transfer-encoding", 17 } };

    if (length > 17 || !(lengths >> length & 1))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].length == length && strcasecmp(name, names[i].text) == 0)
            return true;
    return false;
}

static void add_date(struct buf *out)
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    static _Thread_local int64_t written = -1;
    static _Thread_local char line[64];
    static _Thread_local size_t length;
    int64_t now = clock_recent_wall_ms() / 1000;

    if (now != written) {
        time_t seconds = (time_t)now;
        struct tm utc;

        gmtime_r(&seconds, &utc);
        length = (size_t)snprintf(line, sizeof line, "date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                                  days[utc.tm_wday % 7], utc.tm_mday, months[utc.tm_mon % 12],
                                  (utc.tm_year + 1900) % 10000, utc.tm_hour, utc.tm_min, utc.tm_sec);
        written = now;
    }
    buf_add(out, line, length);
}

bool reply_may_name(const char *name, size_t length)
{
    return !is_framing(name, length) && headers_is_token(name, length);
}

void reply_add_field(struct buf *ready, const char *name, size_t name_length, const char *value, size_t value_length)
{
    if (!headers_is_clean(value, value_length))
        return;
    buf_reserve(ready, name_length + value_length + 4);
    buf_add(ready, name, name_length);
    buf_add(ready, ": ", 2);
    buf_add(ready, value, value_length);
    buf_add(ready, "\r\n", 2);
}

static void add_fields(struct buf *out, const struct headers *headers)
{
    for (size_t i = 0; headers && i < headers->count; i++) {
        const struct header *field = &headers->fields[i];
        size_t name_length = strlen(field->name);

        if (reply_may_name(field->name, name_length))
            reply_add_field(out, field->name, name_length, field->value, strlen(field->value));
    }
}

/* Appends number in base 10 or 16: this is done for every chunk, so without printf. */
static void add_number(struct buf *out, size_t number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;

    do
        digits[--at] = "0123456789abcdef"[number % base];
    while (number /= base);
    buf_add(out, digits + at, sizeof digits - at);
}

void reply_add_head(struct buf *out, int status, const struct buf *ready, const struct headers *headers,
                    enum reply_framing framing, size_t length, const char *connection)
{
    bool bodiless = status < 200 || status == 204 || status == 304;

    buf_reserve(out, 512 + (ready ? ready->length : 0) + (framing == REPLY_SIZED && !bodiless ? length : 0));
    buf_add(out, "HTTP/1.1 ", 9);
    add_number(out, (size_t)status, 10);
    buf_add_char(out, ' ');
    buf_add_text(out, reason_of(status));
    buf_add(out, "\r\n", 2);
    if (ready)
        buf_add(out, ready->data, ready->length);
    add_fields(out, headers);
    add_date(out);
    if (framing == REPLY_SIZED && !bodiless) {
        buf_add(out, "content-length: ", 16);
        add_number(out, length, 10);
        buf_add(out, "\r\n", 2);
    } else if (framing == REPLY_CHUNKED && !bodiless) {
        buf_add_text(out, "transfer-encoding: chunked\r\n");
    }
    if (connection) {
        buf_add(out, "connection: ", 12);
        buf_add_text(out, connection);
        buf_add(out, "\r\n", 2);
    }
    buf_add(out, "\r\n", 2);
}

void reply_add_chunk(struct buf *out, const void *data, size_t length)
{
    buf_reserve(out, length + REPLY_CHUNK_EXTRA);
    add_number(out, length, 16);
    buf_add(out, "\r\n", 2);
    buf_add(out, data, length);
    buf_add(out, "\r\n", 2);
}

void reply_add_last_chunk(struct buf *out)
{
    buf_add(out, "0\r\n\r\n", 5);
}
