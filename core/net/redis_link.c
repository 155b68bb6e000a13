/*
 * redis_link.c - see redis_link.h. The socket is our own and of hiredis only
 * its reader is used: hiredis' asynchronous contexts look names up on the
 * loop, know no deadline, and may not be let go of where one has to.
 */
#include "net/redis_link.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/redis.h"
#include "net/redis_command.h"
#include "net/redis_pipeline.h"
#include "net/redis_reach.h"
#include "net/resolver.h"

enum { WAIT_LEAST_US = 20000, WAIT_MOST_US = 1000000, READ_BYTES = 32 * 1024, READS_A_TURN = 16 };
/* A loop that comes so late to look has a machine that is too busy, not a Redis that is away. */
enum { LATE_US = 10000, GRACES = 2 };

static const double reach_seconds = 0.5;

enum state { AWAY, GREETING, UP };

struct redis_link {
    struct loop *loop;
    struct redis_address address;
    char name[REDIS_NAME_SIZE];
    int64_t deadline_us;
    void (*on_state)(void *arg, bool is_up);
    void *arg;
    enum state state;
    bool told_up;
    struct resolver *resolver;
    struct redis_reach *reach; /* NULL: it is not being tried now */
    int descriptor;
    struct event readable, writable;
    struct event turn; /* never waits for anything: made active to run at the end of the present turn */
    struct loop_timer *greet_timer, *rest_timer, *deadline_timer;
    int64_t wait_us; /* before the next try */
    redisReader *reader;
    size_t greetings; /* answers to the greeting that are still to come */
    struct redis_pipeline pipeline;
    struct redis_pipeline lost; /* to be told that there is no answer */
    const struct redis_script *loading;
    unsigned connection; /* counts connections: tells a loop over answers that its own is gone */
    bool has_answered;   /* this connection, since it is up */
    int64_t heard_us;    /* when it did last */
    char fault[512];
    char logged[512];
    int inside; /* callbacks of ours that are running */
    bool is_closed;
};

static void reach(struct redis_link *link);
static void on_readable(evutil_socket_t descriptor, short what, void *arg);
static void on_writable(evutil_socket_t descriptor, short what, void *arg);

/* Everything that calls back is between these two: the link stays until the last of them. */
static void enter(struct redis_link *link)
{
    link->inside++;
}

static void tell_lost(struct redis_link *link)
{
    for (size_t left = link->lost.count; left > 0 && link->lost.count > 0; left--) {
        struct redis_sent sent = redis_pipeline_take_oldest(&link->lost);

        if (sent.on_reply)
            sent.on_reply(sent.arg, NULL);
    }
}

static void leave(struct redis_link *link)
{
    if (link->inside == 1 && link->is_closed)
        while (link->lost.count > 0)
            tell_lost(link);
    if (--link->inside > 0 || !link->is_closed)
        return;
    redis_pipeline_free(&link->pipeline);
    redis_pipeline_free(&link->lost);
    resolver_free(link->resolver);
    mem_free(link);
}

static void need_turn(struct redis_link *link)
{
    if (!link->is_closed)
        event_active(&link->turn, EV_TIMEOUT, 1);
}

/* ---- an end of a connection ---- */

static void drop(struct redis_link *link)
{
    if (link->descriptor >= 0) {
        event_del(&link->readable);
        event_del(&link->writable);
        close(link->descriptor);
        redisReaderFree(link->reader);
    }
    link->descriptor = -1;
    link->reader = NULL;
    redis_reach_stop(link->reach);
    link->reach = NULL;
    loop_forget(link->greet_timer);
    loop_forget(link->rest_timer);
    loop_forget(link->deadline_timer);
    link->greet_timer = link->rest_timer = link->deadline_timer = NULL;
    redis_pipeline_move(&link->pipeline, &link->lost);
    link->loading = NULL;
    link->connection++;
    link->state = AWAY;
    need_turn(link);
}

static void on_rested(void *arg)
{
    struct redis_link *link = arg;

    link->rest_timer = NULL;
    reach(link);
}

