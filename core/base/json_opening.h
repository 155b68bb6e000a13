/* json_opening.h - what a list in a scanned text is known by: how it begins. */
#ifndef BASE_JSON_OPENING_H
#define BASE_JSON_OPENING_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct json_index;

/* Its items up to the first that has this member, a string of this value. */
struct json_opening {
    const char *owner, *name, *value;
    size_t owner_length, name_length, value_length;
    size_t items; /* at most so many */
    size_t bytes; /* of each so many */
};

/* A number for how an array begins, another for each owner and in every process. scratch is empty, and left so. */
uint64_t json_opening(struct buf *scratch, const char *text, struct json_index *index, size_t list,
                      const struct json_opening *opening);

#endif
