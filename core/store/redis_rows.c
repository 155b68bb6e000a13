/* redis_rows.c - see redis_rows.h. */
#include "store/redis_rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/backend.h"
#include "store/redis.h"
#include "store/redis_keeper.h"
#include "store/redis_ledger.h"
#include "store/redis_recent.h"
#include "store/redis_spool.h"
#include "store/redis_usage.h"
#include "store/row.h"
#include "store/rows.h"

static const double READ_TIMEOUT = 5;
/* Redis is held up by a trim for a few milliseconds. */
enum { TRIM_ROWS = 2000, TRIM_EVERY_US = 1000000, TRIM_REST_US = 60 * 1000000 };
static const int64_t ADOPT_EVERY_US = INT64_C(30) * 1000000, DAY_MS = INT64_C(86400) * 1000;

struct redis_rows {
    struct redis *redis;
    struct redis_spool *spool;
    struct redis_recent *recent;
    pthread_mutex_t lock;
    struct rows under_way;                /* open, or closed and on the way to Redis */
    int64_t adopt_at, trim_at, keep_days; /* the keeper's */
};

static void on_spooled(void *arg)
{
    struct redis_rows *rows = arg;

    redis_keeper_wake(rows->redis->keeper);
}

struct redis_rows *redis_rows_new(struct redis *redis, const char *folder, char *error, size_t error_size)
{
    struct redis_rows *rows = mem_zero(sizeof *rows);

    rows->redis = redis;
    rows->recent = redis_recent_new();
    pthread_mutex_init(&rows->lock, NULL);
    rows->spool = redis_spool_open(folder, redis->id, on_spooled, rows, error, error_size);
    if (rows->spool)
        return rows;
    redis_rows_free(rows);
    return NULL;
}

void redis_rows_free(struct redis_rows *rows)
{
    if (!rows)
        return;
    redis_spool_close(rows->spool);
    redis_recent_free(rows->recent);
    rows_free(&rows->under_way);
    pthread_mutex_destroy(&rows->lock);
    mem_free(rows);
}

bool redis_rows_problem(struct redis_rows *rows, char *text, size_t size)
{
    return redis_spool_problem(rows->spool, text, size);
}

/* Only where Redis does not take them either. */
bool redis_rows_refuses(struct redis_rows *rows, char *text, size_t size)
{
    return !redis_is_online(rows->redis, NULL) && redis_spool_refuses(rows->spool, text, size);
}

/* ---- a row's life ---- */

void redis_rows_open(struct redis_rows *rows, const struct ledger_row *fields)
{
    struct row *row = row_copy(fields);

    pthread_mutex_lock(&rows->lock);
    rows_add(&rows->under_way, row, false);
    pthread_mutex_unlock(&rows->lock);
    redis_spool_open_row(rows->spool, fields);
    row_drop(row);
}

struct closing {
    struct redis_rows *rows;
    struct row *row;
    bool was_open; /* then the spool knows of it */
    struct answer answer;
};

/* True: it was open. */
static bool begin_closing(struct redis_rows *rows, struct row *row)
{
    struct entry *entry;
    bool was_open;

    pthread_mutex_lock(&rows->lock);
    entry = rows_get(&rows->under_way, row_fields(row)->row_id);
    was_open = entry && !entry->is_closed;
    if (!entry)
        entry = rows_add(&rows->under_way, row, true);
    else if (was_open)
        rows_close(&rows->under_way, entry, row);
    entry->unwritten++;
    pthread_mutex_unlock(&rows->lock);
    return was_open;
}

/* Redis has it, or the spool. */
static void end_closing(struct closing *closing)
{
    struct redis_rows *rows = closing->rows;
    struct entry *entry;

    pthread_mutex_lock(&rows->lock);
    entry = rows_get(&rows->under_way, row_fields(closing->row)->row_id);
    if (entry && --entry->unwritten == 0)
        rows_remove(&rows->under_way, entry);
    pthread_mutex_unlock(&rows->lock);
    row_drop(closing->row);
    mem_free(closing);
}

static void spool(struct closing *closing)
{
    redis_spool_close_row(closing->rows->spool, row_fields(closing->row), closing->answer);
    end_closing(closing);
}

static void on_kept(void *arg, const struct redis_reply *reply)
{
    struct closing *closing = arg;

    /* No answer: it may be there. It is delivered again, and Redis takes it once. */
    if (redis_kind(reply) != REDIS_INTEGER) {
        spool(closing);
        return;
    }
    if (closing->was_open)
        redis_spool_forget(closing->rows->spool, row_fields(closing->row)->row_id);
    redis_recent_add(closing->rows->recent, closing->row);
    answer_give(&closing->answer, true);
    end_closing(closing);
}

