/* statements.c - see statements.h. */
#include "store/statements.h"

#include <string.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/database.h"

enum {
    BEGIN,
    COMMIT,
    CLOSE_ROW,
    DELETE_ROW,
    ADD_KEY,
    REVOKE_KEY,
    KEEP_COUNTER,
    KEEP_COUNTERS,
    KEEP_MARK,
    KEEP_LEARNT,
    FORGET,
    STATEMENTS
};

/* A call has some four counters: one statement for as many is done sooner than one for each. */
enum { COUNTER_VALUES = 8, COUNTERS_AT_ONCE = 4 };
#define KEEP_THE_COUNTER                                                                                               \
    "INSERT OR REPLACE INTO counters (\"key\", window, sliding, zone, slot, at, ends, settled)"                        \
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
#define AND_ONE ", (?, ?, ?, ?, ?, ?, ?, ?)"

struct statements {
    sqlite3_stmt *list[STATEMENTS];
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [CLOSE_ROW] = "INSERT OR IGNORE INTO ledger ",
    [DELETE_ROW] = "DELETE FROM ledger WHERE row_id = ?",
    [ADD_KEY] = "INSERT OR REPLACE INTO keys (hash, prefix, settings, created, revoked) VALUES (?, ?, ?, ?, ?)",
    [REVOKE_KEY] = "UPDATE keys SET revoked = ?2 WHERE hash = ?1",
    [KEEP_COUNTER] = (KEEP_THE_COUNTER),
    [KEEP_COUNTERS] = (KEEP_THE_COUNTER AND_ONE AND_ONE AND_ONE),
    [KEEP_MARK] = "INSERT OR REPLACE INTO marks (target, until, step, reason) VALUES (?, ?, ?, ?)",
    [KEEP_LEARNT] = ("INSERT OR REPLACE INTO learnt (provider, model, metric, window, \"limit\", remaining, reset_at,"
                     " seen_at, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [FORGET] = "DELETE FROM counters WHERE ends < ?",
};

static void add_columns(struct buf *sql, const char *detail)
{
    for (int i = 0; i < ROW_COLUMNS; i++)
        buf_add_format(sql, "\"%s\", ", row_columns[i].name);
    buf_add_text(sql, detail);
}

static sqlite3_stmt *prepare(sqlite3 *connection, int which)
{
    sqlite3_stmt *statement = NULL;
    struct buf sql = { 0 };

    buf_add_text(&sql, texts[which]);
    if (which == CLOSE_ROW) {
        buf_add_char(&sql, '(');
        add_columns(&sql, "detail");
        buf_add_text(&sql, ") VALUES (");
        for (int i = 0; i < ROW_COLUMNS; i++)
            buf_add_text(&sql, "?, ");
        buf_add_text(&sql, "?)");
    }
    sqlite3_prepare_v3(connection, buf_text_of(&sql), -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    buf_free(&sql);
    return statement;
}

struct statements *statements_new(struct database *database)
{
    struct statements *statements = mem_zero(sizeof *statements);

    for (int i = 0; i < STATEMENTS; i++) {
        statements->list[i] = prepare(database->connection, i);
        if (!statements->list[i]) {
            statements_free(statements);
            return NULL;
        }
    }
    return statements;
}

void statements_free(struct statements *statements)
{
    if (!statements)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(statements->list[i]);
    mem_free(statements);
}

/* What is bound lives until the step is done: nothing is copied. */
static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

static bool run(sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    return sqlite3_reset(statement) == SQLITE_OK;
}

bool statements_begin(struct statements *statements)
{
    return run(statements->list[BEGIN]);
}

bool statements_commit(struct statements *statements)
{
    return run(statements->list[COMMIT]);
}

bool statements_close_row(struct statements *statements, const struct ledger_row *row)
{
    sqlite3_stmt *statement = statements->list[CLOSE_ROW];
    struct ledger_row fields = *row;

    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            bind_text(statement, i + 1, *row_text(&fields, &row_columns[i]));
        else
            sqlite3_bind_int64(statement, i + 1, row_integer(&fields, &row_columns[i]));
    }
    bind_text(statement, ROW_COLUMNS + 1, fields.detail);
    return run(statement);
}

bool statements_forget_row(struct statements *statements, const char *row_id)
{
    bind_text(statements->list[DELETE_ROW], 1, row_id);
    return run(statements->list[DELETE_ROW]);
}

bool statements_keep_key(struct statements *statements, const struct store_key *key)
{
    sqlite3_stmt *statement = statements->list[key->settings ? ADD_KEY : REVOKE_KEY];

    sqlite3_bind_blob(statement, 1, key->hash, STORE_HASH, SQLITE_STATIC);
    if (key->settings) {
        bind_text(statement, 2, key->prefix);
        bind_text(statement, 3, key->settings);
        sqlite3_bind_int64(statement, 4, key->created);
        sqlite3_bind_int64(statement, 5, key->revoked);
    } else {
        sqlite3_bind_int64(statement, 2, key->revoked);
    }
    return run(statement);
}

static void bind_counter(sqlite3_stmt *statement, int at, const struct counter_state *state)
{
    bind_text(statement, at + 1, state->key);
    bind_text(statement, at + 2, window_name(state->window));
    sqlite3_bind_int(statement, at + 3, state->sliding);
    bind_text(statement, at + 4, zone_name(state->zone));
    sqlite3_bind_int(statement, at + 5, state->slot);
    sqlite3_bind_int64(statement, at + 6, state->at);
    sqlite3_bind_int64(statement, at + 7, state->ends);
    sqlite3_bind_int64(statement, at + 8, state->settled);
}

bool statements_keep_counters(struct statements *statements, const struct counter_state *states, size_t count)
{
    bool is_good = true;

    while (is_good && count > 0) {
        size_t taken = count < COUNTERS_AT_ONCE ? 1 : COUNTERS_AT_ONCE;
        sqlite3_stmt *statement = statements->list[taken == 1 ? KEEP_COUNTER : KEEP_COUNTERS];

        for (size_t i = 0; i < taken; i++)
            bind_counter(statement, (int)i * COUNTER_VALUES, &states[i]);
        is_good = run(statement);
        states += taken;
        count -= taken;
    }
    return is_good;
}

bool statements_keep_mark(struct statements *statements, const struct mark_state *state)
{
    sqlite3_stmt *statement = statements->list[KEEP_MARK];

    bind_text(statement, 1, state->target);
    sqlite3_bind_int64(statement, 2, state->until);
    sqlite3_bind_int64(statement, 3, state->step);
    bind_text(statement, 4, state->reason);
    return run(statement);
}

bool statements_keep_learnt(struct statements *statements, const struct store_learnt *word)
{
    sqlite3_stmt *statement = statements->list[KEEP_LEARNT];

    bind_text(statement, 1, word->provider);
    bind_text(statement, 2, word->model);
    bind_text(statement, 3, word->metric);
    bind_text(statement, 4, word->window);
    sqlite3_bind_int64(statement, 5, word->limit);
    sqlite3_bind_int64(statement, 6, word->remaining);
    sqlite3_bind_int64(statement, 7, word->reset_at);
    sqlite3_bind_int64(statement, 8, word->seen_at);
    bind_text(statement, 9, word->source);
    return run(statement);
}

bool statements_forget_counters(struct statements *statements, int64_t before)
{
    sqlite3_bind_int64(statements->list[FORGET], 1, before);
    return run(statements->list[FORGET]);
}

/* last: the columns behind those of every row, the first of them its detail. */
static sqlite3_stmt *prepare_select(sqlite3 *connection, const char *last, const char *rest)
{
    sqlite3_stmt *statement = NULL;
    struct buf sql = { 0 };

    buf_add_text(&sql, "SELECT ");
    add_columns(&sql, last);
    buf_add_text(&sql, " FROM ledger WHERE ");
    buf_add_text(&sql, rest);
    sqlite3_prepare_v3(connection, buf_text_of(&sql), -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    buf_free(&sql);
    return statement;
}

struct sqlite3_stmt *statements_find_row(struct sqlite3 *connection)
{
    return prepare_select(connection, "detail", "request_id = ? ORDER BY rowid DESC LIMIT 1");
}

static struct row *row_here(sqlite3_stmt *statement)
{
    struct ledger_row fields = { 0 };

    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            *row_text(&fields, &row_columns[i]) = (const char *)sqlite3_column_text(statement, i);
        else
            row_set_integer(&fields, &row_columns[i], sqlite3_column_int64(statement, i));
    }
    fields.detail = (const char *)sqlite3_column_text(statement, ROW_COLUMNS);
    return row_copy(&fields);
}

struct row *statements_read_row(struct sqlite3_stmt *find_row, const char *request_id)
{
    struct row *row;

