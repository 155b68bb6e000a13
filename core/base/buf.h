/*
 * buf.h - a growing run of bytes. Zero-initialised is empty and owns nothing;
 * data is not NUL-terminated unless buf_text_of is asked for it.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data;
    size_t length;
    size_t capacity;
};

void buf_reserve(struct buf *buf, size_t extra);

/* Here, since most of what is added is a few bytes, whose number the compiler knows. */
static inline void buf_add(struct buf *buf, const void *data, size_t length)
{
    if (!length)
        return;
    if (buf->capacity - buf->length < length)
        buf_reserve(buf, length);
    memcpy(buf->data + buf->length, data, length);
    buf->length += length;
}

static inline void buf_add_char(struct buf *buf, char c)
{
    if (buf->length == buf->capacity)
        buf_reserve(buf, 1);
    buf->data[buf->length++] = c;
}

void buf_add_text(struct buf *buf, const char *text);
void buf_add_integer(struct buf *buf, int64_t number);
void buf_add_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends text as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void buf_add_json(struct buf *buf, const char *text, size_t length);
/* Removes length bytes from the front. */
void buf_drop(struct buf *buf, size_t length);
/* The bytes as a C string, valid until the next change. */
const char *buf_text_of(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_free(struct buf *buf);  /* back to empty */

#endif
