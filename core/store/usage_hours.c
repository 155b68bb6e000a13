/* usage_hours.c - see usage_hours.h. */
#include "store/usage_hours.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/database.h"
#include "store/store.h"
#include "store/usage.h"

/* A commit waits for one step at most. An hour of more groups is read row by row, as is one of few rows a group. */
enum { STEP_GROUPS = 500, STEP_MARKS = 500, GROUPS_MAX = 5000, ROWS_A_GROUP = 4, WAITING_MAX = 64 };

enum { TEXTS = 7 };

const char usage_hours_tables[] =
    "CREATE TABLE IF NOT EXISTS usage_hours (hour INTEGER PRIMARY KEY, mark INTEGER NOT NULL, stamp INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS usage_sums (hour INTEGER NOT NULL, number INTEGER NOT NULL, requests INTEGER NOT NULL,"
    " input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, billed_tokens INTEGER NOT NULL,"
    " cost_microusd INTEGER NOT NULL, savings_microusd INTEGER NOT NULL, org TEXT NOT NULL, \"key\" TEXT NOT NULL,"
    " label TEXT NOT NULL, tier TEXT NOT NULL, task TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,"
    " PRIMARY KEY (hour, number)) WITHOUT ROWID;"
    "CREATE TRIGGER IF NOT EXISTS usage_hours_more AFTER INSERT ON ledger"
    " WHEN EXISTS (SELECT 1 FROM usage_hours WHERE hour = NEW.time / 3600000) BEGIN"
    " DELETE FROM usage_hours WHERE hour = NEW.time / 3600000;"
    " DELETE FROM usage_sums WHERE hour = NEW.time / 3600000; END;"
    "CREATE TRIGGER IF NOT EXISTS usage_hours_less AFTER DELETE ON ledger"
    " WHEN EXISTS (SELECT 1 FROM usage_hours WHERE hour = OLD.time / 3600000) BEGIN"
    " DELETE FROM usage_hours WHERE hour = OLD.time / 3600000;"
    " DELETE FROM usage_sums WHERE hour = OLD.time / 3600000; END;";

const char usage_hours_read[] =
    "SELECT mark, requests, input_tokens, output_tokens, billed_tokens, cost_microusd, savings_microusd, org, \"key\","
    " label, tier, task, provider, model, stamp FROM usage_hours LEFT JOIN usage_sums"
    " ON usage_sums.hour = usage_hours.hour AND mark = 1 WHERE usage_hours.hour = ?1";

/* ---- what one hour adds up to ---- */

struct group {
    struct usage_sums sums;
    size_t length;
    char texts[]; /* the seven of them, a NUL behind each */
};

struct usage_hour {
    struct usage_hour *next;
    int64_t hour, stamp;
    int64_t rows;
    bool has_too_many;
    struct hash by_texts;
    struct group **groups;
    size_t count, capacity;
    size_t written; /* groups */
    struct buf texts;
};

struct usage_hour *usage_hour_new(int64_t hour, int64_t stamp)
{
    struct usage_hour *own = mem_zero(sizeof *own);

    own->hour = hour;
    own->stamp = stamp;
    return own;
}

void usage_hour_free(struct usage_hour *hour)
{
    if (!hour)
        return;
    for (size_t i = 0; i < hour->count; i++)
        mem_free(hour->groups[i]);
    hash_free(&hour->by_texts);
    buf_free(&hour->texts);
    mem_free(hour->groups);
    mem_free(hour);
}

static struct group *new_group(struct usage_hour *hour)
{
    struct group *group = mem_zero(sizeof *group + hour->texts.length);

    group->length = hour->texts.length;
    memcpy(group->texts, hour->texts.data, group->length);
    if (hour->count == hour->capacity) {
        hour->capacity = hour->capacity ? hour->capacity * 2 : 16;
        hour->groups = mem_resize(hour->groups, hour->capacity * sizeof(struct group *));
    }
    hour->groups[hour->count++] = group;
    hash_put(&hour->by_texts, group->texts, group->length, group);
    return group;
}

static struct group *group_of(struct usage_hour *hour, const struct ledger_row *row)
{
    const char *const texts[TEXTS] = {
        row->org, row->key, row->label, row->tier, row->task, row->provider, row->model
    };
    struct group *group;

