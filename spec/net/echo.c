/*
 * echo.c - a small server made of nothing but the edge: what the raw-socket
 * specs talk to. It prints its port, serves until GET /stop, and then gives
 * all memory back. Limits are given as name=value.
 *
 * It keeps a log of what the hooks were told; GET /log?WORD answers with the
 * log as soon as WORD stands in it, so that a spec waits for facts, not time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/mem.h"
#include "net/certificate.h"
#include "net/client.h"
#include "net/listener.h"
#include "net/loop.h"

struct stream {
    struct client *client;
    size_t left, size, written;
};

struct server {
    struct loop *loop;
    struct listener *listener;
    struct client_limits limits;
    struct buf log;
    struct client *reader; /* of the log */
    char *awaited;
    size_t open;
    bool stopping;
};

static void answer(struct client *client, int status, const char *text)
{
    client_reply(client, status, NULL, text, strlen(text));
}

static void tell(struct server *server, const char *what, const char *which)
{
    struct client *reader = server->reader;

    buf_add_format(&server->log, "%s %s\n", what, which);
    if (reader && strstr(buf_text_of(&server->log), server->awaited)) {
        server->reader = NULL;
        answer(reader, 200, buf_text_of(&server->log));
    }
}

static void show_log(struct server *server, struct client *client, const char *awaited)
{
    if (strstr(buf_text_of(&server->log), awaited)) {
        answer(client, 200, buf_text_of(&server->log));
        return;
    }
    mem_free(server->awaited);
    server->awaited = mem_text(awaited);
    server->reader = client;
}

static size_t number_in(const char *query, const char *name, size_t otherwise)
{
    const char *at = strstr(query, name);

    return at ? strtoul(at + strlen(name), NULL, 10) : otherwise;
}

static void echo(struct client *client, const struct client_request *request)
{
    struct buf text = { 0 };
    struct headers headers = { 0 };

    buf_add_format(&text, "%s %s query=%s fields=%zu body=%zu:", request->method, request->path, request->query,
                   request->headers.count, request->body.length);
    buf_add(&text, request->body.data, request->body.length);
    headers_add(&headers, "x-echo", "yes");
    headers_add(&headers, "x-unclean", "a\r\nx-injected: 1");
    headers_add(&headers, "content-length", "1");
    client_reply(client, 200, &headers, text.data, text.length);
    headers_free(&headers);
    buf_free(&text);
}

static void pour(struct server *server, struct client *client)
{
    struct stream *stream = client_data(client);
    char *piece = mem_alloc(stream->size), text[32];
    bool more = true;

    memset(piece, 'x', stream->size);
    while (stream->left > 0 && more) {
        more = client_write(client, piece, stream->size);
        stream->left--;
        stream->written += stream->size;
    }
    mem_free(piece);
    if (!more) {
        snprintf(text, sizeof text, "%zu", stream->written);
        tell(server, "stopped", text);
    }
    if (stream->left == 0) {
        client_set_data(client, NULL);
        mem_free(stream);
        client_finish(client);
    }
}

static void start_stream(struct server *server, struct client *client, const char *query)
{
    struct stream *stream = mem_zero(sizeof *stream);

    stream->client = client;
    stream->left = number_in(query, "count=", 3);
    stream->size = number_in(query, "size=", 5);
    client_set_data(client, stream);
    client_begin(client, 200, NULL);
    pour(server, client);
}

static void on_later(void *arg)
{
    answer(arg, 200, "later");
}

static void on_request(void *arg, struct client *client, const struct client_request *request)
{
    struct server *server = arg;
    const char *path = request->path;

    if (strcmp(path, "/log") == 0) {
        show_log(server, client, request->query);
        return;
    }
    tell(server, "request", path);
    if (strcmp(path, "/stop") == 0) {
        server->stopping = true;
        client_retire(client);
        answer(client, 200, "stopping");
        listener_stop(server->listener);
        server->listener = NULL;
    } else if (strcmp(path, "/stream") == 0) {
        start_stream(server, client, request->query);
    } else if (strcmp(path, "/hold") == 0) {
        tell(server, "holding", request->peer);
    } else if (strcmp(path, "/later") == 0) {
        loop_after(server->loop, 0.001, on_later, client);
    } else if (strcmp(path, "/begin") == 0) {
        client_begin(client, 200, NULL);
        client_write(client, "first", 5);
    } else if (strcmp(path, "/abort") == 0) {
        client_begin(client, 200, NULL);
        client_write(client, "first", 5);
        client_abort(client);
    } else if (strcmp(path, "/cut") == 0) {
        client_abort(client);
    } else if (strcmp(path, "/retire") == 0) {
        client_retire(client);
        answer(client, 200, "retired");
    } else if (strcmp(path, "/empty") == 0) {
        client_reply(client, 204, NULL, "never sent", 10);
    } else {
        echo(client, request);
    }
}

