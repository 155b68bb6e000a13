/*
 * pipe.h - the fast path of a streamed answer: events of a provider that speaks
 * the caller's protocol go on byte for byte, and what settling needs (usage,
 * end, error, length of the text) is picked out on the way. Where the answer
 * has a bound, the first event beyond it waits for a wider one. Used by
 * attempt.c.
 */
#ifndef GATE_PIPE_H
#define GATE_PIPE_H

#include <stdbool.h>

#include "gate/attempt.h"

struct exchange;
struct pipe;
struct signs_marks;
struct sse_event;

/* bound may be NULL: there is none. */
struct pipe *pipe_new(struct exchange *exchange, struct signs_marks *marks, const struct attempt_bound *bound);
void pipe_free(struct pipe *pipe); /* NULL is fine */
/* False: the stream has ended (terminal event or error), or its bound is reached; what comes behind is not read. The
 * event's bytes stay where they are until pipe_flush or pipe_go_on. */
bool pipe_event(struct pipe *pipe, const struct sse_event *event);
/* Sends what was gathered. False: the caller reads slowly; on_drained is called when there is room again. */
bool pipe_flush(struct pipe *pipe, void (*on_drained)(void *arg), void *arg);
/* Nothing goes to the exchange any more. */
void pipe_detach(struct pipe *pipe);
/* The event that waits goes on to the exchange, and what comes behind it up to the new bound. */
void pipe_go_on(struct pipe *pipe, struct exchange *exchange, const struct attempt_bound *bound);
bool pipe_is_over(const struct pipe *pipe);
/* An event waits: it is beyond the bound. */
bool pipe_is_spent(const struct pipe *pipe);
const struct attempt_piped *pipe_seen(const struct pipe *pipe);

#endif
