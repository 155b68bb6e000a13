/* upstream.c - see upstream.h. Who carries a call. libcurl is only woken when one asks for HTTP/2. */
#include "net/upstream.h"

#include <signal.h>
#include <strings.h>

#include "base/mem.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/libraries.h"

struct upstream {
    struct loop *loop;
    struct resolver *resolver;
    struct http1 *http1;
    struct http2 *http2; /* NULL: not needed so far */
};

void upstream_global_start(void)
{
    signal(SIGPIPE, SIG_IGN); /* a peer that closes is an error of one call */
    libraries_start();
}

void upstream_global_stop(void)
{
    libraries_stop();
}

struct transfer *upstream_send(struct upstream *upstream, const struct upstream_request *request,
                               const struct transfer_hooks *hooks, void *arg)
{
    /* Without TLS there is nothing to agree on HTTP/2 by. */
    if (!request->http2 || strncasecmp(request->url, "https:", sizeof "https:" - 1) != 0)
        return http1_send(upstream->http1, request, hooks, arg);
    if (!upstream->http2)
        upstream->http2 = http2_new(upstream->loop, upstream->resolver);
    return http2_send(upstream->http2, request, hooks, arg);
}

struct upstream *upstream_new(struct loop *loop, struct resolver *resolver)
{
    struct upstream *upstream = mem_zero(sizeof *upstream);

    upstream->loop = loop;
    upstream->resolver = resolver;
    upstream->http1 = http1_new(loop, resolver);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    http1_free(upstream->http1);
    http2_free(upstream->http2);
    mem_free(upstream);
}
