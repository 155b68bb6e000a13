/* redis_words.h - the words of a Redis command, gathered one by one; all are copied. Zero-initialised is empty. */
#ifndef STORE_REDIS_WORDS_H
#define STORE_REDIS_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct redis_word;

struct redis_words {
    struct buf bytes;
    struct buf words; /* of struct redis_word, whose texts are set when they are asked for */
};

void redis_words_add(struct redis_words *words, const char *text); /* NULL is "" */
void redis_words_add_bytes(struct redis_words *words, const void *bytes, size_t length);
void redis_words_add_integer(struct redis_words *words, int64_t integer);
void redis_words_add_format(struct redis_words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t redis_words_count(const struct redis_words *words);
/* Valid until the next change. */
const struct redis_word *redis_words_list(struct redis_words *words);
void redis_words_clear(struct redis_words *words);
void redis_words_free(struct redis_words *words); /* back to empty */

#endif
