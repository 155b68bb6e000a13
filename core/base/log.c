/* log.c - see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static enum log_level least_level = LOG_INFO;
static bool as_json = true;

static const char *const names[] = { "debug", "info", "warn", "error" };

void log_open(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
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
    if (write(STDERR_FILENO, line->data, line->length) < 0)
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

void log_members(enum log_level level, const char *message, const char *fields)
{
    struct buf line = { 0 };

    if (!log_writes(level))
        return;
    start(&line, level, message);
    if (*fields) {
        buf_add_char(&line, as_json ? ',' : ' ');
        buf_add_text(&line, fields);
    }
    finish(&line);
}
