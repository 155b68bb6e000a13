/*
 * upstream.h - calls to providers on one loop, with pooled connections:
 * HTTP/1.1 by our own client (http1.h), HTTP/2 by libcurl (http2.h). One a
 * worker.
 */
#ifndef NET_UPSTREAM_H
#define NET_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "net/transfer.h"

struct loop;
struct resolver;
struct upstream;

struct upstream_request {
    const char *method; /* "POST", "GET" */
    const char *url;
    const struct headers *headers; /* copied */
    const char *body;              /* not copied: must stay until the end */
    size_t body_length;
    bool http2;          /* offer HTTP/2 (over TLS), a stream a connection */
    double connect_s;    /* name, TCP and TLS together */
    double first_byte_s; /* from then to the reply's head */
    double idle_s;       /* between two pieces of the body */
    const char *ca_file; /* NULL: the system's */
    bool is_stream;      /* the reply comes in small pieces, over a long time: it is read into little memory */
};

/* Once a process, before any thread, and at its end. */
void upstream_global_start(void);
void upstream_global_stop(void);

struct upstream *upstream_new(struct loop *loop, struct resolver *resolver);
/* Cancels what is under way. */
void upstream_free(struct upstream *upstream);
struct transfer *upstream_send(struct upstream *upstream, const struct upstream_request *request,
                               const struct transfer_hooks *hooks, void *arg);

#endif
