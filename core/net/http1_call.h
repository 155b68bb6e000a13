/*
 * http1_call.h - one call over HTTP/1.1. Private to http1.c, which finds it a
 * connection and keeps the clocks, and to http1_exchange.c, which sends the
 * request and reads the reply.
 */
#ifndef NET_HTTP1_CALL_H
#define NET_HTTP1_CALL_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "net/destination.h"
#include "net/reply_reader.h"
#include "net/transfer.h"

struct connection;
struct dial;
struct loop;
struct lookup;
struct origin;
struct pool;
struct resolver;
struct trust;

enum { HTTP1_READ_BYTES = 16 * 1024 };

/* DUE: it begins at the end of this turn of the loop. */
enum phase { CONNECTING, WAITING, STREAMING, DUE };

TAILQ_HEAD(calls, http1_call);

struct http1 {
    struct event_base *base;
    struct loop *loop;
    struct resolver *resolver;
    struct pool *pool;
    struct trust *trust;
    struct destinations destinations;
    struct calls calls;
    struct calls due; /* those that are in this phase, and in no other list */
    int64_t due_since_us;
    struct event turn;
    char room[HTTP1_READ_BYTES]; /* into which all calls read: none keeps a buffer */
};

struct http1_call {
    struct transfer transfer; /* first: a transfer is a call */

    /* What a piece of the reply needs, side by side: among many streams none of it is in the processor's cache. */
    struct connection *connection;
    struct reply_reader *reader;
    struct http1 *http1;
    void *arg;
    struct transfer_hooks hooks;
    int64_t deadline_us; /* INT64_MAX: none */
    int64_t armed_us;    /* when clock fires; it is not moved for a later deadline */
    double idle_s;
    enum phase phase;
    bool has_sent, has_received;
    bool is_deaf;     /* the provider takes no more of the request */
    bool has_surplus; /* bytes came behind the reply */
    bool paused, cancelled, ended;
    bool running; /* on the stack: whoever ends it leaves its memory */
    bool is_over; /* outcome is known, but held comes before it */
    size_t head_sent, body_length, body_sent;
    struct buf head; /* freed once it is sent */
    struct buf held; /* of the body, read but not taken: no more than one reading's */

    bool is_head;     /* its reply has no body */
    bool needs_fresh; /* no kept connection will do */
    bool is_reused;   /* its connection was kept */
    const char *body;
    struct destination *destination;
    struct origin *origin;
    struct lookup *lookup;
    struct dial *dial;
    double connect_s, first_byte_s;
    struct event clock;
    enum reply_outcome outcome;
    char *refusal; /* the end is known, and told by the clock */
    enum transfer_end end;
    TAILQ_ENTRY(http1_call) entry;
};

/* The connection stands: the request goes out. */
void http1_exchange_start(struct http1_call *call);
/* It is ready for something: writes, reads, calls hooks, ends the call. */
void http1_exchange_go_on(struct http1_call *call);
/* What the connection is to tell of: called where a pause begins or ends. */
void http1_exchange_want(struct http1_call *call);

/* What http1_exchange.c asks of http1.c. The next sign of progress comes within seconds (0: no bound). */
void http1_set_deadline(struct http1_call *call, double seconds);
/* The last hook. The call is gone, or, if it runs, will be. */
void http1_finish(struct http1_call *call, enum transfer_end end, const char *message);
/* The kept connection was dead before anything was sent: the request goes over a new one. */
void http1_start_anew(struct http1_call *call);

#endif
