/*
 * sqlite.c - the backend that lasts: one file, one writer (ledger.c), one
 * reader (reader.c). Here it is opened, and what it knows is loaded.
 */
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "store/backend.h"
#include "store/database.h"
#include "store/imports_sql.h"
#include "store/inherit.h"
#include "store/keys.h"
#include "store/ledger.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/posting.h"
#include "store/reader.h"
#include "store/row.h"
#include "store/statements.h"
#include "store/usage_sql.h"

struct sqlite {
    struct database *database;
    struct ledger *ledger;
    struct reader *reader;
    struct inherit *inherit; /* NULL: nobody was before */
    sqlite3_stmt *page;      /* of a store that is only read */
};

/* ---- loading ---- */

static const char *text_at(sqlite3_stmt *rows, int column)
{
    const char *text = (const char *)sqlite3_column_text(rows, column);

    return text ? text : "";
}

static void load_counter(struct store *store, sqlite3_stmt *rows)
{
    struct counter_state state = { .key = (char *)text_at(rows, 0) };

    if (!window_parse(text_at(rows, 1), &state.window))
        return;
    state.sliding = sqlite3_column_int(rows, 2);
    state.zone = zone_find(text_at(rows, 3));
    if (!state.zone)
        return; /* that zone is gone from the system: its days cannot be told */
    state.slot = sqlite3_column_int(rows, 4);
    state.at = sqlite3_column_int64(rows, 5);
    state.ends = sqlite3_column_int64(rows, 6);
    state.settled = sqlite3_column_int64(rows, 7);
    limits_load_counter(store->limits, &state);
}

static void load_mark(struct store *store, sqlite3_stmt *rows)
{
    struct mark_state state = { .target = (char *)text_at(rows, 0),
                                .until = sqlite3_column_int64(rows, 1),
                                .step = sqlite3_column_int64(rows, 2),
                                .reason = (char *)text_at(rows, 3) };

    marks_load(store->marks, &state);
}

static void load_learnt(struct store *store, sqlite3_stmt *rows)
{
    struct store_learnt word = { .limit = sqlite3_column_int64(rows, 4),
                                 .remaining = sqlite3_column_int64(rows, 5),
                                 .reset_at = sqlite3_column_int64(rows, 6),
                                 .seen_at = sqlite3_column_int64(rows, 7) };

    snprintf(word.provider, sizeof word.provider, "%s", text_at(rows, 0));
    snprintf(word.model, sizeof word.model, "%s", text_at(rows, 1));
    snprintf(word.metric, sizeof word.metric, "%s", text_at(rows, 2));
    snprintf(word.window, sizeof word.window, "%s", text_at(rows, 3));
    snprintf(word.source, sizeof word.source, "%s", text_at(rows, 8));
    limits_load_learnt(store->limits, &word);
}

static void load_key(struct store *store, sqlite3_stmt *rows)
{
    struct store_key key = { .settings = text_at(rows, 2),
                             .created = sqlite3_column_int64(rows, 3),
                             .revoked = sqlite3_column_int64(rows, 4) };

    if (sqlite3_column_bytes(rows, 0) != STORE_HASH)
        return;
    memcpy(key.hash, sqlite3_column_blob(rows, 0), STORE_HASH);
    snprintf(key.prefix, sizeof key.prefix, "%s", text_at(rows, 1));
    keys_add(store->keys, &key);
}

static bool load(struct store *store, struct database *database, const char *sql,
                 void (*load_one)(struct store *store, sqlite3_stmt *rows))
{
    sqlite3_stmt *rows = NULL;

    if (sqlite3_prepare_v2(database->connection, sql, -1, &rows, NULL) == SQLITE_OK)
        while (sqlite3_step(rows) == SQLITE_ROW)
            load_one(store, rows);
    return sqlite3_finalize(rows) == SQLITE_OK && rows;
}

static bool load_all(struct store *store, struct database *database)
{
    return load(store, database,
                "SELECT \"key\", window, sliding, zone, slot, at, ends, settled FROM counters ORDER BY at",
                load_counter) &&
           load(store, database, "SELECT target, until, step, reason FROM marks", load_mark) &&
           load(store, database,
                "SELECT provider, model, metric, window, \"limit\", remaining, reset_at, seen_at, source FROM learnt",
                load_learnt) &&
           load(store, database, "SELECT hash, prefix, settings, created, revoked FROM keys", load_key);
}

/* ---- the backend ---- */

static void close_all(struct sqlite *sqlite)
{
    sqlite3_finalize(sqlite->page);
    inherit_stop(sqlite->inherit);
    reader_stop(sqlite->reader);
    ledger_stop(sqlite->ledger);
    database_close(sqlite->database);
    mem_free(sqlite);
}

static bool sqlite_open(struct store *store, const char *place, char *error, size_t error_size)
{
    struct sqlite *sqlite = mem_zero(sizeof *sqlite);

    sqlite->database = database_open(place, error, error_size);
    if (!sqlite->database)
        goto failed;
    if (!posting_run(sqlite->database, error, error_size))
        goto failed;
    if (!load_all(store, sqlite->database)) {
        database_explain(sqlite->database, error, error_size);
        goto failed;
    }
    sqlite->ledger = ledger_start(store, sqlite->database, store->predecessor >= 0, error, error_size);
    if (!sqlite->ledger)
        goto failed;
    sqlite->reader = reader_start(sqlite->database);
    if (!sqlite->reader) {
        snprintf(error, error_size, "the database %.200s cannot be opened for reading", place);
        goto failed;
    }
    store->own = sqlite;
    if (store->predecessor >= 0)
        sqlite->inherit = inherit_start(store, sqlite->ledger, store->predecessor);
    store->predecessor = -1;
    return true;
failed:
    close_all(sqlite);
    return false;
}

