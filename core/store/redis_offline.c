/* redis_offline.c - see redis_offline.h. */
#include "store/redis_offline.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/backend.h"
#include "store/imports.h"
#include "store/redis_keys.h"
#include "store/redis_ledger.h"
#include "store/redis_models.h"
#include "store/redis_place.h"
#include "store/redis_usage.h"
#include "store/usage.h"

/* One that does not answer at all is not waited for as long as one that is slow. */
static const double FIRST_TIMEOUT = 1, TIMEOUT = 5;

struct offline {
    struct redis_line *line;
    char name[REDIS_NAME_SIZE];
};

static void close_offline(struct store *store)
{
    struct offline *offline = store->own;

    redis_line_close(offline->line);
    mem_free(offline);
}

static bool problem(struct store *store, char *text, size_t size)
{
    struct offline *offline = store->own;

    snprintf(text, size, "Redis at %s %s", offline->name,
             redis_line_is_broken(offline->line) ? "gave no answer" : "does not give what was asked for");
    return true;
}

/* Once a line is broken it stays so: the command ends. */
static void keep_key(struct store *store, const struct store_key *key, struct answer answer)
{
    struct offline *offline = store->own;
    struct redis_order order = { 0 };
    struct redis_reply *reply;
    bool is_kept;

    redis_keys_order(store->keys, key, &order);
    reply = redis_order_run(&order, offline->line);
    is_kept = redis_keys_is_kept(reply);
    if (!is_kept)
        redis_keys_give_up(store->keys, key);
    redis_reply_free(reply);
    redis_order_free(&order);
    answer_give(&answer, is_kept);
}

static void keep_import(struct store *store, const struct store_import *import, struct answer answer)
{
    struct offline *offline = store->own;

    answer_give(&answer, redis_models_keep(offline->line, import, false) >= 0);
}

static bool each_source(struct store *store, void (*each)(void *arg, const struct store_import *), void *arg)
{
    struct offline *offline = store->own;

    if (!redis_models_load(store->imports, offline->line))
        return false;
    imports_each_source(store->imports, each, arg);
    return true;
}

static bool each_import(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                        void *arg)
{
    struct offline *offline = store->own;

    return redis_models_each_import(offline->line, since, each, arg);
}

static int read_rows(struct store *store, struct store_place *place, int64_t until, int count, struct row **rows)
{
    struct offline *offline = store->own;

    return redis_ledger_read(offline->line, place, until, count, rows);
}

static bool usage_of(struct store *store, struct usage *usage)
{
    struct offline *offline = store->own;

    if (usage_query(usage)->by == STORE_BY_REQUEST)
        return usage_read_pages(usage, store);
    return redis_usage_read(offline->line, usage);
}

static const struct backend backend_offline = {
    .scheme = "redis",
    .close = close_offline,
    .problem = problem,
    .keep_key = keep_key,
    .keep_import = keep_import,
    .each_source = each_source,
    .each_import = each_import,
    .read_rows = read_rows,
    .usage = usage_of,
};

bool redis_offline_open_reader(struct store *store, const char *place, char *error, size_t error_size)
{
    struct offline *offline = mem_zero(sizeof *offline);
    struct redis_address address;
    char folder[PATH_MAX];

    if (redis_place_parse(place, &address, folder, sizeof folder, error, error_size)) {
        redis_name(&address, offline->name);
        offline->line = redis_line_open(&address, FIRST_TIMEOUT, error, error_size);
        if (offline->line) {
            redis_line_close(offline->line);
            offline->line = redis_line_open(&address, TIMEOUT, error, error_size);
        }
    }
    if (!offline->line) {
        mem_free(offline);
        return false;
    }
    store->backend = &backend_offline;
    store->own = offline;
    return true;
}

bool redis_offline_open_keys(struct store *store, const char *place, char *error, size_t error_size)
{
    if (!redis_offline_open_reader(store, place, error, error_size))
        return false;
    if (redis_keys_load(store->keys, ((struct offline *)store->own)->line))
        return true;
    problem(store, error, error_size);
    close_offline(store);
    return false;
}