void redis_rows_close(struct redis_rows *rows, const struct ledger_row *fields, struct answer answer)
{
    struct redis_link *link = redis_is_online(rows->redis, NULL) ? redis_link_here(rows->redis) : NULL;
    struct closing *closing = mem_alloc(sizeof *closing);
    struct redis_order order = { 0 };

    *closing = (struct closing){ rows, row_copy(fields), false, answer };
    closing->was_open = begin_closing(rows, closing->row);
    if (!link) {
        spool(closing);
        return;
    }
    redis_ledger_keep(&order, (const struct ledger_row *[]){ row_fields(closing->row) }, 1);
    redis_order_send(&order, link, on_kept, closing);
    redis_order_free(&order);
}

/* ---- looking ---- */

struct question {
    struct redis_rows *rows;
    struct row_answer answer;
    char request_id[];
};

static void on_found(void *arg, const struct redis_reply *reply)
{
    struct question *question = arg;

    answer_give_row(&question->answer, redis_ledger_row(reply));
    mem_free(question);
}

/* At home: the spool does not have it (NULL), so Redis is asked. */
static void on_spool_searched(void *arg, const struct ledger_row *found)
{
    struct question *question = arg;
    struct redis_link *link = found ? NULL : redis_link_here(question->rows->redis);
    struct redis_order order = { 0 };

    if (!link) {
        answer_give_row(&question->answer, found ? row_copy(found) : NULL);
        mem_free(question);
        return;
    }
    redis_ledger_find(&order, question->request_id);
    redis_order_send(&order, link, on_found, question);
    redis_order_free(&order);
}

void redis_rows_find(struct redis_rows *rows, const char *request_id, const struct row_answer *answer)
{
    size_t length = strlen(request_id) + 1;
    struct question *question;
    struct row *row;

    pthread_mutex_lock(&rows->lock);
    row = rows_newest(&rows->under_way, request_id);
    if (row)
        row_take(row);
    pthread_mutex_unlock(&rows->lock);
    if (row) {
        answer_give_row(answer, row);
        return;
    }
    question = mem_alloc(sizeof *question + length);
    question->rows = rows;
    question->answer = *answer;
    memcpy(question->request_id, request_id, length);
    redis_spool_find(rows->spool, request_id, &(struct row_answer){ answer->home, on_spool_searched, question });
}

int redis_rows_read(struct redis_rows *rows, struct store_place *place, int64_t until, int count, struct row **read)
{
    char error[320];
    struct redis_line *line = redis_line_open(&rows->redis->address, READ_TIMEOUT, error, sizeof error);
    int got = line ? redis_ledger_read(line, place, until, count, read) : -1;

    redis_line_close(line);
    return got;
}

bool redis_rows_usage(struct redis_rows *rows, struct usage *usage)
{
    char error[320];
    struct redis_line *line = redis_line_open(&rows->redis->address, READ_TIMEOUT, error, sizeof error);
    bool is_read = line && redis_usage_read(line, usage);

    redis_line_close(line);
    return is_read;
}

/* ---- on the keeper's thread ---- */

/* Rows that are older than they are to be kept. */
static void trim(struct redis_rows *rows, struct redis_line *line, int64_t now)
{
    int64_t keep_days = rows->redis->store->keep_days;
    int trimmed = 0;

    if (keep_days == rows->keep_days && now < rows->trim_at)
        return;
    rows->keep_days = keep_days;
    if (keep_days > 0)
        trimmed = redis_ledger_trim(line, clock_wall_ms() - keep_days * DAY_MS, TRIM_ROWS);
    rows->trim_at = now + (trimmed == TRIM_ROWS ? TRIM_EVERY_US : TRIM_REST_US);
}

/* What a server loses is what it took last: if it has the newest, it has all. */
void redis_rows_come_back(struct redis_rows *rows, struct redis_line *line)
{
    struct row *newest = redis_recent_rewind(rows->recent);

    if (newest && redis_ledger_has(line, row_fields(newest)->row_id))
        redis_recent_skip(rows->recent);
    row_drop(newest);
}

/* True: there may be more. */
static bool send_recent(struct redis_rows *rows, struct redis_line *line)
{
    struct row *list[REDIS_LEDGER_ROWS];
    size_t count = redis_recent_next(rows->recent, list, REDIS_LEDGER_ROWS);
    bool is_good = count > 0 && redis_ledger_send(line, list, count);

    for (size_t i = 0; i < count; i++)
        row_drop(list[i]);
    if (count > 0 && !is_good)
        row_drop(redis_recent_rewind(rows->recent));
    return is_good;
}

bool redis_rows_deliver(struct redis_rows *rows, struct redis_line *line)
{
    int64_t now = clock_monotonic_us();

    trim(rows, line, now);

    if (now >= rows->adopt_at) {
        rows->adopt_at = now + ADOPT_EVERY_US;
        redis_spool_adopt(rows->spool);
    }
    return send_recent(rows, line) || redis_spool_deliver(rows->spool, line);
}

const char *redis_rows_predecessor(const struct redis_rows *rows)
{
    return redis_spool_dead(rows->spool);
}

void redis_rows_buried(struct redis_rows *rows)
{
    redis_spool_buried(rows->spool);
}
