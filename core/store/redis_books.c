/* redis_books.c - see redis_books.h. */
#include "store/redis_books.h"

#include "base/clock.h"
#include "net/redis.h"
#include "store/redis_words.h"

/* The others bury a gateway that was silent for eleven minutes. */
static const int64_t FORGOTTEN_US = INT64_C(10) * 60 * 1000000;

static void add_key(struct redis_words *words, const char *prefix, const char *name)
{
    struct buf key = { 0 };

    buf_add_text(&key, prefix);
    buf_add_text(&key, name);
    redis_words_key(words, key.data, key.length);
    buf_free(&key);
}

void redis_books_begin(const struct redis_shares *shares, struct redis_words *words)
{
    add_key(words, "moongate:gateway:", shares->name);
    add_key(words, "moongate:touched:", shares->name);
    redis_words_text(words, shares->session);
    redis_words_text(words, shares->name);
}

bool redis_books_is_forgotten(const struct redis_shares *shares)
{
    return clock_monotonic_us() - shares->contact_us > FORGOTTEN_US;
}
