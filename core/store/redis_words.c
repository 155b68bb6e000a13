/* redis_words.c - see redis_words.h. Texts move while the buffer grows: until the list is asked for they are offsets.
 */
#include "store/redis_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/redis.h"

struct redis_words_span {
    size_t offset, length;
};

static void add(struct redis_words *words, struct redis_words_span **spans, size_t *count, size_t *room,
                const char *text, size_t length)
{
    if (*count == *room) {
        *room = *room ? *room * 2 : 16;
        *spans = mem_resize(*spans, *room * sizeof **spans);
    }
    (*spans)[(*count)++] = (struct redis_words_span){ words->text.length, length };
    buf_add(&words->text, text, length);
}

void redis_words_key(struct redis_words *words, const char *text, size_t length)
{
    add(words, &words->keys, &words->key_count, &words->key_room, text, length);
}

void redis_words_text(struct redis_words *words, const char *text)
{
    add(words, &words->others, &words->other_count, &words->other_room, text, strlen(text));
}

void redis_words_integer(struct redis_words *words, int64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, number);
    redis_words_text(words, text);
}

static void fill(const struct redis_words *words, struct redis_word *list, const struct redis_words_span *spans,
                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i] = (struct redis_word){ words->text.data + spans[i].offset, spans[i].length };
}

const struct redis_word *redis_words_list(struct redis_words *words)
{
    words->list = mem_resize(words->list, (words->key_count + words->other_count + 1) * sizeof *words->list);
    fill(words, words->list, words->keys, words->key_count);
    fill(words, words->list + words->key_count, words->others, words->other_count);
    return words->list;
}

void redis_words_free(struct redis_words *words)
{
    buf_free(&words->text);
    mem_free(words->keys);
    mem_free(words->others);
    mem_free(words->list);
    *words = (struct redis_words){ 0 };
}
