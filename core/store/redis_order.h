/* redis_order.h - a script with its words, to be run by a link or a line. Zero-initialised is empty. */
#ifndef STORE_REDIS_ORDER_H
#define STORE_REDIS_ORDER_H

#include <stddef.h>

#include "store/redis_words.h"

struct redis_line;
struct redis_link;
struct redis_reply;
struct redis_script;

struct redis_order {
    struct redis_script *script;
    struct redis_words words;
};

/* Begins an order; what it held before is gone. */
void redis_order_begin(struct redis_order *order, struct redis_script *script);
/* One of its keys: what stands before, and a name behind it (may be NULL). */
void redis_order_key(struct redis_order *order, const char *begin, const char *name);
/* As redis_link_run and redis_line_run. */
void redis_order_send(struct redis_order *order, struct redis_link *link,
                      void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg);
struct redis_reply *redis_order_run(struct redis_order *order, struct redis_line *line);
void redis_order_free(struct redis_order *order); /* back to empty */

#endif
