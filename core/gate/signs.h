/*
 * signs.h - what one event of a stream says of its answer. It is found by the
 * names of members (the marks), all in one pass over the bytes and without
 * parsing them. Used by pipe.c.
 */
#ifndef GATE_SIGNS_H
#define GATE_SIGNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/attempt.h"

struct buf;

enum { SIGNS_MARKS = 14, SIGNS_PLACES = 64 };

/* The marks as they are looked for. All streams of a protocol share them; of one thread. */
struct signs_marks {
    struct attempt_marks marks;
    struct signs_mark {
        const char *name;
        size_t length;
        int kind;
    } list[SIGNS_MARKS];
    size_t count;
    uint16_t places[SIGNS_PLACES]; /* a bit for each mark whose name leads there */
    int holders;
};

struct signs {
    int64_t text_bytes; /* of what the model wrote, escapes as they stand */
    int64_t tokens;     /* that the provider says the answer has used so far; 0: it does not say */
    bool usage;         /* there are figures */
    bool finish;        /* the answer is finished */
    bool hollow;        /* the array that is empty where usage stands alone */
    /* A member that says so, if it stands at the top. */
    bool maybe_error, maybe_last, maybe_ends, maybe_failed;
};

/* The caller is its first holder. */
struct signs_marks *signs_new(const struct attempt_marks *marks);
struct signs_marks *signs_hold(struct signs_marks *marks);
/* The last holder's frees it. */
void signs_drop(struct signs_marks *marks);
struct signs signs_read(const struct signs_marks *marks, const char *data, size_t length);
/* Appends what the model wrote, as it stands between the quotes. */
void signs_add_text(const struct signs_marks *marks, const char *data, size_t length, struct buf *out);

#endif
