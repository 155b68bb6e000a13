/* redis_news.c - see redis_news.h. */
#include "store/redis_news.h"

#include "base/mem.h"

struct redis_news {
    struct redis *redis;
};

struct redis_news *redis_news_new(struct redis *redis)
{
    struct redis_news *news = mem_zero(sizeof *news);

    news->redis = redis;
    return news;
}

void redis_news_free(struct redis_news *news)
{
    mem_free(news);
}

void redis_news_keep_key(struct redis_news *news, const struct store_key *key, struct answer answer)
{
    (void)news;
    (void)key;
    answer_give(&answer, true);
}

bool redis_news_load(struct redis_news *news, struct redis_line *line)
{
    (void)news;
    (void)line;
    return true;
}

void redis_news_publish(struct redis_news *news, struct redis_line *line)
{
    (void)news;
    (void)line;
}

void redis_news_heard(struct redis_news *news, const char *text, size_t length)
{
    (void)news;
    (void)text;
    (void)length;
}
