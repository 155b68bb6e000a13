/*
 * load.c - the callers of the benchmark: one thread, epoll, keep-alive.
 *
 *   load closed  port=P body=FILE [path=] connections=N seconds=S
 *   load rate    port=P body=FILE [path=] connections=N seconds=S rate=R
 *   load streams port=P body=FILE [path=] connections=N repeats=K ramp=MS
 *   ... and header="Name: value" as often as wanted; keys=N: "Authorization:
 *   Bearer sk-bench-0000001" to N in turn, the next with each request
 *
 * closed: each connection sends its next request when it has the answer.
 * rate: request i is due at start + i / R whatever happened before, and its
 * time runs from then, so a stall is charged to all that it delayed.
 * streams: each connection opens K event streams in turn, the first of them
 * spread over the ramp. What is told goes to standard output as JSON, times
 * in microseconds, `cpu` the client's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "answer.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "samples.h"

enum mode { CLOSED, RATE, STREAMS };
enum { EVENTS = 256, READ = 65536, GRACE_US = 10000000, KEY_DIGITS = 7 };

struct caller {
    int fd;
    bool is_busy, writes;
    size_t sent;
    int64_t due, began;
    long repeats;
    struct answer answer;
    struct caller *next_idle;
};

struct options {
    enum mode mode;
    const char *port, *path, *body;
    long connections, rate, repeats, ramp, keys;
    double seconds;
};

static struct options options = {
    .port = "", .path = "/v1/chat/completions", .body = "", .connections = 1, .rate = 100, .repeats = 1, .seconds = 1
};
static struct buf headers, request;
static size_t key_at; /* where the key's number stands in the request */
static long next_key;
static int loop, timer;
static struct caller *callers, *idle;
static int64_t start, finish;
static long issued, wanted; /* requests */
static long completed, failed, refused, cut_short, opened_anew;
static int last_status;
static int64_t *overdue; /* rate: requests that found no idle caller, in order */
static long overdue_first, overdue_last;
static struct samples latency, first_byte, transit;

static void die(const char *what)
{
    perror(what);
    exit(2); // NOLINT(concurrency-mt-unsafe): one thread
}