static bool sqlite_open_reader(struct store *store, const char *place, char *error, size_t error_size)
{
    struct sqlite *sqlite = mem_zero(sizeof *sqlite);

    *error = '\0';
    sqlite->database = database_open_beside(place, error, error_size);
    if (sqlite->database && posting_await(sqlite->database, error, error_size))
        sqlite->page = statements_page(sqlite->database->connection);
    if (sqlite->page) {
        store->own = sqlite;
        return true;
    }
    if (sqlite->database && !*error)
        database_explain(sqlite->database, error, error_size);
    close_all(sqlite);
    return false;
}

static void sqlite_close(struct store *store)
{
    close_all(store->own);
}

static bool sqlite_hand_over(struct store *store, int socket, char *error, size_t error_size)
{
    struct sqlite *sqlite = store->own;

    return ledger_hand_over(sqlite->ledger, socket, error, error_size);
}

static void sqlite_take_back(struct store *store)
{
    struct sqlite *sqlite = store->own;

    ledger_take_back(sqlite->ledger);
}

static bool sqlite_inherits(struct store *store)
{
    struct sqlite *sqlite = store->own;

    return inherit_is_live(sqlite->inherit);
}

static bool sqlite_problem(struct store *store, char *text, size_t size)
{
    struct sqlite *sqlite = store->own;

    if (sqlite->page) { /* only read: what kept a page from being read */
        database_explain(sqlite->database, text, size);
        return true;
    }
    return ledger_problem(sqlite->ledger, text, size);
}

static bool sqlite_refuses(struct store *store, char *text, size_t size)
{
    struct sqlite *sqlite = store->own;

    return ledger_refuses(sqlite->ledger, text, size);
}

static void sqlite_changed(struct store *store)
{
    struct sqlite *sqlite = store->own;

    ledger_changed(sqlite->ledger);
}

static void sqlite_keep_key(struct store *store, const struct store_key *key, struct answer answer)
{
    struct sqlite *sqlite = store->own;

    ledger_keep_key(sqlite->ledger, key, answer);
}

static void sqlite_keep_import(struct store *store, const struct store_import *import, struct answer answer)
{
    struct sqlite *sqlite = store->own;

    ledger_keep_import(sqlite->ledger, import, answer);
}

static bool sqlite_each_source(struct store *store, void (*each)(void *arg, const struct store_import *), void *arg)
{
    struct sqlite *sqlite = store->own;

    return imports_sql_each_source(sqlite->database, each, arg);
}

static bool sqlite_each_import(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                               void *arg)
{
    struct sqlite *sqlite = store->own;

    return imports_sql_each(sqlite->database, since, each, arg);
}

static void sqlite_open_row(struct store *store, const struct ledger_row *row)
{
    struct sqlite *sqlite = store->own;

    ledger_open_row(sqlite->ledger, row);
}

static void sqlite_close_row(struct store *store, const struct ledger_row *row, struct answer answer)
{
    struct sqlite *sqlite = store->own;

    ledger_close_row(sqlite->ledger, row, answer);
}

static void sqlite_forget_row(struct store *store, const char *row_id)
{
    struct sqlite *sqlite = store->own;

    ledger_forget_row(sqlite->ledger, row_id);
}

static void sqlite_find_row(struct store *store, const char *request_id, const struct row_answer *answer)
{
    struct sqlite *sqlite = store->own;
    struct row *row = ledger_row_under_way(sqlite->ledger, request_id);

    if (row)
        answer_give_row(answer, row);
    else
        reader_find(sqlite->reader, request_id, answer);
}

/* A store that writes has no connection for this: one is made for each page. */
static int sqlite_read_rows(struct store *store, struct store_place *place, int64_t until, int count, struct row **rows)
{
    struct sqlite *sqlite = store->own;
    sqlite3 *connection;
    sqlite3_stmt *page;
    int got = -1;

    if (sqlite->page)
        return statements_read_page(sqlite->page, place, until, count, rows);
    ledger_write_all(sqlite->ledger);
    connection = database_open_reader(sqlite->database);
    page = connection ? statements_page(connection) : NULL;
    if (page)
        got = statements_read_page(page, place, until, count, rows);
    sqlite3_finalize(page);
    database_close_reader(connection);
    return got;
}

/* A store that writes has no connection for this either. */
static bool sqlite_usage(struct store *store, struct usage *usage)
{
    struct sqlite *sqlite = store->own;
    sqlite3 *connection;
    bool is_read;

    if (sqlite->page)
        return usage_sql_read(sqlite->database->connection, usage, NULL);
    ledger_write_all(sqlite->ledger);
    connection = database_open_reader(sqlite->database);
    is_read = connection && usage_sql_read(connection, usage, ledger_hours(sqlite->ledger));
    database_close_reader(connection);
    return is_read;
}

const struct backend backend_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .open_reader = sqlite_open_reader,
    .close = sqlite_close,
    .hand_over = sqlite_hand_over,
    .take_back = sqlite_take_back,
    .inherits = sqlite_inherits,
    .problem = sqlite_problem,
    .refuses = sqlite_refuses,
    .changed = sqlite_changed,
    .keep_key = sqlite_keep_key,
    .keep_import = sqlite_keep_import,
    .each_source = sqlite_each_source,
    .each_import = sqlite_each_import,
    .open_row = sqlite_open_row,
    .close_row = sqlite_close_row,
    .forget_row = sqlite_forget_row,
    .find_row = sqlite_find_row,
    .read_rows = sqlite_read_rows,
    .usage = sqlite_usage,
};
