/*
 * fetch.h - one HTTP call that blocks: for commands and start-up, before there
 * is a loop. Never for a worker.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stddef.h>

struct buf;
struct headers;

struct fetch {
    const char *method, *url;
    const struct headers *headers;
    const char *body; /* NULL: none */
    size_t length;
    double seconds; /* the whole call may take */
    /* PEM: the one certificate that a server with TLS may show, for whatever name. NULL: one that the system trusts. */
    const char *certificate;
};

/* The status, with the body (64 MiB at most) in reply; or 0 and a sentence in error. */
int fetch(const struct fetch *call, struct buf *reply, char *error, size_t error_size);

#endif
