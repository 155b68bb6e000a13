/*
 * http1.h - calls to providers over HTTP/1.1, plain or TLS, by kept
 * connections. Private to upstream.c; one an upstream.
 */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H

struct http1;
struct loop;
struct resolver;
struct transfer;
struct transfer_hooks;
struct upstream_request;

struct http1 *http1_new(struct loop *loop, struct resolver *resolver);
/* Cancels what is under way. */
void http1_free(struct http1 *http1);
/* As upstream_send. */
struct transfer *http1_send(struct http1 *http1, const struct upstream_request *request,
                            const struct transfer_hooks *hooks, void *arg);

#endif
