/*
 * destination.h - a URL taken apart once, for all the calls that go there: few
 * are called again and again. One set an upstream, on its thread.
 */
#ifndef NET_DESTINATION_H
#define NET_DESTINATION_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

/* As libcurl itself reads it, so that whoever carries a call goes to the same place. */
struct destination {
    char *url;
    CURLU *parts;
    char *host; /* an IPv6 address stands in brackets */
    char *port;
    char *name;          /* the host without them: what a certificate is for */
    char *origin;        /* "https://host:port" */
    char *target;        /* path and query, as sent */
    char *authority;     /* the Host field: the port only where it is not the usual one */
    char *authorization; /* of a name and a password in the URL; else NULL */
    uint32_t scope;      /* the interface of a link-local address; 0: none */
    bool is_http, is_secure;
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