/* Between half of wait and all of it, so that not all gateways come back at the same instant. */
static int64_t jitter(int64_t wait_us)
{
    return wait_us / 2 + arc4random_uniform((uint32_t)(wait_us / 2) + 1);
}

static void rest(struct redis_link *link)
{
    link->rest_timer = loop_after(link->loop, (double)jitter(link->wait_us) / 1e6, on_rested, link);
    link->wait_us = link->wait_us * 2 < WAIT_MOST_US ? link->wait_us * 2 : WAIT_MOST_US;
}

/* The connection is lost, or did not come about. */
__attribute__((format(printf, 2, 3))) static void fail(struct redis_link *link, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(link->fault, sizeof link->fault, format, args);
    va_end(args);
    if (link->state == UP && link->has_answered)
        link->wait_us = WAIT_LEAST_US;
    drop(link);
    rest(link);
}

/* ---- answers ---- */

static void on_greeting(struct redis_link *link, const struct redis_reply *reply)
{
    char error[sizeof link->fault];

    if (!redis_command_is_welcome(&link->address, reply, error, sizeof error)) {
        if (strcmp(error, link->logged) != 0 && !redis_command_is_loading(reply)) {
            log_line(LOG_ERROR, error, NULL);
            snprintf(link->logged, sizeof link->logged, "%s", error);
        }
        fail(link, "%s", error);
        return;
    }
    if (--link->greetings > 0)
        return;
    redis_pipeline_take_oldest(&link->pipeline);
    link->state = UP;
    link->has_answered = false;
    link->logged[0] = '\0';
    loop_forget(link->greet_timer);
    link->greet_timer = NULL;
    need_turn(link);
}

static void load(struct redis_link *link, struct redis_script *script)
{
    size_t from = link->pipeline.bytes.length;

    if (link->loading == script)
        return;
    redis_command_write_load(&link->pipeline.bytes, script);
    redis_pipeline_add(&link->pipeline, (struct redis_sent){ .script = script, .is_load = true }, from);
    link->loading = script;
}

static void on_answer(struct redis_link *link, const struct redis_reply *reply)
{
    struct redis_sent sent = *redis_pipeline_oldest(&link->pipeline);

    link->has_answered = true;
    link->heard_us = clock_monotonic_us();
    if (sent.script && !sent.is_load && !sent.is_again && redis_command_is_unknown_script(reply)) {
        load(link, sent.script);
        redis_pipeline_repeat_oldest(&link->pipeline);
        redis_pipeline_take_oldest(&link->pipeline);
        need_turn(link);
        return;
    }
    redis_pipeline_take_oldest(&link->pipeline);
    if (sent.is_load) {
        link->loading = link->loading == sent.script ? NULL : link->loading;
        if (redis_kind(reply) == REDIS_ERROR && !redis_is_unavailable(reply))
            log_line(LOG_ERROR, "Redis does not take a script", "script", sent.script->name, "redis", link->name,
                     "error", redis_text(reply, NULL), NULL);
    } else if (sent.on_reply) {
        sent.on_reply(sent.arg, reply);
    }
}

/* Hands out what the reader has whole. False: this connection is gone. */
static bool take_replies(struct redis_link *link)
{
    unsigned connection = link->connection;
    void *reply;

    while (link->connection == connection) {
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
            fail(link, "what answers at %s is not Redis: %s", link->name, link->reader->errstr);
            return false;
        }
        if (!reply)
            return true;
        if (!redis_pipeline_awaits(&link->pipeline))
            fail(link, "Redis at %s answers what it was not asked: %s", link->name, redis_text(reply, NULL));
        else if (link->state == GREETING)
            on_greeting(link, reply);
        else
            on_answer(link, reply);
        freeReplyObject(reply);
    }
    return false;
}

