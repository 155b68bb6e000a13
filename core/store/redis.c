/*
 * redis.c - see redis.h. The backend's table: opens its parts, and passes each
 * call to the one that answers it.
 */
#include "store/redis.h"

#include "base/mem.h"
#include "store/backend.h"
#include "store/redis_imports.h"
#include "store/redis_keeper.h"
#include "store/redis_news.h"
#include "store/redis_offline.h"
#include "store/redis_place.h"
#include "store/redis_reserve.h"
#include "store/redis_rows.h"
#include "store/redis_shares.h"
#include "store/redis_standing.h"
#include "store/redis_turns.h"
#include "store/usage.h"

bool redis_is_online(struct redis *redis, uint64_t *epoch)
{
    return redis_standing_of(redis->shares, epoch) == REDIS_ONLINE;
}

void redis_go_away(struct redis *redis, uint64_t epoch, const char *why)
{
    if (!redis_standing_go_away(redis->shares, epoch))
        return;
    redis_reserve_reset_links(redis);
    if (why)
        redis_keeper_note_away(redis->keeper, why);
    redis_keeper_wake(redis->keeper);
}

struct redis_link *redis_link_here(struct redis *redis)
{
    return redis_reserve_link(redis);
}

static void close_all(struct redis *redis)
{
    redis_keeper_stop(redis->keeper);
    redis_rows_free(redis->rows); /* which may still wake the keeper */
    redis_keeper_free(redis->keeper);
    redis_news_free(redis->news);
    redis_imports_free(redis->imports);
    redis_shares_free(redis->shares);
    pthread_mutex_destroy(&redis->lock);
    mem_free(redis);
}

static bool open_redis(struct store *store, const char *place, char *error, size_t error_size)
{
    struct redis *redis = mem_zero(sizeof *redis);

    redis->store = store;
    id_make(redis->id);
    pthread_mutex_init(&redis->lock, NULL);
    if (!redis_place_parse(place, &redis->address, redis->spool, sizeof redis->spool, error, error_size))
        goto failed;
    redis->shares = redis_shares_new(redis->id, store->limits);
    redis->imports = redis_imports_new(redis);
    redis->news = redis_news_new(redis);
    redis->rows = redis_rows_new(redis, redis->spool, error, error_size);
    if (!redis->rows)
        goto failed;
    redis->keeper = redis_keeper_start(redis, error, error_size);
    if (!redis->keeper)
        goto failed;
    store->own = redis;
    return true;
failed:
    close_all(redis);
    return false;
}

static void close_redis(struct store *store)
{
    close_all(store->own);
}

static bool problem(struct store *store, char *text, size_t size)
{
    struct redis *redis = store->own;

    return redis_keeper_problem(redis->keeper, text, size) || redis_rows_problem(redis->rows, text, size);
}

static bool refuses(struct store *store, char *text, size_t size)
{
    return redis_rows_refuses(((struct redis *)store->own)->rows, text, size);
}

static void changed(struct store *store)
{
    struct redis *redis = store->own;

    if (!redis_news_changed(redis->news))
        redis_keeper_wake(redis->keeper);
}

static void join(struct store *store, struct loop *loop)
{
    redis_reserve_join(store->own, loop);
}

static void leave(struct store *store)
{
    redis_reserve_leave(store->own);
}

static void reserve(struct store *store, const struct store_call *call, int64_t now,
                    void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg)
{
    redis_reserve_call(store->own, call, now, on_verdict, arg);
}

static void fits(struct store *store, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    redis_shares_fits(((struct redis *)store->own)->shares, call, now, verdict);
}

static void settle(struct store *store, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now)
{
    redis_reserve_settle(store->own, reservation, amounts, count, now);
}

static int64_t used(struct store *store, const struct store_limit *limit, int64_t now, int64_t *window_end)
{
    return redis_shares_used(((struct redis *)store->own)->shares, limit, now, window_end);
}

static void keep_key(struct store *store, const struct store_key *key, struct answer answer)
{
    redis_news_keep_key(((struct redis *)store->own)->news, key, answer);
}

static void keep_import(struct store *store, const struct store_import *import, struct answer answer)
{
    redis_imports_keep(((struct redis *)store->own)->imports, import, answer);
}

static bool each_import(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                        void *arg)
{
    return redis_imports_each(((struct redis *)store->own)->imports, since, each, arg);
}

static void take_turn(struct store *store, const char *name, int64_t milliseconds,
                      void (*on_turn)(void *arg, const struct store_turn *turn), void *arg)
{
    redis_turns_take(store->own, name, milliseconds, on_turn, arg);
}

static void tell_turn(struct store *store, const char *name, int64_t milliseconds, const char *told)
{
    redis_turns_tell(store->own, name, milliseconds, told);
}

static void open_row(struct store *store, const struct ledger_row *row)
{
    redis_rows_open(((struct redis *)store->own)->rows, row);
}

static void close_row(struct store *store, const struct ledger_row *row, struct answer answer)
{
    redis_rows_close(((struct redis *)store->own)->rows, row, answer);
}

static void find_row(struct store *store, const char *request_id, const struct row_answer *answer)
{
    redis_rows_find(((struct redis *)store->own)->rows, request_id, answer);
}

static int read_rows(struct store *store, struct store_place *place, int64_t until, int count, struct row **rows)
{
    return redis_rows_read(((struct redis *)store->own)->rows, place, until, count, rows);
}

/* Rows themselves have more fields than the index. */
static bool usage_of(struct store *store, struct usage *usage)
{
    if (usage_query(usage)->by == STORE_BY_REQUEST)
        return usage_read_pages(usage, store);
    return redis_rows_usage(((struct redis *)store->own)->rows, usage);
}

const struct backend backend_redis = {
    .scheme = "redis",
    .open = open_redis,
    .open_reader = redis_offline_open_reader,
    .open_keys = redis_offline_open_keys,
    .close = close_redis,
    .problem = problem,
    .refuses = refuses,
    .changed = changed,
    .join = join,
    .leave = leave,
    .reserve = reserve,
    .fits = fits,
    .settle = settle,
    .used = used,
    .keep_key = keep_key,
    .keep_import = keep_import,
    .each_import = each_import,
    .take_turn = take_turn,
    .tell_turn = tell_turn,
    .open_row = open_row,
    .close_row = close_row,
    .find_row = find_row,
    .read_rows = read_rows,
    .usage = usage_of,
};