    buf_clear(&hour->texts);
    for (int i = 0; i < TEXTS; i++) {
        buf_add_text(&hour->texts, texts[i] ? texts[i] : "");
        buf_add_char(&hour->texts, '\0');
    }
    group = hash_get(&hour->by_texts, hour->texts.data, hour->texts.length);
    if (!group && hour->count < GROUPS_MAX)
        return new_group(hour);
    hour->has_too_many |= !group;
    return group;
}

void usage_hour_add(struct usage_hour *hour, const struct ledger_row *row)
{
    struct group *group = hour->has_too_many ? NULL : group_of(hour, row);

    hour->rows++;
    if (group)
        usage_sums_add(&group->sums, row, 1);
}

static bool is_in_vain(const struct usage_hour *hour)
{
    return hour->has_too_many || (int64_t)hour->count * ROWS_A_GROUP > hour->rows;
}

/* ---- what is handed over ---- */

struct usage_hours {
    void (*on_news)(void *arg);
    void *arg;
    atomic_bool is_waiting;
    pthread_mutex_t lock; /* for all below */
    struct usage_hour *first, **last;
    int count;
    int64_t wanted[STEP_MARKS];
    int wanted_count;
};

struct usage_hours *usage_hours_new(void (*on_news)(void *arg), void *arg)
{
    struct usage_hours *hours = mem_zero(sizeof *hours);

    hours->on_news = on_news;
    hours->arg = arg;
    hours->last = &hours->first;
    pthread_mutex_init(&hours->lock, NULL);
    return hours;
}

static void drop_all(struct usage_hours *hours)
{
    struct usage_hour *hour;

    pthread_mutex_lock(&hours->lock);
    while ((hour = hours->first)) {
        hours->first = hour->next;
        usage_hour_free(hour);
    }
    hours->last = &hours->first;
    hours->count = hours->wanted_count = 0;
    atomic_store(&hours->is_waiting, false);
    pthread_mutex_unlock(&hours->lock);
}

void usage_hours_free(struct usage_hours *hours)
{
    if (!hours)
        return;
    drop_all(hours);
    pthread_mutex_destroy(&hours->lock);
    mem_free(hours);
}

static void tell(struct usage_hours *hours)
{
    if (!atomic_exchange(&hours->is_waiting, true))
        hours->on_news(hours->arg);
}

void usage_hours_want(struct usage_hours *hours, int64_t hour)
{
    pthread_mutex_lock(&hours->lock);
    if (hours->wanted_count < STEP_MARKS)
        hours->wanted[hours->wanted_count++] = hour;
    pthread_mutex_unlock(&hours->lock);
    tell(hours);
}

void usage_hours_keep(struct usage_hours *hours, struct usage_hour *hour)
{
    bool has_room;

    pthread_mutex_lock(&hours->lock);
    has_room = hours->count < WAITING_MAX;
    if (has_room) {
        *hours->last = hour;
        hours->last = &hour->next;
        hours->count++;
    }
    pthread_mutex_unlock(&hours->lock);
    if (has_room)
        tell(hours);
    else
        usage_hour_free(hour);
}

bool usage_hours_are_waiting(const struct usage_hours *hours)
{
    return atomic_load(&hours->is_waiting);
}

/* ---- the ledger's thread ---- */

/* Runs a statement with these integers. How many rows it changed; -1: SQLite refuses. */
static int run(struct database *database, const char *sql, int64_t first, int64_t second)
{
    sqlite3_stmt *statement = NULL;
    int changed = -1;

    if (sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, first);
        if (sqlite3_bind_parameter_count(statement) > 1)
            sqlite3_bind_int64(statement, 2, second);
        sqlite3_step(statement);
        if (sqlite3_reset(statement) == SQLITE_OK)
            changed = sqlite3_changes(database->connection);
    }
    sqlite3_finalize(statement);
    return changed;
}

static bool mark_wanted(struct database *database, const int64_t *hours, int count)
{
    bool is_good = true;

    for (int i = 0; is_good && i < count; i++)
        is_good = run(database, "INSERT OR IGNORE INTO usage_hours VALUES (?, 0, random())", hours[i], 0) >= 0;
    return is_good;
}

