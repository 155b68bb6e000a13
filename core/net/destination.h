/*
 * destination.h - a URL taken apart once, for all the calls that go there: few
 * are called again and again. One set an upstream, on its thread.
 */
#ifndef NET_DESTINATION_H
#define NET_DESTINATION_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

/* The host and port as libcurl itself reads them, so that both look the same name up. */
struct destination {
    char *url;
    CURLU *parts;
    char *host, *port;
    size_t holders; /* calls, and the set while it knows it */
};

/* Zero-initialised is empty. */
struct destinations {
    struct hash by_url;
};

/* NULL: it is no URL. To be dropped. */
struct destination *destination_take(struct destinations *destinations, const char *url);
void destination_drop(struct destination *destination); /* NULL is fine */
/* Forgets them all; those that calls hold stay until they are dropped. */
void destination_forget_all(struct destinations *destinations);

#endif
