/* usage_sql.c - see usage_sql.h. */
#include "store/usage_sql.h"

#include <time.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "store/row.h"
#include "store/statements.h"
#include "store/usage.h"

/* While nobody reads, the writer can empty the write-ahead log: there has to be such a moment, now and then. */
enum { SLICE_ROWS = 10000, PAGE_ROWS = 500, PAUSE_NS = 1000 * 1000 };

const char usage_sql_index[] =
    "CREATE INDEX IF NOT EXISTS ledger_usage ON ledger (time, org, \"key\", label, tier, task, provider, model,"
    " input_tokens, output_tokens, billed_tokens, cost_microusd, savings_microusd)";

/* Column 0 is the time, column 1 what usage groups by. */
static const char *const slices[] = {
    [STORE_BY_MODEL] = "model", [STORE_BY_PROVIDER] = "provider", [STORE_BY_TASK] = "task", [STORE_BY_KEY] = "\"key\"",
    [STORE_BY_LABEL] = "label", [STORE_BY_ORG] = "org",           [STORE_BY_TIER] = "tier", [STORE_BY_DAY] = "NULL",
};

static const char *text_at(sqlite3_stmt *slice, int column)
{
    return (const char *)sqlite3_column_text(slice, column);
}

/* The row with what usage needs: the dimension stands in every place of one. */
static struct ledger_row row_here(sqlite3_stmt *slice, const struct store_usage_query *query)
{
    const char *name = text_at(slice, 1);
    struct ledger_row row = { .model = name, .provider = name, .task = name, .label = name, .tier = name };

    row.time = sqlite3_column_int64(slice, 0);
    row.org = query->org || query->by == STORE_BY_ORG ? text_at(slice, 7) : NULL;
    row.key = query->key || query->by == STORE_BY_KEY ? text_at(slice, 8) : NULL;
    row.input_tokens = sqlite3_column_int64(slice, 2);
    row.output_tokens = sqlite3_column_int64(slice, 3);
    row.billed_tokens = sqlite3_column_int64(slice, 4);
    row.cost_microusd = sqlite3_column_int64(slice, 5);
    row.savings_microusd = sqlite3_column_int64(slice, 6);
    return row;
}

/*
 * The rows from *from on: some of them, but all of the last one's moment. *from moves behind them. Whether there may be
 * more; at the end, or when SQLite refuses, there are not.
 */
static bool read_slice(sqlite3_stmt *slice, struct usage *usage, int64_t *from)
{
    const struct store_usage_query *query = usage_query(usage);
    int64_t last = *from;
    int count = 0;

    sqlite3_bind_int64(slice, 1, *from);
    sqlite3_bind_int64(slice, 2, query->to);
    while (sqlite3_step(slice) == SQLITE_ROW) {
        struct ledger_row row = row_here(slice, query);

        if (count++ >= SLICE_ROWS && row.time != last) {
            *from = row.time;
            return true;
        }
        last = row.time;
        usage_add(usage, &row);
    }
    return false;
}

static bool read_sums(sqlite3 *connection, struct usage *usage)
{
    const struct store_usage_query *query = usage_query(usage);
    char *sql = mem_format("SELECT time, %s, input_tokens, output_tokens, billed_tokens, cost_microusd,"
                           " savings_microusd, org, \"key\" FROM ledger WHERE time >= ?1 AND time < ?2 ORDER BY time",
                           slices[query->by]);
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    sqlite3_stmt *slice = NULL;
    int64_t from = query->from;
    bool is_good = sqlite3_prepare_v2(connection, sql, -1, &slice, NULL) == SQLITE_OK, has_more = is_good;

    mem_free(sql);
    while (has_more && !usage_is_cancelled(usage)) {
        has_more = read_slice(slice, usage, &from);
        is_good = sqlite3_reset(slice) == SQLITE_OK;
        nanosleep(&pause, NULL);
    }
    sqlite3_finalize(slice);
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

bool usage_sql_read(struct sqlite3 *connection, struct usage *usage)
{
    return usage_query(usage)->by == STORE_BY_REQUEST ? read_rows(connection, usage) : read_sums(connection, usage);
}
