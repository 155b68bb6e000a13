/*
 * usual_head.h - the fields of a head of HTTP/1.1 as nearly every one is: it has
 * come whole, and nothing in it tells where its body ends but one length. All
 * others, good or bad, are llhttp's to read: here the answer is only that it is
 * not such a one. request_reader.c and reply_reader.c ask first.
 */
#ifndef NET_USUAL_HEAD_H
#define NET_USUAL_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct headers;

struct usual_length {
    bool is_told;
    uint64_t bytes;
};

/* The line at that place, with its two last bytes: without them length bytes. NULL: it has not come whole, or ends
 * otherwise. */
const char *usual_head_line(const char *at, const char *end, size_t *length);
/* What stands between POST and HTTP/1.1 in a request's line; NULL: it has others. */
const char *usual_head_target(const char *line, size_t length, size_t *target_length);
/*
 * Adds the fields behind a start line, at most so many. Returns where the body begins; NULL: it is no usual head, and
 * headers may hold some of it.
 */
const char *usual_head_fields(const char *at, const char *end, size_t most, struct headers *headers,
                              struct usual_length *length);

#endif