/* Reads what is there. True: there may be more; false: there is not, or the connection is gone. */
static bool read_replies(struct redis_link *link)
{
    char bytes[READ_BYTES];

    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t length = recv(link->descriptor, bytes, sizeof bytes, MSG_DONTWAIT);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (length <= 0) {
            fail(link, "Redis at %s has closed the connection%s%s", link->name, length < 0 ? ": " : "",
                 length < 0 ? strerrordesc_np(errno) : "");
            return false;
        }
        redisReaderFeed(link->reader, bytes, (size_t)length);
        if (!take_replies(link))
            return false;
        if ((size_t)length < sizeof bytes)
            return false;
    }
    return true;
}

static void on_deadline(void *arg);

/* One timer for the oldest command; a timer that is set already comes early enough. */
static void set_deadline_timer(struct redis_link *link)
{
    const struct redis_sent *oldest = redis_pipeline_oldest(&link->pipeline);
    int64_t left_us;

    if (link->state != UP || link->deadline_timer || !oldest || oldest->due_us == INT64_MAX)
        return;
    left_us = oldest->due_us - clock_monotonic_us();
    link->deadline_timer = loop_after(link->loop, left_us > 0 ? (double)left_us / 1e6 : 0, on_deadline, link);
}

/* Redis has answered others meanwhile, or it was this machine that was late: for a while that counts as life. */
static bool is_given_more(const struct redis_link *link, struct redis_sent *oldest, int64_t now_us)
{
    bool was_heard = link->heard_us > oldest->due_us - link->deadline_us;

    if (oldest->graces == GRACES || (!was_heard && now_us - oldest->due_us < LATE_US))
        return false;
    oldest->graces++;
    oldest->due_us = now_us + link->deadline_us;
    return true;
}

static void on_deadline(void *arg)
{
    struct redis_link *link = arg;
    unsigned connection = link->connection;
    struct redis_sent *oldest;
    int64_t now_us;
    bool is_more;

    link->deadline_timer = NULL;
    enter(link);
    /* If it was the loop that was late, the answers are there to be read. */
    is_more = read_replies(link);
    if (!link->is_closed && link->connection == connection) {
        oldest = redis_pipeline_oldest(&link->pipeline);
        now_us = clock_monotonic_us();
        if (oldest && oldest->due_us <= now_us && !is_more && !is_given_more(link, oldest, now_us))
            fail(link, "Redis at %s has not answered within %lld ms", link->name,
                 (long long)(link->deadline_us / 1000));
        else
            set_deadline_timer(link);
    }
    leave(link);
}

/* ---- writing ---- */

