/* redis_order.c - see redis_order.h. */
#include "store/redis_order.h"

#include <string.h>

#include "base/mem.h"
#include "net/redis_line.h"
#include "net/redis_link.h"

void redis_order_begin(struct redis_order *order, struct redis_script *script)
{
    redis_words_free(&order->words);
    order->script = script;
}

void redis_order_key(struct redis_order *order, const char *begin, const char *name)
{
    char *key = mem_format("%s%s", begin, name ? name : "");

    redis_words_key(&order->words, key, strlen(key));
    mem_free(key);
}

void redis_order_send(struct redis_order *order, struct redis_link *link,
                      void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg)
{
    redis_link_run(link, order->script, order->words.key_count, redis_words_list(&order->words),
                   order->words.key_count + order->words.other_count, on_reply, arg);
}

struct redis_reply *redis_order_run(struct redis_order *order, struct redis_line *line)
{
    return redis_line_run(line, order->script, order->words.key_count, redis_words_list(&order->words),
                          order->words.key_count + order->words.other_count);
}

void redis_order_free(struct redis_order *order)
{
    redis_words_free(&order->words);
}
