/*
 * headers.h - an ordered list of HTTP header fields; names compare without
 * regard to case. Zero-initialised is empty.
 */
#ifndef BASE_HEADERS_H
#define BASE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

struct header {
    char *name;  /* NUL-terminated */
    char *value; /* NUL-terminated */
};

struct headers {
    struct header *fields;
    size_t count;
    size_t capacity;
    struct headers_text *texts; /* what the fields point into */
};

/* Appends a copy. */
void headers_add(struct headers *headers, const char *name, const char *value);
void headers_add_bytes(struct headers *headers, const char *name, size_t name_length, const char *value,
                       size_t value_length);
/* The first value under that name, or NULL. */
const char *headers_get(const struct headers *headers, const char *name);
size_t headers_count(const struct headers *headers, const char *name);
/* True if the value holds no CR, LF, NUL or other control but tab: what may be sent on a wire. */
bool headers_is_clean(const char *value, size_t length);
bool headers_is_token(const char *name, size_t length);
void headers_free(struct headers *headers); /* back to empty */

#endif
