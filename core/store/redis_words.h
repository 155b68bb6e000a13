/* redis_words.h - the words of a command or script as they are put together: keys first, then the other arguments. */
#ifndef STORE_REDIS_WORDS_H
#define STORE_REDIS_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct redis_word;
struct redis_words_span;

/* Zero-initialised is empty. */
struct redis_words {
    struct buf text;
    struct redis_words_span *keys, *others;
    size_t key_count, other_count, key_room, other_room;
    struct redis_word *list;
};

void redis_words_key(struct redis_words *words, const char *text, size_t length);
void redis_words_text(struct redis_words *words, const char *text);
void redis_words_integer(struct redis_words *words, int64_t number);
/* All of them, keys first, valid until the next change. How many: key_count + other_count. */
const struct redis_word *redis_words_list(struct redis_words *words);
void redis_words_free(struct redis_words *words); /* back to empty */

#endif
