/*
 * transfer.h - the reply of one upstream call as it comes in, wherever it
 * comes from: a provider (upstream.c) or a script (canned.c). Hooks run on the
 * loop's thread; pause, resume and cancel may be called inside any of them.
 */
#ifndef NET_TRANSFER_H
#define NET_TRANSFER_H

#include <stddef.h>

struct headers;

enum transfer_end {
    TRANSFER_DONE,        /* the whole reply came */
    TRANSFER_UNRESOLVED,  /* no such host */
    TRANSFER_UNREACHABLE, /* refused, no route */
    TRANSFER_CONNECT_TIMEOUT,
    TRANSFER_TLS,                /* handshake or certificate */
    TRANSFER_FIRST_BYTE_TIMEOUT, /* no head in time */
    TRANSFER_IDLE_TIMEOUT,       /* silence in the midst of the body */
    TRANSFER_CUT,                /* closed, reset or shorter than announced */
    TRANSFER_MALFORMED,          /* not HTTP, or a head past all bounds */
    TRANSFER_IMPOSSIBLE          /* the request can't be sent: bad URL, unclean header */
};

struct transfer_hooks {
    /* The request's body has been sent, and need not stay. May be NULL; may never come. */
    void (*on_sent)(void *arg);
    /* The fields may be taken over (and emptied); what is left of them is freed. */
    void (*on_head)(void *arg, int status, struct headers *headers);
    void (*on_data)(void *arg, const char *data, size_t length);
    /* Always the last call, unless cancelled. The transfer is freed after it. message never holds a secret. */
    void (*on_end)(void *arg, enum transfer_end end, const char *message);
};

struct transfer {
    void (*pause)(struct transfer *transfer);
    void (*resume)(struct transfer *transfer);
    void (*cancel)(struct transfer *transfer);
};

/* No on_data until resumed (one that was already under way may still come); the idle clock stands still. */
void transfer_pause(struct transfer *transfer);
void transfer_resume(struct transfer *transfer);
/* Ends it without another hook; the transfer is gone. */
void transfer_cancel(struct transfer *transfer);
/* "unreachable", "first_byte_timeout", ...: as logs and attempts tell it. */
const char *transfer_end_name(enum transfer_end end);

#endif
