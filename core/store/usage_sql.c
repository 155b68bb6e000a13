/* usage_sql.c - see usage_sql.h. */
#include "store/usage_sql.h"

#include <time.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/row.h"
#include "store/statements.h"
#include "store/usage.h"
#include "store/usage_hours.h"

/* While nobody reads, the writer can empty the write-ahead log: there has to be such a moment, now and then. */
enum { SLICE_ROWS = 10000, PAGE_ROWS = 500, PAUSE_NS = 1000 * 1000 };

const char usage_sql_index[] =
    "CREATE INDEX IF NOT EXISTS ledger_usage ON ledger (time, org, \"key\", label, tier, task, provider, model,"
    " input_tokens, output_tokens, billed_tokens, cost_microusd, savings_microusd)";

/* What usage groups by, beside the time and the sums. */
static const char *const dimensions[] = {
    [STORE_BY_MODEL] = "model", [STORE_BY_PROVIDER] = "provider", [STORE_BY_TASK] = "task", [STORE_BY_KEY] = "\"key\"",
    [STORE_BY_LABEL] = "label", [STORE_BY_ORG] = "org",           [STORE_BY_TIER] = "tier", [STORE_BY_DAY] = "NULL",
};

/* An hour is over for as long when its sums are first kept: the last requests of it have ended, but for a few. */
static const int64_t SETTLED_MS = INT64_C(600000);

struct reading {
    struct usage *usage;
    const struct store_usage_query *query;
    struct usage_hours *hours; /* NULL: whoever reads cannot write */
    sqlite3_stmt *rows, *next;
    sqlite3_stmt *sums; /* NULL: the file is older than they are */
    int64_t now;
    int since_pause; /* rows */
};

static const char *text_at(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    return statement;
}

/* What rows and kept sums have in the same columns. */
static struct ledger_row amounts_here(sqlite3_stmt *statement)
{
    return (struct ledger_row){ .input_tokens = sqlite3_column_int64(statement, 2),
                                .output_tokens = sqlite3_column_int64(statement, 3),
                                .billed_tokens = sqlite3_column_int64(statement, 4),
                                .cost_microusd = sqlite3_column_int64(statement, 5),
                                .savings_microusd = sqlite3_column_int64(statement, 6) };
}

static void add_names(struct ledger_row *row, sqlite3_stmt *statement)
{
    row->org = text_at(statement, 7);
    row->key = text_at(statement, 8);
    row->label = text_at(statement, 9);
    row->tier = text_at(statement, 10);
    row->task = text_at(statement, 11);
    row->provider = text_at(statement, 12);
    row->model = text_at(statement, 13);
}

/* The row with what usage needs: the dimension stands in every place of one. All of it where it is collected. */
static struct ledger_row row_here(sqlite3_stmt *rows, const struct store_usage_query *query, bool is_collected)
{
    struct ledger_row row = amounts_here(rows);

    row.time = sqlite3_column_int64(rows, 0);
    if (is_collected) {
        add_names(&row, rows);
        return row;
    }
    row.model = row.provider = row.task = row.label = row.tier = text_at(rows, 1);
    row.org = query->org || query->by == STORE_BY_ORG ? text_at(rows, 7) : NULL;
    row.key = query->key || query->by == STORE_BY_KEY ? text_at(rows, 8) : NULL;
    return row;
}

static void pause_after(struct reading *reading, int rows)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };

    reading->since_pause += rows;
    if (reading->since_pause < SLICE_ROWS)
        return;
    reading->since_pause = 0;
    nanosleep(&pause, NULL);
}

/*
 * The rows from *from on, before that time: some of them, but all of the last one's moment. *from moves behind them, to
 * the end if those were all. False: SQLite refuses.
 */
static bool read_slice(struct reading *reading, int64_t *from, int64_t until, struct usage_hour *hour)
{
    int64_t last = *from;
    int count = 0;
    bool is_good;

    sqlite3_bind_int64(reading->rows, 1, *from);
    sqlite3_bind_int64(reading->rows, 2, until);
    *from = until;
    while (sqlite3_step(reading->rows) == SQLITE_ROW) {
        struct ledger_row row = row_here(reading->rows, reading->query, hour != NULL);

        if (count++ >= SLICE_ROWS && row.time != last) {
            *from = row.time;
            break;
        }
        last = row.time;
        usage_add(reading->usage, &row);
        if (hour)
            usage_hour_add(hour, &row);
    }
    is_good = sqlite3_reset(reading->rows) == SQLITE_OK;
    pause_after(reading, count);
    return is_good;
}

/* Adds the sums of an hour, if they are kept. Its mark and that one's stamp otherwise. */
static enum usage_hour_mark add_kept(struct reading *reading, int64_t hour, int64_t *stamp)
{
    enum usage_hour_mark mark = HOUR_UNMARKED;
    sqlite3_stmt *sums = reading->sums;

    sqlite3_bind_int64(sums, 1, hour);
    while (sqlite3_step(sums) == SQLITE_ROW) {
        struct ledger_row row = amounts_here(sums);

        mark = (enum usage_hour_mark)sqlite3_column_int(sums, 0);
        *stamp = sqlite3_column_int64(sums, 14);
        if (mark != HOUR_KEPT)
            break;
        row.time = hour * USAGE_HOUR_MS;
        add_names(&row, sums);
        usage_add_sums(reading->usage, &row, sqlite3_column_int64(sums, 1));
        reading->since_pause++;
    }
    sqlite3_reset(sums);
    return mark;
}

