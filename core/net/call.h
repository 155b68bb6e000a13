/*
 * call.h - one upstream call as its libcurl handle sees it: what is asked, what
 * comes back, and how it ended. Private to upstream.c, which keeps the clocks
 * and the multi handle, and to call.c.
 */
#ifndef NET_CALL_H
#define NET_CALL_H

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
struct upstream;
struct upstream_request;

enum phase { CONNECTING, WAITING, STREAMING };

struct call {
    struct transfer transfer; /* first: a transfer is a call */
    struct upstream *upstream;
    struct transfer_hooks hooks;
    void *arg;
    CURL *easy;
    bool added;                 /* to the multi handle */
    struct curl_slist *fields;  /* one block: the nodes, then their text */
    struct curl_slist resolved; /* what CURLOPT_RESOLVE is given */
    struct destination *destination;
    bool is_rare; /* its handle has options that the next call must not find */
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
    TAILQ_ENTRY(call) chore;
    TAILQ_ENTRY(call) entry;
};

/* A handle for one call after the other. */
CURL *call_handle_new(void);
/* Sets the handle up; addresses come later. NULL, or why it can't be sent. */
const char *call_prepare(struct call *call, const struct upstream_request *request, struct destinations *destinations);
/* The handle is ready for another call's call_prepare. */
void call_clear_handle(struct call *call);
void call_set_addresses(struct call *call, const char *addresses);
/* Writes the message and tells the end. */
enum transfer_end call_judge(struct call *call, CURLcode code);
/* The call's own memory; the handle is upstream.c's. */
void call_free(struct call *call);

/* What call.c asks of upstream.c: no more than seconds from now (0: no bound) until the next sign of progress. */
void upstream_set_deadline(struct call *call, double seconds);
/* Ends it, but not on this stack: the caller may be a hook, or libcurl. */
void upstream_refuse(struct call *call, enum transfer_end end, const char *message);

#endif
