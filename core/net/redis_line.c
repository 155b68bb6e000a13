/* redis_line.c - see redis_line.h. */
#include "net/redis_line.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_command.h"

enum { READ_BYTES = 16 * 1024 };

struct redis_line {
    redisContext *context;
    struct buf out;
    bool is_broken;
    bool is_subscribed;
    struct redis_reply **held; /* messages that came while a call waited for its answer */
    size_t first, count, capacity;
};

/* Sends what is in out, and empties it. SIGPIPE, which hiredis' own writing may raise, is not ours to handle. */
static void send_out(struct redis_line *line)
{
    for (size_t at = 0; at < line->out.length && !line->is_broken;) {
        ssize_t written = send(line->context->fd, line->out.data + at, line->out.length - at, MSG_NOSIGNAL);

        if (written >= 0)
            at += (size_t)written;
        else if (errno != EINTR)
            line->is_broken = true;
    }
    buf_clear(&line->out);
}

static bool is_word(const struct redis_reply *reply, const char *word)
{
    return strcmp(redis_text(redis_item(reply, 0), NULL), word) == 0;
}

static bool is_message(const struct redis_line *line, const struct redis_reply *reply)
{
    return line->is_subscribed && (is_word(reply, "message") || is_word(reply, "pmessage"));
}

static void hold(struct redis_line *line, struct redis_reply *reply)
{
    if (line->count == line->capacity) {
        line->capacity = line->capacity ? line->capacity * 2 : 16;
        line->held = mem_resize(line->held, line->capacity * sizeof *line->held);
    }
    line->held[line->count++] = reply;
}

/* The next reply that is no message. */
static struct redis_reply *await(struct redis_line *line)
{
    void *reply = NULL;

    while (!line->is_broken) {
        if (redisGetReply(line->context, &reply) != REDIS_OK || !reply) {
            line->is_broken = true;
            break;
        }
        if (!is_message(line, reply)) {
            line->is_subscribed = line->is_subscribed || is_word(reply, "subscribe") || is_word(reply, "psubscribe");
            return reply;
        }
        hold(line, reply);
    }
    return NULL;
}

/* What will not change by waiting: a wrong password, something that is no Redis. */
static bool is_refusal(const struct redis_line *line, const struct redis_reply *reply)
{
    if (!reply)
        return line->context->err == REDIS_ERR_PROTOCOL;
    return !redis_command_is_loading(reply) && strncmp(redis_text(reply, NULL), "ERR max number", 14) != 0;
}

static bool greet(struct redis_line *line, const struct redis_address *address, bool *is_refused, char *error,
                  size_t error_size)
{
    size_t left = redis_command_greet(&line->out, address);
    bool is_welcome = true;

    send_out(line);
    for (; left > 0 && is_welcome; left--) {
        struct redis_reply *reply = await(line);

        if (reply) {
            is_welcome = redis_command_is_welcome(address, reply, error, error_size);
        } else {
            bool is_other = line->context->err == REDIS_ERR_PROTOCOL;
            char name[REDIS_NAME_SIZE];

            redis_name(address, name);
            snprintf(error, error_size,
                     is_other ? "what answers at %s is not Redis" : "Redis at %s takes connections but does not answer",
                     name);
            is_welcome = false;
        }
        if (!is_welcome)
            *is_refused = is_refusal(line, reply);
        redis_reply_free(reply);
    }
    return is_welcome;
}

struct redis_line *redis_line_try(const struct redis_address *address, double timeout, bool *is_refused, char *error,
                                  size_t error_size)
{
    struct redis_line *line = mem_zero(sizeof *line);
    struct timeval limit = { (time_t)timeout, (suseconds_t)((timeout - (double)(time_t)timeout) * 1e6) };
    char name[REDIS_NAME_SIZE];

    *is_refused = false;
    line->context = address->port ? redisConnectWithTimeout(address->host, address->port, limit)
                                  : redisConnectUnixWithTimeout(address->host, limit);
    if (!line->context || line->context->err || redisSetTimeout(line->context, limit) != REDIS_OK) {
        redis_name(address, name);
        snprintf(error, error_size, "Redis at %s can't be reached: %s", name,
                 line->context ? line->context->errstr : "there is no memory");
        goto out;
    }
    fcntl(line->context->fd, F_SETFD, FD_CLOEXEC);
    if (greet(line, address, is_refused, error, error_size))
        return line;
out:
    redis_line_close(line);
    return NULL;
}

struct redis_line *redis_line_open(const struct redis_address *address, double timeout, char *error, size_t error_size)
{
    bool is_refused;

    return redis_line_try(address, timeout, &is_refused, error, error_size);
}

void redis_line_close(struct redis_line *line)
{
    if (!line)
        return;
    while (line->first < line->count)
        redis_reply_free(line->held[line->first++]);
    mem_free(line->held);
    buf_free(&line->out);
    if (line->context)
        redisFree(line->context);
    mem_free(line);
}

bool redis_line_is_broken(const struct redis_line *line)
{
    return line->is_broken;
}

struct redis_reply *redis_line_call(struct redis_line *line, const struct redis_word *words, size_t count)
{
    redis_command_write(&line->out, words, count);
    send_out(line);
    return await(line);
}

struct redis_reply *redis_line_run(struct redis_line *line, struct redis_script *script, size_t key_count,
                                   const struct redis_word *words, size_t count)
{
    struct redis_reply *reply;

    redis_command_write_run(&line->out, script, key_count, words, count);
    send_out(line);
    reply = await(line);
    if (!redis_command_is_unknown_script(reply))
        return reply;
    redis_reply_free(reply);
    redis_command_write_load(&line->out, script);
    redis_command_write_run(&line->out, script, key_count, words, count);
    send_out(line);
    reply = await(line);
    /* A script that is not taken says why here; what its run answers is then only that there is none. */
    if (redis_kind(reply) == REDIS_ERROR) {
        redis_reply_free(await(line));
        return reply;
    }
    redis_reply_free(reply);
    return await(line);
}

int redis_line_descriptor(const struct redis_line *line)
{
    return line->context->fd;
}

struct redis_reply *redis_line_pushed(struct redis_line *line)
{
    char bytes[READ_BYTES];
    void *reply = NULL;

    if (line->first < line->count) {
        reply = line->held[line->first++];
        if (line->first == line->count)
            line->first = line->count = 0;
        return reply;
    }
    while (!line->is_broken) {
        ssize_t length;

        if (redisGetReplyFromReader(line->context, &reply) != REDIS_OK) {
            line->is_broken = true;
            return NULL;
        }
        if (reply)
            return reply;
        length = recv(line->context->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (length > 0)
            redisReaderFeed(line->context->reader, bytes, (size_t)length);
        else if (length == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
            line->is_broken = true;
        else if (errno != EINTR)
            break;
    }
    return NULL;
}
