/*
 * answer.h - reads one HTTP/1.1 answer after another from the bytes of a
 * connection, and counts a stream's events on the way. The load client's.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "samples.h"

enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_BROKEN };

/* Zero-initialised, but for `transit`, awaits a head. */
struct answer {
    struct buf text; /* the head; then the line of the stream that is not over */
    int status;
    bool keeps; /* the connection is good for another request */
    bool has_begun, saw_done;
    enum { IN_HEAD, IN_BODY, IN_SIZE, IN_EXTENSION, IN_CHUNK, AFTER_CHUNK, IN_TRAILER } part;
    size_t left; /* of the body, or of the chunk; of a trailer's line: its length so far */
    size_t events;
    struct samples *transit; /* how old each chunk is that says when it was made */
};

/* For the next answer on the same connection. */
void answer_reset(struct answer *answer);
/* Takes bytes that came at `now` (monotonic microseconds). How many were used is *used: after ANSWER_WHOLE, bytes that
 * are left over belong to nobody. */
enum answer_state answer_feed(struct answer *answer, const char *data, size_t length, int64_t now, size_t *used);

#endif