static void write_commands(struct redis_link *link)
{
    size_t length;
    const char *bytes;
    ssize_t written;

    while ((bytes = redis_pipeline_unwritten(&link->pipeline, &length)), length > 0) {
        written = send(link->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (written < 0) {
            fail(link, "Redis at %s has closed the connection: %s", link->name, strerrordesc_np(errno));
            return;
        }
        redis_pipeline_wrote(&link->pipeline, (size_t)written);
    }
    if (length > 0)
        event_add(&link->writable, NULL);
    redis_pipeline_date(&link->pipeline, clock_monotonic_us() + link->deadline_us);
    set_deadline_timer(link);
}

/* The end of a turn: states and losses are told, and what was sent meanwhile goes out in one piece. */
static void on_turn(evutil_socket_t descriptor, short what, void *arg)
{
    struct redis_link *link = arg;
    bool is_up = link->state == UP;

    (void)descriptor;
    (void)what;
    enter(link);
    if (is_up != link->told_up) {
        link->told_up = is_up;
        if (link->on_state)
            link->on_state(link->arg, is_up);
    }
    if (!link->is_closed)
        tell_lost(link);
    if (!link->is_closed && link->state == UP)
        write_commands(link);
    if (!link->is_closed && link->lost.count > 0)
        need_turn(link);
    leave(link);
}

/* ---- a beginning of a connection ---- */

static void on_unanswered(void *arg)
{
    struct redis_link *link = arg;

    link->greet_timer = NULL;
    fail(link, "Redis at %s takes connections but does not answer", link->name);
}

static void on_reached(void *arg, int descriptor, const char *reason)
{
    struct redis_link *link = arg;

    link->reach = NULL;
    if (descriptor < 0) {
        fail(link, "Redis at %s can't be reached: %s", link->name, reason);
        return;
    }
    link->reader = redisReaderCreate();
    if (!link->reader)
        abort();
    link->descriptor = descriptor;
    event_assign(&link->readable, loop_base(link->loop), descriptor, EV_READ | EV_PERSIST, on_readable, link);
    event_assign(&link->writable, loop_base(link->loop), descriptor, EV_WRITE, on_writable, link);
    event_add(&link->readable, NULL);
    link->state = GREETING;
    link->greet_timer = loop_after(link->loop, reach_seconds, on_unanswered, link);
    link->greetings = redis_command_greet(&link->pipeline.bytes, &link->address);
    redis_pipeline_add(&link->pipeline, (struct redis_sent){ 0 }, 0);
    write_commands(link);
}

static void reach(struct redis_link *link)
{
    link->reach = redis_reach_start(link->loop, link->resolver, &link->address, reach_seconds, on_reached, link);
}

static void on_readable(evutil_socket_t descriptor, short what, void *arg)
{
    struct redis_link *link = arg;

    (void)descriptor;
    (void)what;
    enter(link);
    read_replies(link);
    leave(link);
}

static void on_writable(evutil_socket_t descriptor, short what, void *arg)
{
    (void)descriptor;
    (void)what;
    write_commands(arg);
}

/* ---- what others call ---- */

struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address, double deadline,
                                  void (*on_state)(void *arg, bool is_up), void *arg)
{
    struct redis_link *link = mem_zero(sizeof *link);

    link->loop = loop;
    link->address = *address;
    redis_name(address, link->name);
    link->deadline_us = (int64_t)(deadline * 1e6);
    link->on_state = on_state;
    link->arg = arg;
    link->descriptor = -1;
    link->wait_us = WAIT_LEAST_US;
    link->resolver = resolver_new();
    event_assign(&link->turn, loop_base(loop), -1, 0, on_turn, link);
    reach(link);
    return link;
}

void redis_link_close(struct redis_link *link)
{
    if (!link)
        return;
    enter(link);
    link->is_closed = true;
    drop(link);
    event_del(&link->turn);
    while (link->lost.count > 0)
        tell_lost(link);
    leave(link);
}

bool redis_link_is_up(const struct redis_link *link)
{
    return link->state == UP && link->told_up;
}

const char *redis_link_fault(const struct redis_link *link)
{
    return link->fault;
}

void redis_link_reset(struct redis_link *link)
{
    snprintf(link->fault, sizeof link->fault, "the connection to Redis at %s was given up", link->name);
    drop(link);
    link->wait_us = WAIT_LEAST_US;
    rest(link);
}

static void add(struct redis_link *link, struct redis_sent sent, size_t from)
{
    redis_pipeline_add(&link->pipeline, sent, from);
    need_turn(link);
}

static bool is_lost(struct redis_link *link, struct redis_sent sent)
{
    if (link->state == UP)
        return false;
    redis_pipeline_add(&link->lost, sent, 0);
    need_turn(link);
    return true;
}

void redis_link_send(struct redis_link *link, const struct redis_word *words, size_t count,
                     void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg)
{
    struct redis_sent sent = { .on_reply = on_reply, .arg = arg };
    size_t from = link->pipeline.bytes.length;

    if (is_lost(link, sent))
        return;
    redis_command_write(&link->pipeline.bytes, words, count);
    add(link, sent, from);
}

void redis_link_run(struct redis_link *link, struct redis_script *script, size_t key_count,
                    const struct redis_word *words, size_t count,
                    void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg)
{
    struct redis_sent sent = { .on_reply = on_reply, .arg = arg, .script = script };
    size_t from = link->pipeline.bytes.length;

    if (is_lost(link, sent))
        return;
    redis_command_write_run(&link->pipeline.bytes, script, key_count, words, count);
    add(link, sent, from);
}