/* Reads row by row; what is collected meanwhile is NULL or one hour. */
static bool read_by_row(struct reading *reading, int64_t from, int64_t until, struct usage_hour *hour)
{
    bool is_good = true;

    while (is_good && from < until && !usage_is_cancelled(reading->usage))
        is_good = read_slice(reading, &from, until, hour);
    return is_good && from >= until;
}

/* All the rows of an hour, of which sums may be kept from now on or the next time. */
static bool read_whole(struct reading *reading, int64_t begin, enum usage_hour_mark mark, int64_t stamp)
{
    int64_t number = begin / USAGE_HOUR_MS, end = begin + USAGE_HOUR_MS;
    bool may_keep = reading->hours && reading->sums && end + SETTLED_MS <= reading->now;
    struct usage_hour *hour = may_keep && mark == HOUR_WANTED ? usage_hour_new(number, stamp) : NULL;
    bool is_good = read_by_row(reading, begin, end, hour);

    if (is_good && hour)
        usage_hours_keep(reading->hours, hour);
    else
        usage_hour_free(hour);
    if (is_good && may_keep && mark == HOUR_UNMARKED)
        usage_hours_want(reading->hours, number);
    return is_good;
}

/* The time of the first row from there on; the end, if there is none. False: SQLite refuses. */
static bool find_next(struct reading *reading, int64_t from, int64_t *found)
{
    sqlite3_bind_int64(reading->next, 1, from);
    sqlite3_bind_int64(reading->next, 2, reading->query->to);
    *found = sqlite3_step(reading->next) == SQLITE_ROW ? sqlite3_column_int64(reading->next, 0) : reading->query->to;
    return sqlite3_reset(reading->next) == SQLITE_OK;
}

/* The next hour that has rows. *from moves behind what was read. */
static bool read_hour(struct reading *reading, int64_t *from)
{
    int64_t to = reading->query->to, begin, end, first, stamp = 0;
    enum usage_hour_mark mark = HOUR_UNMARKED;
    bool is_whole;

    if (!find_next(reading, *from, &first))
        return false;
    begin = first - first % USAGE_HOUR_MS;
    end = begin < to - USAGE_HOUR_MS ? begin + USAGE_HOUR_MS : to;
    is_whole = first >= 0 && begin >= *from && end - begin == USAGE_HOUR_MS;
    *from = end;
    if (first >= end)
        return true;
    if (!is_whole)
        return read_by_row(reading, first, end, NULL);
    if (reading->sums)
        mark = add_kept(reading, begin / USAGE_HOUR_MS, &stamp);
    if (mark != HOUR_KEPT)
        return read_whole(reading, begin, mark, stamp);
    pause_after(reading, 0);
    return true;
}

static bool read_sums(sqlite3 *connection, struct usage *usage, struct usage_hours *hours)
{
    const struct store_usage_query *query = usage_query(usage);
    char *sql = mem_format("SELECT time, %s, input_tokens, output_tokens, billed_tokens, cost_microusd,"
                           " savings_microusd, org, \"key\", label, tier, task, provider, model FROM ledger"
                           " WHERE time >= ?1 AND time < ?2 ORDER BY time",
                           dimensions[query->by]);
    struct reading reading = { .usage = usage, .query = query, .hours = hours, .now = clock_wall_ms() };
    int64_t from = query->from;
    bool is_good;

    reading.rows = prepare(connection, sql);
    reading.next = prepare(connection, "SELECT time FROM ledger WHERE time >= ?1 AND time < ?2 ORDER BY time LIMIT 1");
    is_good = reading.rows && reading.next;
    if (is_good)
        reading.sums = prepare(connection, usage_hours_read);
    while (is_good && from < query->to && !usage_is_cancelled(usage))
        is_good = read_hour(&reading, &from);
    sqlite3_finalize(reading.rows);
    sqlite3_finalize(reading.next);
    sqlite3_finalize(reading.sums);
    mem_free(sql);
    return is_good && !usage_is_cancelled(usage);
}

static bool read_rows(sqlite3 *connection, struct usage *usage)
{
    const struct store_usage_query *query = usage_query(usage);
    struct store_place place = usage_place(usage);
    sqlite3_stmt *page = statements_plain_page(connection, query->org, query->key);
    struct row *rows[PAGE_ROWS];
    int got = page ? 1 : -1;

    while (got > 0 && usage_room(usage) > 0 && !usage_is_cancelled(usage)) {
        int64_t room = usage_room(usage);

        got = statements_read_page(page, &place, query->to, room < PAGE_ROWS ? (int)room : PAGE_ROWS, rows);
        for (int i = 0; i < got; i++) {
            usage_add_row(usage, rows[i], place);
            row_drop(rows[i]);
        }
    }
    sqlite3_finalize(page);
    return got >= 0 && !usage_is_cancelled(usage);
}

bool usage_sql_read(struct sqlite3 *connection, struct usage *usage, struct usage_hours *hours)
{
    return usage_query(usage)->by == STORE_BY_REQUEST ? read_rows(connection, usage)
                                                      : read_sums(connection, usage, hours);
}
