/*
 * client.h - one connection of a caller: HTTP/1.1 read strictly, a request at
 * a time, and the reply written with back-pressure. It owns the deadlines, the
 * bounds and the notice that a caller left. It knows no Lua and no JSON.
 */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/headers.h"

struct loop;
struct client;
struct tls;

struct client_limits {
    size_t target_bytes; /* request line's target */
    size_t header_bytes; /* the whole header block */
    size_t header_count;
    size_t body_bytes;
    size_t output_bytes; /* unsent output at which client_write says stop */
    double header_s;     /* from the first byte of a request to the end of its headers; for a TLS handshake too */
    double body_s;       /* from there to the end of the body */
    double idle_s;       /* between two requests */
    double write_s;      /* without progress while output waits */
};

struct client_request {
    const char *method; /* "POST" */
    const char *target; /* as sent: "/v1/models?limit=3" */
    const char *path;   /* percent-decoded, without the query; no NUL in it */
    const char *query;  /* behind the "?", as sent; "" if none */
    const char *peer;   /* "127.0.0.1:54321" */
    struct headers headers;
    struct buf body;
    bool keep_alive;
};

struct client_hooks {
    /* A whole request is there. It is valid until the reply is finished, its body only until client_begin. The reply
     * may begin inside. */
    void (*on_request)(void *arg, struct client *client, const struct client_request *request);
    /*
     * What came can't be served: malformed, too large, too slow. request holds what was read so far (method and path
     * may be ""). The hook answers with client_reply; the connection closes after it.
     */
    void (*on_refused)(void *arg, struct client *client, const struct client_request *request, int status,
                       const char *message);
    /* The caller left between on_request and the end of its reply; the reply is moot. client is gone after this call.
     */
    void (*on_gone)(void *arg, struct client *client);
    /* Output has drained below the mark after client_write had said stop. */
    void (*on_drained)(void *arg, struct client *client);
    /* The connection is closed and the client is freed (always the last call; also after on_gone). */
    void (*on_closed)(void *arg, struct client *client);
};

/* Serves an accepted descriptor (over TLS, unless tls is NULL), which it now owns. limits and hooks must outlive it. */
struct client *client_open(struct loop *loop, int descriptor, struct tls *tls, const char *peer,
                           const struct client_limits *limits, const struct client_hooks *hooks, void *arg);
/* What the gate keeps with the request under way. */
void client_set_data(struct client *client, void *data);
void *client_data(const struct client *client);

/* A whole reply; content-length, date and connection are added. A HEAD gets the headers alone. */
void client_reply(struct client *client, int status, const struct headers *headers, const void *body, size_t length);
/* The same, of fields that stand ready (see reply.h). */
void client_answer(struct client *client, int status, const struct buf *ready, const void *body, size_t length);
/* The body of the request, for buf_free; the request has none from then on. */
struct buf client_take_body(struct client *client);
/* A reply whose length is not known: chunked, or until close for HTTP/1.0. */
void client_begin(struct client *client, int status, const struct headers *headers);
/* The same, of fields that stand ready. */
void client_start(struct client *client, int status, const struct buf *ready);
/* False: taken, but wait for on_drained before the next. */
bool client_write(struct client *client, const void *data, size_t length);
void client_finish(struct client *client);
/*
 * Ends a begun reply so that the caller sees it is not whole: what was written still goes out, then the connection is
 * cut without the last chunk. In any other state, or called again, it is cut at once.
 */
void client_abort(struct client *client);
/* Draining: an idle connection closes at once, a busy one after its reply. */
void client_retire(struct client *client);
/* Moving house: the next reply is its last, so that no request meets a closed door; one that stays idle closes soon. */
void client_wind_down(struct client *client);

#endif
