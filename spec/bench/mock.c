/*
 * mock.c - the provider of the benchmark: an OpenAI-shaped server that costs
 * much less than what is measured in front of it. One thread, epoll.
 *
 *   mock PORT...       on 127.0.0.1, until it is killed
 *
 * Any POST is answered whole, or as a stream where the body says
 * "stream":true. Words in the body set the pace, since gateways drop headers
 * and queries: "pace:delay=50,gap=20,chunks=60" (milliseconds; a delay comes
 * before the first byte, a gap between chunks). Each chunk tells when it was
 * made: "t@" and microseconds of the monotonic clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

enum { WHEEL = 4096, READ = 65536, BODY_MAX = 16 << 20, EVENTS = 256 };
enum stage { READING, DELAYED, STREAMING };

struct client {
    int fd;
    bool listens, writes, is_stream, is_last;
    enum stage stage;
    struct buf in, out;
    size_t head, body;
    long gap, chunks, sent;
    int64_t due; /* milliseconds */
    LIST_ENTRY(client) turn;
};

#define HEAD                                                                                                           \
    "HTTP/1.1 200 OK\r\nx-request-id: req_bench\r\nx-ratelimit-limit-requests: 100000\r\n"                             \
    "x-ratelimit-remaining-requests: 99999\r\nx-ratelimit-reset-requests: 6ms\r\n"                                     \
    "x-ratelimit-limit-tokens: 20000000\r\nx-ratelimit-remaining-tokens: 19999711\r\n"                                 \
    "x-ratelimit-reset-tokens: 8ms\r\n"
#define EVENT(CHOICES)                                                                                                 \
    "data: {\"id\":\"chatcmpl-Bench0000000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":"         \
    "1760000000,\"model\":\"bench-large\",\"system_fingerprint\":\"fp_bench\",\"choices\":[" CHOICES "}\n\n"

static const char whole[] =
    "{\"id\":\"chatcmpl-Bench0000000000000000000001\",\"object\":\"chat.completion\",\"created\":1760000000,"
    "\"model\":\"bench-large\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A quota is "
    "a "
    "promise about the future: so many requests in a minute, so many tokens in a day. Whoever keeps count of what is "
    "left can go to the best model that still has room, and tell the caller of the rest in good time; whoever does not "
    "finds out by being refused, and pays for it with a wait.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":"
    "\"stop\"}],\"usage\":{\"prompt_tokens\":231,\"completion_tokens\":58,\"total_tokens\":289,"
    "\"prompt_tokens_details\":{\"cached_tokens\":0}},\"system_fingerprint\":\"fp_bench\"}";
static const char stream_head[] = HEAD "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
                                       "Transfer-Encoding: chunked\r\n\r\n";
static const char first[] =
    EVENT("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]");
static const char middle[] = EVENT("{\"index\":0,\"delta\":{\"content\":\"t@%lld\"},\"finish_reason\":null}]");
static const char last[] = EVENT("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]");
static const char end[] =
    EVENT("],\"usage\":{\"prompt_tokens\":231,\"completion_tokens\":60,\"total_tokens\":291}") "data: [DONE]\n\n";

static int loop;
static struct buf reply;
static LIST_HEAD(turns, client) wheel[WHEEL]; /* by the millisecond they are due in */
static size_t waiting;
static int64_t turned; /* the last millisecond that was served */

static int64_t milliseconds(void)
{
    return clock_monotonic_us() / 1000;
}

static void wait_for(struct client *client, int64_t due)
{
    if (waiting++ == 0) {
        turned = milliseconds() - 1;
    }
    client->due = due > turned ? due : turned + 1;
    LIST_INSERT_HEAD(&wheel[client->due % WHEEL], client, turn);
}

static void stop_waiting(struct client *client)
{
    if (client->due) {
        LIST_REMOVE(client, turn);
        client->due = 0;
        waiting--;
    }
}

static void listen_for(struct client *client, bool writes)
{
    struct epoll_event event = { .events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = client };

    if (client->writes != writes) {
        client->writes = writes;
        epoll_ctl(loop, EPOLL_CTL_MOD, client->fd, &event);
    }
}

