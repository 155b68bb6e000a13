/*
 * attempt.h - one call of a provider on behalf of an exchange: its reply read
 * as a whole, event by event, or piped straight to the caller. The deadlines
 * that need to know what content is are here; the others are the transfer's.
 */
#ifndef GATE_ATTEMPT_H
#define GATE_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/headers.h"
#include "net/transfer.h"

struct canned_reply;
struct exchange;
struct sse_event;
struct upstream_request;
struct worker;

enum {
    ATTEMPT_BODY_MAX = 32 * 1024 * 1024,  /* a whole reply; embeddings of large batches are the largest */
    ATTEMPT_EVENT_MAX = 8 * 1024 * 1024,  /* one stream event; images in base64 are the largest */
    ATTEMPT_KEPT_MAX = ATTEMPT_EVENT_MAX, /* of what went out: one event is to repeat it */
};

/* What the pipe looks for in each event, from the protocol's own table. Members stand here with their quotes. */
struct attempt_marks {
    char terminal[32];  /* data that ends the stream: [DONE] */
    char usage[32];     /* the member that tells usage: an object, a number or true */
    char error[32];     /* the member at the top that is an error */
    char finish[32];    /* the member that is a text once the answer is finished */
    char hollow[32];    /* the member that is an empty array in an event of usage alone */
    char last[32];      /* the member at the top that is true in the event that ends the stream */
    char text[4][32];   /* members whose strings are what the model wrote */
    char ends[4][32];   /* types of events that end the stream: their name, or their member "type" at the top */
    char failed[4][32]; /* types of events that are errors */
    char counts[4][32]; /* members whose figures add up to what the answer has used so far */
    bool hide_usage;    /* the caller did not ask for the event of usage alone */
    bool keep;          /* what went out is kept, for whoever has to end the stream */
};

/* How much of an answer may go out. */
struct attempt_bound {
    int64_t bytes;  /* of text, from the pipe's beginning */
    int64_t tokens; /* by the provider's own figures, where it tells them on the way */
};

/* What the pipe has seen; kept when the caller leaves or the provider breaks off. */
struct attempt_piped {
    bool terminal, finished, failed;
    bool spent;    /* an event waits: it is beyond the bound, and nothing behind it is read */
    bool overfull; /* more went out than may be kept: nothing of it is */
    int64_t text_bytes;
    int64_t events;
    struct buf usage;        /* data of the last event with usage figures */
    struct buf error;        /* data of the event that is an error */
    struct buf terminal_raw; /* the terminal event, held back until the ledger has its row */
    struct buf held;         /* the data of the event that waits */
    int64_t held_bytes;      /* its text, not counted above */
    struct buf kept; /* lines: the data of events without text, and each run of text between them as a JSON string */
};

struct attempt;
struct signs_marks; /* the same, ready to be looked for: see signs.h */

/* Begins the call. body: the request's, taken over (NULL: none). deadline_s bounds all of it; content_s the time to
 * attempt_content (0: no such bound). */
struct attempt *attempt_send(struct worker *worker, const struct upstream_request *request, char *body,
                             double deadline_s, double content_s);
struct attempt *attempt_play(struct worker *worker, struct canned_reply *reply, double deadline_s, double content_s);
/* Its stream is one of lines (see sse.h). To be said before anything is read. */
void attempt_lines(struct attempt *attempt);
/* Ends it, whatever it is doing. nearly_over: its last bytes get a second, so that the connection can be used again. */
void attempt_close(struct attempt *attempt, bool nearly_over);
/* Gives that second up, for all of them. */
void attempt_drop_all(struct worker *worker);

/*
 * Waiting: each of these is true when what it asks for is there or can never come. Otherwise on_ready is called once it
 * is. NULL takes the wish back.
 */
bool attempt_await_head(struct attempt *attempt, void (*on_ready)(void *arg), void *arg);
bool attempt_await_body(struct attempt *attempt, void (*on_ready)(void *arg), void *arg);
bool attempt_await_event(struct attempt *attempt, void (*on_ready)(void *arg), void *arg);
bool attempt_await_pipe(struct attempt *attempt, void (*on_ready)(void *arg), void *arg);
void attempt_forget(struct attempt *attempt);

/* The first content has come: the content deadline no longer counts. */
void attempt_content(struct attempt *attempt);
/* Everything from here on goes to the exchange's caller, but for what the marks say, up to the bound (NULL: none). */
void attempt_pipe(struct attempt *attempt, struct exchange *exchange, struct signs_marks *marks,
                  const struct attempt_bound *bound);
/* After it was spent: goes on up to the new bound. */
void attempt_pipe_on(struct attempt *attempt, struct exchange *exchange, const struct attempt_bound *bound);

/* The pipe's exchange may end from here on; what it has seen stays. */
void attempt_unpipe(struct attempt *attempt);

/* NULL while it goes on or ended well; else "unreachable", "first_content_timeout", "too_large", ... */
const char *attempt_failure(const struct attempt *attempt);
const char *attempt_message(const struct attempt *attempt);
bool attempt_is_over(const struct attempt *attempt);
int attempt_status(const struct attempt *attempt); /* 0: no head yet */
const struct headers *attempt_headers(const struct attempt *attempt);
const struct buf *attempt_body(const struct attempt *attempt);
/* The next event, if attempt_await_event said true; false: there is none any more. Valid until the next call. */
bool attempt_event(struct attempt *attempt, const char **name, size_t *name_length, const char **data,
                   size_t *data_length, const char **raw, size_t *raw_length);
const struct attempt_piped *attempt_piped(const struct attempt *attempt);

#endif
