/*
 * http2_call.h - one upstream call as its libcurl handle sees it: what is asked, what
 * comes back, and how it ended. Private to http2.c, which keeps the clocks
 * and the multi handle, and to http2_call.c.
 */
#ifndef NET_HTTP2_CALL_H
#define NET_HTTP2_CALL_H

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/headers.h"
#include "net/transfer.h"

struct destination;
struct destinations;
struct lookup;
struct http2;
struct upstream_request;

enum phase { CONNECTING, WAITING, STREAMING };

struct http2_call {
    struct transfer transfer; /* first: a transfer is a call */
    struct http2 *http2;
    struct transfer_hooks hooks;
    void *arg;
    CURL *easy;
    bool added;                 /* to the multi handle */
    struct curl_slist *fields;  /* one block: the nodes, then their text */
    struct curl_slist resolved; /* what CURLOPT_RESOLVE is given */
    struct destination *destination;
    struct lookup *lookup;
    const char *body;
    size_t body_length, body_sent;

    enum phase phase;
    double connect_s, first_byte_s, idle_s;
    int64_t deadline_us; /* INT64_MAX: none */
    int64_t armed_us;    /* when clock fires; it is not moved for a later deadline */
    struct event clock;

    struct headers head;
    size_t head_bytes;
    int status;   /* 0: a status line comes next */
    bool paused;  /* wanted */
    bool stalled; /* libcurl has been told to pause */
    bool cancelled;
    bool refused; /* ... by us: end and message say why */
    bool ended;   /* on_end is running */
    enum transfer_end end;
    char message[CURL_ERROR_SIZE + 64];
    char error[CURL_ERROR_SIZE]; /* libcurl's words */

    bool queued; /* in chores */
    TAILQ_ENTRY(http2_call) chore;
    TAILQ_ENTRY(http2_call) entry;
};

/* Sets the handle up; addresses come later. NULL, or why it can't be sent. */
const char *http2_call_prepare(struct http2_call *call, const struct upstream_request *request,
                               struct destinations *destinations);
void http2_call_set_addresses(struct http2_call *call, const char *addresses);
/* Writes the message and tells the end. */
enum transfer_end http2_call_judge(struct http2_call *call, CURLcode code);
/* The call's own memory; the handle is http2.c's. */
void http2_call_free(struct http2_call *call);

/* What http2_call.c asks of http2.c: no more than seconds from now (0: no bound) until the next sign of progress. */
void http2_set_deadline(struct http2_call *call, double seconds);
/* Ends it, but not on this stack: the caller may be a hook, or libcurl. */
void http2_refuse(struct http2_call *call, enum transfer_end end, const char *message);

#endif
