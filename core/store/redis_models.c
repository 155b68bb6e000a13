/* redis_models.c - see redis_models.h. */
#include "store/redis_models.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/imports.h"
#include "store/redis_mend.h"
#include "store/redis_scripts.h"

enum { PAGE = 20 };

static const char MODELS[] = "moongate:models", CHANGES[] = "moongate:models:changes", CHANNEL[] = "moongate:news";

void redis_models_order(struct redis_order *order, const struct store_import *import, bool is_copy)
{
    redis_order_begin(order, &redis_script_keep_models);
    redis_order_key(order, MODELS, NULL);
    redis_order_key(order, CHANGES, NULL);
    redis_words_text(&order->words, CHANNEL);
    redis_words_text(&order->words, import->source);
    redis_words_integer(&order->words, import->time);
    redis_words_text(&order->words, import->models ? import->models : "");
    redis_words_text(&order->words, import->changes ? import->changes : "");
    redis_words_text(&order->words, is_copy ? "1" : "0");
}

int64_t redis_models_time(const struct redis_reply *reply)
{
    return redis_kind(reply) == REDIS_TEXT ? redis_integer(reply) : -1;
}

int64_t redis_models_keep(struct redis_line *line, const struct store_import *import, bool is_copy)
{
    struct redis_order order = { 0 };
    struct redis_reply *reply;
    int64_t time;

    redis_models_order(&order, import, is_copy);
    reply = redis_order_run(&order, line);
    while (redis_mend_named(line, reply)) {
        redis_reply_free(reply);
        reply = redis_order_run(&order, line);
    }
    time = redis_models_time(reply);
    redis_reply_free(reply);
    redis_order_free(&order);
    return time;
}

bool redis_models_mend(struct redis_line *line)
{
    return redis_mend_key(line, MODELS, "hash") && redis_mend_key(line, CHANGES, "zset");
}

static struct redis_reply *ask(struct redis_line *line, const char *const *texts, size_t count)
{
    struct redis_word words[8];

    for (size_t i = 0; i < count; i++)
        words[i] = (struct redis_word){ texts[i], strlen(texts[i]) };
    return redis_line_call(line, words, count);
}

/* Of a source what Redis has: "time\nmodels". Anything else is passed over. */
static void put(struct imports *imports, const char *source, const char *text)
{
    char *models;
    int64_t time = strtoll(text, &models, 10);

    if (time > 0 && *models == '\n' && time != imports_time(imports, source))
        imports_put(imports, &(struct store_import){ .source = source, .time = time, .models = models + 1 });
}

/* ---- into the table, and back ---- */

struct copies {
    struct store_import **list;
    size_t count;
};

static void copy(void *arg, const struct store_import *import)
{
    struct copies *copies = arg;

    copies->list = mem_resize(copies->list, (copies->count + 1) * sizeof *copies->list);
    copies->list[copies->count++] = imports_copy(import);
}

/* Those that this process had before; Redis says for each whether it has it as new. */
static bool put_back(const struct copies *had, struct imports *imports, struct redis_line *line)
{
    bool is_good = true;

    for (size_t i = 0; is_good && i < had->count; i++)
        if (imports_time(imports, had->list[i]->source) == had->list[i]->time)
            is_good = redis_models_keep(line, had->list[i], true) >= 0;
    return is_good;
}

static int64_t time_in(const struct copies *had, const char *source)
{
    for (size_t i = 0; i < had->count; i++)
        if (strcmp(had->list[i]->source, source) == 0)
            return had->list[i]->time;
    return -1;
}

bool redis_models_load(struct imports *imports, struct redis_line *line)
{
    const char *const texts[] = { "HGETALL", MODELS };
    struct copies had = { 0 };
    struct redis_reply *all;
    bool is_good;

    all = ask(line, texts, 2);
    is_good = redis_kind(all) == REDIS_ARRAY;
    imports_each_source(imports, copy, &had);
    for (size_t i = 0; i + 1 < redis_count(all); i += 2) {
        const char *source = redis_text(redis_item(all, i), NULL), *text = redis_text(redis_item(all, i + 1), NULL);

        if (strtoll(text, NULL, 10) > time_in(&had, source))
            put(imports, source, text);
    }
    redis_reply_free(all);
    is_good = is_good && put_back(&had, imports, line);
    for (size_t i = 0; i < had.count; i++)
        mem_free(had.list[i]);
    mem_free(had.list);
    return is_good;
}

bool redis_models_fetch(struct imports *imports, struct redis_line *line, const char *source)
{
    const char *const texts[] = { "HGET", MODELS, source };
    struct redis_reply *reply = ask(line, texts, 3);
    bool is_good = redis_kind(reply) == REDIS_TEXT;

    if (is_good)
        put(imports, source, redis_text(reply, NULL));
    is_good = is_good || redis_kind(reply) == REDIS_NIL;
    redis_reply_free(reply);
    return is_good;
}

/* ---- what imports changed ---- */

/* "number\nsource\nchanges" */
static void see(const char *text, int64_t time, void (*each)(void *arg, const struct store_import *), void *arg)
{
    const char *source = strchr(text, '\n'), *changes = source ? strchr(source + 1, '\n') : NULL;
    struct store_import import = { .time = time, .models = "" };
    char *name;

    if (!changes)
        return;
    name = mem_copy(source + 1, (size_t)(changes - source - 1));
    import.source = name;
    import.changes = changes + 1;
    each(arg, &import);
    mem_free(name);
}

bool redis_models_each_import(struct redis_line *line, int64_t since,
                              void (*each)(void *arg, const struct store_import *), void *arg)
{
    char from[24], offset[24], page[24];
    const char *const texts[] = { "ZRANGEBYSCORE", CHANGES, from, "+inf", "WITHSCORES", "LIMIT", offset, page };
    size_t passed = 0, got;
    bool is_good;

    snprintf(from, sizeof from, "%" PRId64, since);
    snprintf(page, sizeof page, "%d", PAGE);
    do {
        struct redis_reply *reply;

        snprintf(offset, sizeof offset, "%zu", passed);
        reply = ask(line, texts, 8);
        is_good = redis_kind(reply) == REDIS_ARRAY;
        got = redis_count(reply) / 2;
        for (size_t i = 0; i < got; i++)
            see(redis_text(redis_item(reply, 2 * i), NULL), redis_integer(redis_item(reply, 2 * i + 1)), each, arg);
        passed += got;
        redis_reply_free(reply);
    } while (is_good && got == PAGE);
    return is_good;
}
