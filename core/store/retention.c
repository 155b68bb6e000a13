/* retention.c - see retention.h. */
#include "store/retention.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "store/database.h"

/* A commit waits for one sweep at most; between two of them whatever was queued is written. */
enum { SWEEP_ROWS = 100, PAUSE_US = 10 * 1000, REST_US = 60 * 1000 * 1000 };
static const int64_t DAY_MS = INT64_C(86400) * 1000;

bool retention_is_due(const struct retention *retention, int64_t keep_days)
{
    return keep_days != retention->keep_days || (retention->due && clock_monotonic_us() >= retention->due);
}

/* How many rows went; -1: SQLite refuses. */
static int delete_rows(struct database *database, int64_t before)
{
    static const char sql[] = "DELETE FROM ledger WHERE rowid IN"
                              " (SELECT rowid FROM ledger WHERE time < ?1 ORDER BY time LIMIT ?2)";
    sqlite3_stmt *statement = NULL;
    int deleted = -1;

    if (sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, before);
        sqlite3_bind_int(statement, 2, SWEEP_ROWS);
        sqlite3_step(statement);
        if (sqlite3_reset(statement) == SQLITE_OK)
            deleted = sqlite3_changes(database->connection);
    }
    sqlite3_finalize(statement);
    return deleted;
}

void retention_sweep(struct retention *retention, struct database *database, int64_t keep_days)
{
    int deleted;

    if (!retention_is_due(retention, keep_days))
        return;
    retention->keep_days = keep_days;
    retention->due = 0;
    if (keep_days <= 0)
        return;
    deleted = delete_rows(database, clock_wall_ms() - keep_days * DAY_MS);
    retention->due = clock_monotonic_us() + (deleted == SWEEP_ROWS ? PAUSE_US : REST_US);
}
