/*
 * fetch.h - one HTTP call that blocks: for commands and start-up, before there
 * is a loop. Never for a worker.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stddef.h>

struct buf;
struct headers;

/* The status, with the body (8 MiB at most) in reply; or 0 and a sentence in error. body may be NULL. */
int fetch(const char *method, const char *url, const struct headers *headers, const char *body, size_t length,
          double seconds, struct buf *reply, char *error, size_t error_size);

#endif