/* On loopback a blocking connect returns at once. */
static void dial(struct caller *caller)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = caller };
    int on = 1;

    address.sin_port = htons((uint16_t)strtoul(options.port, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (caller->fd < 0 || connect(caller->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        die("connect");
    }
    setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(loop, EPOLL_CTL_ADD, caller->fd, &event);
    caller->writes = false;
}

static void redial(struct caller *caller)
{
    close(caller->fd);
    opened_anew++;
    dial(caller);
}

/* An error shows at the next read. */
static void send_rest(struct caller *caller)
{
    size_t left = request.length - caller->sent;
    ssize_t sent = send(caller->fd, request.data + caller->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool writes;

    caller->sent += sent > 0 ? (size_t)sent : 0;
    writes = caller->sent < request.length;
    if (writes != caller->writes) {
        struct epoll_event event = { .events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = caller };

        caller->writes = writes;
        epoll_ctl(loop, EPOLL_CTL_MOD, caller->fd, &event);
    }
}

/* The digits go out with the first bytes, so a body that follows later is not affected by the next one's. */
static void turn_key(void)
{
    char digits[32];

    if (options.keys > 0) {
        (void)snprintf(digits, sizeof digits, "%07ld", next_key++ % options.keys + 1);
        memcpy(request.data + key_at, digits, KEY_DIGITS);
    }
}

static void call(struct caller *caller, int64_t due)
{
    turn_key();
    answer_reset(&caller->answer);
    caller->is_busy = true;
    caller->due = due;
    caller->began = clock_monotonic_us();
    caller->sent = 0;
    send_rest(caller);
}

/* The caller's next request, if it has one. */
static void go_on(struct caller *caller, int64_t now)
{
    if (options.mode == CLOSED && now < finish) {
        issued++;
        call(caller, now);
    } else if (options.mode == STREAMS && --caller->repeats > 0) {
        call(caller, now);
    } else if (options.mode == RATE && overdue_first < overdue_last) {
        call(caller, overdue[overdue_first++]);
    } else if (options.mode == RATE) {
        caller->next_idle = idle;
        idle = caller;
    }
}

static void end_call(struct caller *caller, enum answer_state state, int64_t now)
{
    caller->is_busy = false;
    if (state == ANSWER_WHOLE) {
        completed++;
        last_status = caller->answer.status;
        refused += last_status != 200;
        cut_short += options.mode == STREAMS && !caller->answer.saw_done;
        samples_add(&latency, now - caller->due);
    } else {
        failed++;
    }
    if (state != ANSWER_WHOLE || !caller->answer.keeps) {
        redial(caller);
    }
    go_on(caller, now);
}

static void on_readable(struct caller *caller)
{
    static char data[READ];
    ssize_t length = recv(caller->fd, data, sizeof data, MSG_DONTWAIT);
    int64_t now = clock_monotonic_us();
    bool had_begun = caller->answer.has_begun;
    enum answer_state state;
    size_t used;

    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (!caller->is_busy) {
        failed += length > 0; /* bytes that nobody asked for */
        redial(caller);
        return;
    }
    state = length > 0 ? answer_feed(&caller->answer, data, (size_t)length, now, &used) : ANSWER_BROKEN;
    if (caller->answer.has_begun && !had_begun) {
        samples_add(&first_byte, now - caller->began);
    }
    if (state == ANSWER_WHOLE && used < (size_t)length) {
        state = ANSWER_BROKEN;
    }
    if (state != ANSWER_MORE) {
        end_call(caller, state, now);
    }
}

static int64_t due_at(long number)
{
    double gap = options.mode == RATE ? 1e6 / (double)options.rate : 1e3 * (double)options.ramp / (double)wanted;

    return start + (int64_t)((double)number * gap);
}

static void arm(int64_t at)
{
    struct itimerspec when = { .it_value = { .tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000 } };

    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Issues what is due by now; closed: everything, once. */
static void on_timer(void)
{
    uint64_t ticks;
    int64_t now = clock_monotonic_us();
    long first_wave = options.mode == RATE ? wanted : options.connections;

    if (read(timer, &ticks, sizeof ticks) < 0) {
        return;
    }
    while (issued < first_wave && (options.mode == CLOSED || due_at(issued) <= now)) {
        struct caller *caller = idle;

        if (caller) {
            idle = caller->next_idle;
            call(caller, options.mode == RATE ? due_at(issued) : now);
        } else {
            overdue[overdue_last++] = due_at(issued);
        }
        issued++;
    }
    if (issued < first_wave) {
        arm(due_at(issued));
    }
}

static bool is_over(int64_t now)
{
    long ended = completed + failed;

    if (options.mode == CLOSED) {
        return now >= finish && (ended >= issued || now >= finish + GRACE_US);
    }
    return ended >= wanted * (options.mode == STREAMS ? options.repeats : 1) || now >= finish + GRACE_US;
}

static void run(void)
{
    struct epoll_event events[EVENTS], tick = { .events = EPOLLIN };

    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &tick);
    arm(start);
    while (!is_over(clock_monotonic_us())) {
        int ready = epoll_wait(loop, events, EVENTS, 100);

        for (int i = 0; i < ready; i++) {
            struct caller *caller = events[i].data.ptr;

            if (!caller) {
                on_timer();
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                send_rest(caller);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                on_readable(caller);
            }
        }
    }
}

static void tell(void)
{
    struct rusage own;
    double seconds = (double)(clock_monotonic_us() - start) / 1e6;
    size_t events = 0;

    getrusage(RUSAGE_SELF, &own);
    for (long i = 0; i < options.connections; i++) {
        events += callers[i].answer.events;
    }
    printf("{\"completed\":%ld,\"failed\":%ld,\"refused\":%ld,\"cut_short\":%ld,\"unanswered\":%ld,"
           "\"reconnects\":%ld,\"last_status\":%d,\"events\":%zu,\"seconds\":%.4f,\"cpu\":%lld,",
           completed, failed, refused, cut_short,
           (options.mode == STREAMS ? wanted * options.repeats : issued) - completed - failed, opened_anew, last_status,
           events, seconds,
           (long long)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1000000 + own.ru_utime.tv_usec +
               own.ru_stime.tv_usec);
    samples_print(&latency, "latency");
    samples_print(&first_byte, "first_byte");
    samples_print(&transit, "transit");
    printf("\"connections\":%ld}\n", options.connections);
}

static const char *value_of(const char *argument, const char *name)
{
    size_t length = strlen(name);

    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

static bool read_option(const char *argument)
{
    const char *value;

    if ((value = value_of(argument, "port"))) {
        options.port = value;
    } else if ((value = value_of(argument, "path"))) {
        options.path = value;
    } else if ((value = value_of(argument, "body"))) {
        options.body = value;
    } else if ((value = value_of(argument, "header"))) {
        buf_add_format(&headers, "%s\r\n", value);
    } else if ((value = value_of(argument, "connections"))) {
        options.connections = strtol(value, NULL, 10);
    } else if ((value = value_of(argument, "seconds"))) {
        options.seconds = strtod(value, NULL);
    } else if ((value = value_of(argument, "rate"))) {
        options.rate = strtol(value, NULL, 10);
    } else if ((value = value_of(argument, "repeats"))) {
        options.repeats = strtol(value, NULL, 10);
    } else if ((value = value_of(argument, "ramp"))) {
        options.ramp = strtol(value, NULL, 10);
    } else if ((value = value_of(argument, "keys"))) {
        options.keys = strtol(value, NULL, 10);
    }
    return value != NULL;
}

static bool read_options(int count, char **arguments)
{
    static const char *const names[] = { "closed", "rate", "streams" };
    bool known = false;

    for (int mode = CLOSED; count > 1 && mode <= STREAMS; mode++) {
        if (strcmp(arguments[1], names[mode]) == 0) {
            options.mode = (enum mode)mode;
            known = true;
        }
    }
    for (int i = 2; i < count; i++) {
        if (!read_option(arguments[i])) {
            fprintf(stderr, "load: no such option: %s\n", arguments[i]);
            return false;
        }
    }
    known = known && *options.port && *options.body && options.connections > 0 && options.rate > 0;
    if (!known) {
        fprintf(stderr, "load closed|rate|streams port= body= [...]: see the head of load.c\n");
    }
    return known;
}

static void write_request(void)
{
    struct buf body = { 0 };
    FILE *file = fopen(options.body, "rbe");
    size_t length;

    if (!file) {
        die(options.body);
    }
    do {
        buf_reserve(&body, READ);
        length = fread(body.data + body.length, 1, READ, file);
        body.length += length;
    } while (length > 0);
    (void)fclose(file);
    if (options.keys > 0) {
        buf_add_text(&headers, "Authorization: Bearer sk-bench-0000000\r\n");
    }
    buf_add_format(&request,
                   "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\nContent-Length: "
                   "%zu\r\n%s\r\n",
                   options.path, options.port, body.length, headers.length ? buf_text_of(&headers) : "");
    key_at = request.length - KEY_DIGITS - strlen("\r\n\r\n"); /* the last header is the key's */
    buf_add(&request, body.data, body.length);
    buf_free(&body);
}

int main(int count, char **arguments)
{
    struct rlimit files;

    if (!read_options(count, arguments)) {
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    write_request();
    loop = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    wanted = options.mode == RATE ? (long)((double)options.rate * options.seconds) : options.connections;
    overdue = mem_alloc(sizeof *overdue * (size_t)wanted);
    callers = mem_zero(sizeof *callers * (size_t)options.connections);
    for (long i = options.connections - 1; i >= 0; i--) {
        callers[i].answer.transit = options.mode == STREAMS ? &transit : NULL;
        callers[i].repeats = options.repeats;
        callers[i].next_idle = idle;
        idle = &callers[i];
        dial(idle);
    }
    start = clock_monotonic_us() + 20000;
    finish = start + (int64_t)((options.mode == STREAMS ? 120 : options.seconds) * 1e6);
    run();
    tell();
    return 0;
}
