/* log.c - see log.h. */
#include "base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum { FIELD_DEPTH = 32 };

static enum log_level least_level = LOG_INFO;
static bool as_json = true;
static int output = STDERR_FILENO;
static char *file; /* NULL: standard error */

static const char *const names[] = { "debug", "info", "warn", "error" };

void log_open(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

bool log_reopen(void)
{
    int opened = file ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640) : -1;

    if (opened < 0)
        return !file;
    if (output == STDERR_FILENO) {
        output = opened;
        return true;
    }
    /* Under the same number: a thread that writes now writes to the one or the other. */
    dup3(opened, output, O_CLOEXEC);
    close(opened);
    return true;
}

bool log_to(const char *path)
{
    file = mem_text(path);
    return log_reopen();
}

bool log_writes(enum log_level level)
{
    return level >= least_level;
}

static void add_time(struct buf *line)
{
    int64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    buf_add_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                   utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(now % 1000));
}

static void start(struct buf *line, enum log_level level, const char *message)
{
    if (as_json) {
        buf_add_text(line, "{\"time\":\"");
        add_time(line);
        buf_add_format(line, "\",\"level\":\"%s\",\"message\":", names[level]);
        buf_add_json(line, message, strlen(message));
    } else {
        add_time(line);
        buf_add_format(line, " %-5s %s", names[level], message);
    }
}

static void finish(struct buf *line)
{
    buf_add_text(line, as_json ? "}\n" : "\n");
    /* One write a line: lines of several threads do not mix. A log nobody takes must not stop the gateway. */
    if (write(output, line->data, line->length) < 0)
        line->length = 0;
    buf_free(line);
}

void log_line(enum log_level level, const char *message, ...)
{
    struct buf line = { 0 };
    const char *name, *value;
    va_list pairs;

    if (!log_writes(level))
        return;
    start(&line, level, message);
    va_start(pairs, message);
    while ((name = va_arg(pairs, const char *))) {
        value = va_arg(pairs, const char *);
        if (!value)
            continue;
        if (as_json) {
            buf_add_format(&line, ",\"%s\":", name);
            buf_add_json(&line, value, strlen(value));
        } else {
            buf_add_format(&line, " %s=", name);
            buf_add_json(&line, value, strlen(value));
        }
    }
    va_end(pairs);
    finish(&line);
}

/* name=value for each member, values as JSON has them. */
static void add_plain(struct buf *line, const char *fields)
{
    struct json_index index = { 0 };
    struct json_fault fault;
    struct buf object = { 0 };

    buf_add_format(&object, "{%s}", fields);
    if (json_scan(object.data, object.length, FIELD_DEPTH, &index, &fault)) {
        for (size_t name = 1; name < index.nodes[0].next; name = index.nodes[name + 1].next) {
            const struct json_node *value = &index.nodes[name + 1];

            buf_add_char(line, ' ');
            buf_add(line, object.data + index.nodes[name].start + 1,
                    index.nodes[name].end - index.nodes[name].start - 2);
            buf_add_char(line, '=');
            buf_add(line, object.data + value->start, value->end - value->start);
        }
    } else {
        buf_add_format(line, " %s", fields);
    }
    json_index_free(&index);
    buf_free(&object);
}

void log_members(enum log_level level, const char *message, const char *fields)
{
    struct buf line = { 0 };

    if (!log_writes(level))
        return;
    start(&line, level, message);
    if (*fields && as_json)
        buf_add_format(&line, ",%s", fields);
    else if (*fields)
        add_plain(&line, fields);
    finish(&line);
}