static void on_refused(void *arg, struct client *client, const struct client_request *request, int status,
                       const char *message)
{
    tell(arg, "refused", request->path);
    answer(client, status, message);
}

static void on_gone(void *arg, struct client *client)
{
    struct server *server = arg;

    mem_free(client_data(client));
    if (server->reader == client)
        server->reader = NULL;
    tell(server, "gone", "");
}

static void on_drained(void *arg, struct client *client)
{
    tell(arg, "drained", "");
    pour(arg, client);
}

static void on_closed(void *arg, struct client *client)
{
    struct server *server = arg;

    (void)client;
    server->open--;
    tell(server, "closed", "");
    if (server->stopping && server->open == 0)
        loop_stop(server->loop);
}

static const struct client_hooks hooks = { on_request, on_refused, on_gone, on_drained, on_closed };

static void on_accept(void *arg, int accepted, struct tls *tls, const char *peer)
{
    struct server *server = arg;

    server->open++;
    client_open(server->loop, accepted, tls, peer, &server->limits, &hooks, server);
}

static void set_limits(struct client_limits *limits, int count, char **words)
{
    *limits = (struct client_limits){ 8192, 32768, 100, 1 << 20, 65536, 10, 30, 75, 30 };
    for (int i = 0; i < count; i++) {
        char *equals = strchr(words[i], '=');
        double value = equals ? strtod(equals + 1, NULL) : 0;
        size_t length = equals ? (size_t)(equals - words[i]) : 0;

#define NAMED(name) (length == sizeof #name - 1 && memcmp(words[i], #name, length) == 0)
        if (NAMED(target_bytes))
            limits->target_bytes = (size_t)value;
        else if (NAMED(header_bytes))
            limits->header_bytes = (size_t)value;
        else if (NAMED(header_count))
            limits->header_count = (size_t)value;
        else if (NAMED(body_bytes))
            limits->body_bytes = (size_t)value;
        else if (NAMED(output_bytes))
            limits->output_bytes = (size_t)value;
        else if (NAMED(header_s))
            limits->header_s = value;
        else if (NAMED(body_s))
            limits->body_s = value;
        else if (NAMED(idle_s))
            limits->idle_s = value;
        else if (NAMED(write_s))
            limits->write_s = value;
#undef NAMED
    }
}

/* "certificate=PATH" stands for PATH.pem and PATH.key. */
static struct certificate *find_certificate(int count, char **words)
{
    static const char name[] = "certificate=";
    struct certificate *certificate = NULL;
    char error[512];

    for (int i = 0; i < count; i++) {
        char *chain, *key;

        if (strncmp(words[i], name, sizeof name - 1) != 0)
            continue;
        chain = mem_format("%s.pem", words[i] + sizeof name - 1);
        key = mem_format("%s.key", words[i] + sizeof name - 1);
        certificate = certificate_open(chain, key, error, sizeof error);
        if (!certificate)
            fprintf(stderr, "%s\n", error);
        mem_free(chain);
        mem_free(key);
    }
    return certificate;
}

int main(int argc, char **argv)
{
    struct server server = { 0 };
    struct certificate *certificate = find_certificate(argc - 1, argv + 1);
    char error[256];
    int descriptor = listener_bind("127.0.0.1:0", true, error, sizeof error);

    if (descriptor < 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    /* A spec that fails must not leave a server behind. */
    alarm(1200);
    signal(SIGPIPE, SIG_IGN);
    set_limits(&server.limits, argc - 1, argv + 1);
    printf("%d\n", listener_port(descriptor));
    fflush(stdout);
    server.loop = loop_new();
    server.listener = listener_start(server.loop, descriptor, certificate, on_accept, &server);
    loop_run(server.loop);
    loop_free(server.loop);
    certificate_free(certificate);
    mem_free(server.awaited);
    buf_free(&server.log);
    return 0;
}
