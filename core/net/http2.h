/*
 * http2.h - calls to providers that ask for HTTP/2: libcurl's multi interface,
 * with pooled connections. One that turns out to know HTTP/1.1 alone is spoken
 * to in it. libcurl's traps are closed in http2.c and http2_call.c and nowhere
 * else. Private to upstream.c; one an upstream.
 */
#ifndef NET_HTTP2_H
#define NET_HTTP2_H

struct http2;
struct loop;
struct resolver;
struct transfer;
struct transfer_hooks;
struct upstream_request;

struct http2 *http2_new(struct loop *loop, struct resolver *resolver);
/* Cancels what is under way. NULL is fine. */
void http2_free(struct http2 *http2);
/* As upstream_send. */
struct transfer *http2_send(struct http2 *http2, const struct upstream_request *request,
                            const struct transfer_hooks *hooks, void *arg);

#endif
