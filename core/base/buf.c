/* buf.c - see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/utf8.h"

void buf_reserve(struct buf *buf, size_t extra)
{
    size_t needed = buf->length + extra;
    size_t capacity = buf->capacity ? buf->capacity : 64;

    if (needed <= buf->capacity)
        return;
    while (capacity < needed)
        capacity *= 2;
    buf->data = mem_resize(buf->data, capacity);
    buf->capacity = capacity;
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_integer(struct buf *buf, int64_t number)
{
    char digits[20], *first = digits + sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do
        *--first = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        buf_add_char(buf, '-');
    buf_add(buf, first, (size_t)(digits + sizeof digits - first));
}

void buf_add_format(struct buf *buf, const char *format, ...)
{
    va_list args;
    int length;

    buf_reserve(buf, 64);
    va_start(args, format);
    length = vsnprintf(buf->data + buf->length, buf->capacity - buf->length, format, args);
    va_end(args);
    if (length > 0 && (size_t)length >= buf->capacity - buf->length) {
        buf_reserve(buf, (size_t)length + 1);
        va_start(args, format);
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, args);
        va_end(args);
    }
    if (length > 0)
        buf->length += (size_t)length;
}

/* The bytes that stand in a JSON string as they are, before the first that may not, or is beyond ASCII. */
static size_t plain_bytes(const char *text, size_t length)
{
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        uint64_t word = bytes_word(text + i);

        if (bytes_less(word, 0x20) | bytes_high(word) | bytes_equal(word, '"') | bytes_equal(word, '\\'))
            break;
    }
    for (; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
    }
    return i;
}

void buf_add_json(struct buf *buf, const char *text, size_t length)
{
    size_t i = 0, plain = 0;

    buf_reserve(buf, length + 2);
    buf_add_char(buf, '"');
    for (;;) {
        unsigned char c;
        size_t size;

        i += plain_bytes(text + i, length - i);
        if (i == length)
            break;
        c = (unsigned char)text[i];
        size = c < 0x80 ? 1 : utf8_length(text + i, length - i);
        if (size > 1) {
            i += size;
            continue;
        }
        buf_add(buf, text + plain, i - plain);
        if (size == 0)
            buf_add_text(buf, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            buf_add_format(buf, "\\%c", c);
        else if (c == '\n')
            buf_add_text(buf, "\\n");
        else
            buf_add_format(buf, "\\u%04x", c);
        plain = ++i;
    }
    buf_add(buf, text + plain, i - plain);
    buf_add_char(buf, '"');
}

void buf_drop(struct buf *buf, size_t length)
{
    if (length >= buf->length) {
        buf->length = 0;
        return;
    }
    memmove(buf->data, buf->data + length, buf->length - length);
    buf->length -= length;
}

const char *buf_text_of(struct buf *buf)
{
    buf_reserve(buf, 1);
    buf->data[buf->length] = '\0';
    return buf->data;
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
}

void buf_free(struct buf *buf)
{
    mem_free(buf->data);
    *buf = (struct buf){ 0 };
}
