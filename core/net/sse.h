/*
 * sse.h - cuts a byte stream into server-sent events, wherever the network cut
 * it: LF, CR LF and CR line ends, comments, several data lines, a BOM. Or into
 * lines, for streams that are one JSON text a line.
 */
#ifndef NET_SSE_H
#define NET_SSE_H

#include <stdbool.h>
#include <stddef.h>

struct sse;

struct sse_event {
    const char *raw; /* the event's own bytes, its blank line included */
    size_t raw_length;
    const char *name; /* the event field; "" if none */
    size_t name_length;
    const char *data; /* data lines joined by LF; NULL when it has none (comments, blank lines) */
    size_t data_length;
    const char *lacks; /* line ends that raw lacks because the stream ended before them; "" */
};

/* An event of more than max_bytes is an error. */
struct sse *sse_new(size_t max_bytes);
void sse_free(struct sse *sse);
/* From the first byte on, each line is an event and its data, ended by LF or CR LF; an empty one has no data. */
void sse_lines(struct sse *sse);
/* Hands every event that is complete to on_event, in order. on_event may return false to stop: what is left of data is
 * kept and comes with the next push. An event stands in data, or in what was kept, until the next call. False: an event
 * was too large; nothing more can be read. */
bool sse_push(struct sse *sse, const char *data, size_t length,
              bool (*on_event)(void *arg, const struct sse_event *event), void *arg);
/* Between two pushes: gives back the memory of events that nobody looks at any more, where nothing waits behind them.
 */
void sse_rest(struct sse *sse);
/* At the end of the stream: a last event without its blank line counts (many servers leave it out). */
bool sse_finish(struct sse *sse, bool (*on_event)(void *arg, const struct sse_event *event), void *arg);

#endif