/* An error shows at the next read. */
static void flush(struct client *client)
{
    ssize_t written = send(client->fd, client->out.data, client->out.length, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (written > 0) {
        buf_drop(&client->out, (size_t)written);
    }
    listen_for(client, client->out.length > 0);
}

static void add_chunk(struct client *client, const char *text, size_t length)
{
    buf_add_format(&client->out, "%zx\r\n", length);
    buf_add(&client->out, text, length);
    buf_add(&client->out, "\r\n", 2);
}

static void finish(struct client *client)
{
    buf_drop(&client->in, client->head + client->body);
    client->head = 0;
    client->stage = READING;
    flush(client);
    if (client->is_last) {
        shutdown(client->fd, SHUT_WR);
    }
}

/* now: the millisecond it was due in, so that gaps do not drift. */
static void stream(struct client *client, int64_t now)
{
    char text[512];

    do {
        int length = snprintf(text, sizeof text, middle, (long long)clock_monotonic_us());
        add_chunk(client, text, (size_t)length);
        client->sent++;
    } while (client->sent < client->chunks && client->gap == 0);
    if (client->sent < client->chunks) {
        flush(client);
        wait_for(client, now + client->gap);
        return;
    }
    add_chunk(client, last, sizeof last - 1);
    add_chunk(client, end, sizeof end - 1);
    buf_add_text(&client->out, "0\r\n\r\n");
    finish(client);
}

static void answer(struct client *client)
{
    if (!client->is_stream) {
        buf_add(&client->out, reply.data, reply.length);
        finish(client);
        return;
    }
    buf_add(&client->out, stream_head, sizeof stream_head - 1);
    add_chunk(client, first, sizeof first - 1);
    client->stage = STREAMING;
    client->sent = 0;
    if (client->gap > 0) {
        flush(client);
        wait_for(client, milliseconds() + client->gap);
    } else {
        stream(client, 0);
    }
}

static long pace(const char *words, size_t length, const char *name, long otherwise)
{
    const char *found = words ? memmem(words, length, name, strlen(name)) : NULL;

    return found ? strtol(found + strlen(name), NULL, 10) : otherwise;
}

static bool read_head(struct client *client)
{
    char *stop = memmem(client->in.data, client->in.length, "\r\n\r\n", 4);
    const char *length;

    if (!stop) {
        return false;
    }
    stop[2] = 0;
    client->head = (size_t)(stop - client->in.data) + 4;
    length = strcasestr(client->in.data, "\r\ncontent-length:");
    client->body = length ? strtoul(length + 17, NULL, 10) : 0;
    client->is_last = strcasestr(client->in.data, "\r\nconnection: close") != NULL;
    if (strcasestr(client->in.data, "\r\nexpect: 100")) {
        buf_add_text(&client->out, "HTTP/1.1 100 Continue\r\n\r\n");
        flush(client);
    }
    return true;
}

/* Whether a request was answered at once, so that the next may be looked at. */
static bool handle(struct client *client)
{
    const char *body, *words;
    size_t length;
    long delay;

    if (client->stage != READING || client->in.length == 0 || (client->head == 0 && !read_head(client)) ||
        client->in.length < client->head + client->body) {
        return false;
    }
    body = client->in.data + client->head;
    words = memmem(body, client->body, "pace:", 5);
    length = words ? client->body - (size_t)(words - body) : 0;
    length = length > 80 ? 80 : length;
    delay = pace(words, length, "delay=", 0);
    client->gap = pace(words, length, "gap=", 0);
    client->chunks = pace(words, length, "chunks=", 60);
    client->is_stream = memmem(body, client->body, "\"stream\":true", 13) != NULL;
    if (delay > 0) {
        client->stage = DELAYED;
        wait_for(client, milliseconds() + delay);
        return false;
    }
    answer(client);
    return client->stage == READING;
}

static void drop(struct client *client)
{
    stop_waiting(client);
    close(client->fd);
    buf_free(&client->in);
    buf_free(&client->out);
    mem_free(client);
}

static void on_readable(struct client *client)
{
    ssize_t length;

    buf_reserve(&client->in, READ);
    length = recv(client->fd, client->in.data + client->in.length, READ, MSG_DONTWAIT);
    if (length == 0 || (length < 0 && errno != EAGAIN) || client->in.length > BODY_MAX) {
        drop(client);
        return;
    }
    client->in.length += length > 0 ? (size_t)length : 0;
    while (handle(client)) {
    }
    if (client->in.length == 0) {
        buf_free(&client->in); /* thousands of streams wait at once */
    }
}

static void resume(struct client *client)
{
    if (client->stage == DELAYED) {
        answer(client);
    } else {
        stream(client, turned);
    }
    while (handle(client)) {
    }
}

static void turn_wheel(void)
{
    int64_t now = milliseconds();

    while (waiting > 0 && turned < now) {
        struct client *client, *next;
        struct turns due = LIST_HEAD_INITIALIZER(due);

        turned++;
        for (client = LIST_FIRST(&wheel[turned % WHEEL]); client; client = next) {
            next = LIST_NEXT(client, turn);
            if (client->due <= turned) {
                LIST_REMOVE(client, turn);
                LIST_INSERT_HEAD(&due, client, turn);
            }
        }
        while ((client = LIST_FIRST(&due))) {
            stop_waiting(client);
            resume(client);
        }
    }
}

static void add(int fd, bool listens)
{
    struct client *client = mem_zero(sizeof *client);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

    client->fd = fd;
    client->listens = listens;
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int listener)
{
    int fd, on = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add(fd, false);
    }
}

static bool open_port(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
        perror(port);
        return false;
    }
    add(fd, true);
    return true;
}

int main(int count, char **arguments)
{
    struct epoll_event events[EVENTS];
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    buf_add_format(&reply, HEAD "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", sizeof whole - 1,
                   whole);
    loop = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 1; i < count; i++) {
        if (!open_port(arguments[i])) {
            return 1;
        }
    }
    for (;;) {
        int ready = epoll_wait(loop, events, EVENTS, waiting > 0 ? 1 : -1);

        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;

            if (client->listens) {
                accept_all(client->fd);
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                flush(client);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                on_readable(client);
            }
        }
        turn_wheel();
    }
}
