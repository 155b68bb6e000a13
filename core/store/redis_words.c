/* redis_words.c - see redis_words.h. */
#include "store/redis_words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/redis.h"

void redis_words_add_bytes(struct redis_words *words, const void *bytes, size_t length)
{
    struct redis_word word = { NULL, length };

    buf_add(&words->bytes, bytes, length);
    buf_add(&words->words, &word, sizeof word);
}

void redis_words_add(struct redis_words *words, const char *text)
{
    redis_words_add_bytes(words, text ? text : "", text ? strlen(text) : 0);
}

void redis_words_add_integer(struct redis_words *words, int64_t integer)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRId64, integer);
    redis_words_add(words, digits);
}

void redis_words_add_format(struct redis_words *words, const char *format, ...)
{
    va_list values;
    char *text = NULL;
    int length;

    va_start(values, format);
    length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    text = mem_alloc((size_t)length + 1);
    va_start(values, format);
    vsnprintf(text, (size_t)length + 1, format, values);
    va_end(values);
    redis_words_add_bytes(words, text, (size_t)length);
    mem_free(text);
}

size_t redis_words_count(const struct redis_words *words)
{
    return words->words.length / sizeof(struct redis_word);
}

const struct redis_word *redis_words_list(struct redis_words *words)
{
    struct redis_word *list = (struct redis_word *)(void *)words->words.data;
    size_t at = 0;

    for (size_t i = 0; i < redis_words_count(words); i++) {
        list[i].text = words->bytes.data ? words->bytes.data + at : "";
        at += list[i].length;
    }
    return list;
}

void redis_words_clear(struct redis_words *words)
{
    buf_clear(&words->bytes);
    buf_clear(&words->words);
}

void redis_words_free(struct redis_words *words)
{
    buf_free(&words->bytes);
    buf_free(&words->words);
}
