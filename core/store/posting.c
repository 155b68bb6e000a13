/* posting.c - see posting.h. */
#include "store/posting.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/database.h"
#include "store/daybook.h"
#include "store/sqlite_files.h"
#include "store/statements.h"

enum { PATIENCE_US = 2 * 1000 * 1000, PAUSE_NS = 2 * 1000 * 1000 };

static char *path_of(const struct database *database)
{
    return mem_format("%s-daybook", database->path);
}

struct posting {
    struct statements *statements;
    bool is_good;
    size_t rows;
};

/* One whose commit came through before the end is in the ledger, and stays as it is. */
static void on_row(void *arg, const struct ledger_row *row)
{
    struct posting *posting = arg;

    posting->rows++;
    posting->is_good = posting->is_good && statements_close_row(posting->statements, row);
}

static void on_counter(void *arg, const struct counter_state *counter)
{
    struct posting *posting = arg;

    posting->is_good = posting->is_good && statements_keep_counters(posting->statements, counter, 1);
}

static bool post(struct database *database, const char *path, size_t *rows, char *error, size_t error_size)
{
    struct posting posting = { statements_new(database), true, 0 };
    struct daybook_reader reader = { on_row, on_counter, &posting };
    bool is_good = posting.statements && statements_begin(posting.statements);

    *error = '\0';
    is_good = is_good && daybook_read(path, &reader, error, error_size) && posting.is_good &&
              statements_commit(posting.statements) &&
              (!database->is_synced_later || sqlite_files_sync_log(database->connection));
    if (!is_good && !*error)
        database_explain(database, error, error_size);
    if (!is_good)
        database_run(database, "ROLLBACK");
    statements_free(posting.statements);
    *rows = posting.rows;
    return is_good;
}

bool posting_run(struct database *database, char *error, size_t error_size)
{
    char *path = path_of(database), count[24];
    bool is_good = true;
    size_t rows;

    if (access(path, F_OK) == 0) {
        is_good = post(database, path, &rows, error, error_size);
        snprintf(count, sizeof count, "%zu", rows);
        if (is_good && rows)
            log_line(LOG_INFO, "rows that a killed gateway had entered are in the database now", "rows", count, NULL);
        if (is_good)
            unlink(path);
    }
    mem_free(path);
    return is_good;
}

static void await(const char *path, uint64_t page)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    int64_t until = clock_monotonic_us() + PATIENCE_US;
    uint64_t oldest, newest;

    for (daybook_pages(path, &oldest, &newest); oldest && oldest <= page; daybook_pages(path, &oldest, &newest)) {
        if (clock_monotonic_us() >= until)
            return;
        nanosleep(&pause, NULL);
    }
}

bool posting_await(const struct database *beside, char *error, size_t error_size)
{
    char *path = path_of(beside);
    struct database *database;
    uint64_t oldest, newest;
    bool is_good = true;

    daybook_pages(path, &oldest, &newest);
    if (newest && database_is_taken(beside)) {
        await(path, newest);
    } else if (newest) {
        database = database_open(beside->path, error, error_size);
        is_good = database && posting_run(database, error, error_size);
        database_close(database);
    }
    mem_free(path);
    return is_good;
}