    bind_text(find_row, 1, request_id);
    row = sqlite3_step(find_row) == SQLITE_ROW ? row_here(find_row) : NULL;
    sqlite3_reset(find_row);
    return row;
}

struct sqlite3_stmt *statements_page(struct sqlite3 *connection)
{
    return prepare_select(connection, "detail, rowid",
                          "(time, rowid) > (?1, ?2) AND time < ?3 ORDER BY time, rowid LIMIT ?4");
}

struct sqlite3_stmt *statements_plain_page(struct sqlite3 *connection, const char *org, const char *key)
{
    sqlite3_stmt *page;

    /* What few rows fit is found in the index that usage has: no other row is touched. */
    if (org || key)
        page =
            prepare_select(connection, "NULL, rowid",
                           "rowid IN (SELECT rowid FROM ledger INDEXED BY ledger_usage WHERE (time, rowid) > (?1, ?2)"
                           " AND time < ?3 AND coalesce(org, '') = coalesce(?5, org, '') AND"
                           " coalesce(\"key\", '') = coalesce(?6, \"key\", '') ORDER BY time, rowid LIMIT ?4)"
                           " ORDER BY time, rowid");
    else
        page = prepare_select(connection, "NULL, rowid",
                              "(time, rowid) > (?1, ?2) AND time < ?3 ORDER BY time, rowid LIMIT ?4");
    if (page && (org || key)) {
        bind_text(page, 5, org);
        bind_text(page, 6, key);
    }
    return page;
}

int statements_read_page(struct sqlite3_stmt *page, struct store_place *place, int64_t until, int count,
                         struct row **rows)
{
    const struct store_place begin = *place;
    int got = 0;

    sqlite3_bind_int64(page, 1, place->time);
    sqlite3_bind_int64(page, 2, place->number);
    sqlite3_bind_int64(page, 3, until);
    sqlite3_bind_int(page, 4, count);
    while (got < count && sqlite3_step(page) == SQLITE_ROW) {
        rows[got] = row_here(page);
        *place = (struct store_place){ row_fields(rows[got])->time, sqlite3_column_int64(page, ROW_COLUMNS + 1) };
        got++;
    }
    if (sqlite3_reset(page) == SQLITE_OK)
        return got;
    while (got > 0)
        row_drop(rows[--got]);
    *place = begin;
    return -1;
}