static bool write_group(sqlite3_stmt *statement, int64_t hour, size_t number, const struct group *group)
{
    const int64_t integers[] = { hour,
                                 (int64_t)number,
                                 group->sums.requests,
                                 group->sums.input_tokens,
                                 group->sums.output_tokens,
                                 group->sums.billed_tokens,
                                 group->sums.cost_microusd,
                                 group->sums.savings_microusd };
    enum { INTEGERS = sizeof integers / sizeof integers[0] };
    const char *text = group->texts;

    for (int i = 0; i < INTEGERS; i++)
        sqlite3_bind_int64(statement, i + 1, integers[i]);
    for (int i = 0; i < TEXTS; i++, text += strlen(text) + 1)
        sqlite3_bind_text(statement, INTEGERS + i + 1, text, -1, SQLITE_STATIC);
    sqlite3_step(statement);
    return sqlite3_reset(statement) == SQLITE_OK;
}

static bool write_groups(struct database *database, struct usage_hour *hour)
{
    static const char sql[] = "INSERT INTO usage_sums VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    sqlite3_stmt *statement = NULL;
    size_t end = hour->written + STEP_GROUPS < hour->count ? hour->written + STEP_GROUPS : hour->count;
    bool is_good = sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL) == SQLITE_OK;

    for (; is_good && hour->written < end; hour->written++)
        is_good = write_group(statement, hour->hour, hour->written, hour->groups[hour->written]);
    return sqlite3_finalize(statement) == SQLITE_OK && is_good;
}

/* Some of its groups, and with the last of them the mark. *is_done: there is nothing more to do for it. */
static bool write_hour(struct database *database, struct usage_hour *hour, bool *is_done)
{
    static const char still_wanted[] = "UPDATE usage_hours SET mark = 0 WHERE hour = ?1 AND mark = 0 AND stamp = ?2";
    int wanted = run(database, still_wanted, hour->hour, hour->stamp);
    bool in_vain = is_in_vain(hour);

    *is_done = wanted != 1;
    if (wanted != 1)
        return wanted == 0;
    /* What a process that ended amid this has left. */
    if (hour->written == 0 && run(database, "DELETE FROM usage_sums WHERE hour = ?", hour->hour, 0) < 0)
        return false;
    if (!in_vain && !write_groups(database, hour))
        return false;
    *is_done = in_vain || hour->written == hour->count;
    return !*is_done || run(database, "UPDATE usage_hours SET mark = ?2 WHERE hour = ?1", hour->hour,
                            in_vain ? HOUR_IN_VAIN : HOUR_KEPT) == 1;
}

/* The first that waits stays in the list until it is done: only this thread takes any out. */
static struct usage_hour *take_some(struct usage_hours *hours, int64_t *wanted, int *count)
{
    struct usage_hour *first;

    pthread_mutex_lock(&hours->lock);
    *count = hours->wanted_count;
    memcpy(wanted, hours->wanted, (size_t)*count * sizeof *wanted);
    hours->wanted_count = 0;
    first = hours->first;
    pthread_mutex_unlock(&hours->lock);
    return first;
}

static void remove_first(struct usage_hours *hours)
{
    struct usage_hour *first;

    pthread_mutex_lock(&hours->lock);
    first = hours->first;
    hours->first = first->next;
    if (!hours->first)
        hours->last = &hours->first;
    hours->count--;
    pthread_mutex_unlock(&hours->lock);
    usage_hour_free(first);
}

static void note_rest(struct usage_hours *hours)
{
    pthread_mutex_lock(&hours->lock);
    atomic_store(&hours->is_waiting, hours->first || hours->wanted_count);
    pthread_mutex_unlock(&hours->lock);
}

void usage_hours_write(struct usage_hours *hours, struct database *database)
{
    int64_t wanted[STEP_MARKS];
    struct usage_hour *hour;
    bool is_done = true, is_good;
    int count;

    if (!atomic_load(&hours->is_waiting))
        return;
    if (!database) {
        drop_all(hours);
        return;
    }
    hour = take_some(hours, wanted, &count);
    is_good = database_run(database, "BEGIN IMMEDIATE") && mark_wanted(database, wanted, count) &&
              (!hour || write_hour(database, hour, &is_done)) && database_run(database, "COMMIT");
    /* They are a convenience: what the disk does not take is dropped, as a whole. */
    if (!is_good && !sqlite3_get_autocommit(database->connection))
        database_run(database, "ROLLBACK");
    if (hour && (is_done || !is_good))
        remove_first(hours);
    note_rest(hours);
}
