/*
 * client_step.h - the inside of a client, for client.c and client_step.c alone:
 * what state a connection is in, and the one function that moves it on.
 */
#ifndef NET_CLIENT_STEP_H
#define NET_CLIENT_STEP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/wire.h"

struct client_hooks;
struct client_limits;
struct loop;
struct request_reader;

enum phase {
    PHASE_READING,   /* awaits or reads a request */
    PHASE_SERVING,   /* the gate has it */
    PHASE_FINISHED,  /* the reply is whole; the request is let go at the next step */
    PHASE_CLOSING,   /* the last reply goes out */
    PHASE_ABORTING,  /* the same for a reply that will never be whole */
    PHASE_LINGERING, /* all is said; what still comes is thrown away until the caller closes */
    PHASE_CUT        /* closed; the memory goes soon */
};

struct client {
    struct event event;
    struct wire wire;
    enum phase phase;
    bool refused, begun, chunked, bodiless, keep_alive, retired, winding_down;
    bool in_body;     /* since counts from the end of the head */
    bool stopped;     /* client_write said so; on_drained is owed */
    bool half_closed; /* the caller will send no more, or is gone */
    int64_t deadline; /* 0: none */
    int64_t armed;    /* when the timer goes off; 0: it does not */
    const struct client_limits *limits;
    /* So far what each piece of a reply needs: the fewer lines of cache, the better for many streams. */
    const struct client_hooks *hooks;
    void *arg;
    void *data;
    struct loop *loop;
    struct request_reader *reader; /* NULL between two requests */
    struct buf pending;            /* read together with an earlier request */
    size_t discarded;              /* while lingering */
    int64_t since;                 /* when the phase, or its present part, began */
    int64_t heard;                 /* while lingering: when it last read something */
    struct event timer;
    char peer[];
};

/* Begins to serve a connection whose fields are set. */
void client_step_start(struct client *client);
/* Asks the loop for a step soon: EV_WRITE if there is something to send, EV_READ if there may be something to read. */
void client_step_ask(struct client *client, short what);
/* Closes the connection now; the memory, and on_closed, follow from the loop. For use outside of a step. */
void client_step_cut(struct client *client, bool reset);

#endif
