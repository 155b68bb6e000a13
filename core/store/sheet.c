/* sheet.c - see sheet.h. */
#include "store/sheet.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

enum { BUSY_MS = 1000, STEPS_BETWEEN_LOOKS = 10000, NAMES_MAX = 20, VALUE_MAX = 16 * 1024 * 1024 };

struct sheet {
    sqlite3 *connection;
    sqlite3_stmt *rows;
    char *path, *table;
    struct sheet_limits limits;
    size_t row_count, byte_count;
    int64_t until_us;
    bool is_slow;
};

static void explain(const struct sheet *sheet, char *error, size_t error_size)
{
    int code = sqlite3_errcode(sheet->connection) & 0xff;
    const char *reason = sqlite3_errmsg(sheet->connection);

    if (sheet->is_slow)
        snprintf(error, error_size, "reading \"%.80s\" takes more than %g s: is it a view that never ends?",
                 sheet->table ? sheet->table : "", sheet->limits.seconds);
    else if (code == SQLITE_NOTADB)
        snprintf(error, error_size, "is not a SQLite database");
    else if (code == SQLITE_CORRUPT)
        snprintf(error, error_size, "the database is damaged (%.100s)", reason);
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        snprintf(error, error_size, "the database is locked by another program");
    else if (code == SQLITE_TOOBIG)
        snprintf(error, error_size, "a value is too long");
    else if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY)
        snprintf(
            error, error_size,
            "the database cannot be opened: if it is in WAL mode, give the gateway the right to write in its folder");
    else
        snprintf(error, error_size, "the database cannot be read: %.120s", reason);
}

/* SQLite asks every so often whether to go on. */
static int on_progress(void *arg)
{
    struct sheet *sheet = arg;

    sheet->is_slow = clock_monotonic_us() > sheet->until_us;
    return sheet->is_slow;
}

static bool find_file(const char *path, char *error, size_t error_size)
{
    struct stat found;

    if (stat(path, &found) != 0)
        snprintf(error, error_size, "%m");
    else if (S_ISDIR(found.st_mode))
        snprintf(error, error_size, "it is a folder");
    else if (!S_ISREG(found.st_mode))
        snprintf(error, error_size, "it is not a file");
    else if (access(path, R_OK) != 0)
        snprintf(error, error_size, "%m");
    else
        return true;
    return false;
}

static sqlite3_stmt *prepare(struct sheet *sheet, const char *sql)
{
    sqlite3_stmt *question = NULL;

    sqlite3_prepare_v2(sheet->connection, sql, -1, &question, NULL);
    return question;
}

/* The tables there are, for whoever has misspelt one. */
static void list_tables(struct sheet *sheet, const char *table, char *error, size_t error_size)
{
    sqlite3_stmt *names = prepare(sheet, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
                                         " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name");
    struct buf list = { 0 };
    int count = 0;

    while (names && sqlite3_step(names) == SQLITE_ROW && count < NAMES_MAX)
        buf_add_format(&list, "%s%.64s", count++ ? ", " : "", (const char *)sqlite3_column_text(names, 0));
    sqlite3_finalize(names);
    if (count)
        snprintf(error, error_size, "there is no table \"%.80s\"; there are: %.300s", table, buf_text_of(&list));
    else
        snprintf(error, error_size, "there is no table \"%.80s\", nor any other", table);
    buf_free(&list);
}

/* Only what is a table by that name, in whatever case, is asked for. */
static bool find_table(struct sheet *sheet, const char *table, char *error, size_t error_size)
{
    sqlite3_stmt *question =
        prepare(sheet, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE");
    int result = SQLITE_ERROR;

    if (question) {
        sqlite3_bind_text(question, 1, table, -1, SQLITE_STATIC);
        result = sqlite3_step(question);
    }
    if (result == SQLITE_ROW)
        sheet->table = mem_text((const char *)sqlite3_column_text(question, 0));
    else if (result != SQLITE_DONE)
        explain(sheet, error, error_size);
    sqlite3_finalize(question);
    if (result == SQLITE_DONE)
        list_tables(sheet, table, error, error_size);
    return result == SQLITE_ROW;
}

static bool begin(struct sheet *sheet, const char *table, char *error, size_t error_size)
{
    char *sql;

    if (sqlite3_open_v2(sheet->path, &sheet->connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        explain(sheet, error, error_size);
        return false;
    }
    sqlite3_busy_timeout(sheet->connection, BUSY_MS);
    /* What stands in a foreign schema runs no function that reaches beyond it. */
    sqlite3_db_config(sheet->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(sheet->connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(sheet->connection, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_progress_handler(sheet->connection, STEPS_BETWEEN_LOOKS, on_progress, sheet);
    if (!find_table(sheet, table, error, error_size))
        return false;
    sql = sqlite3_mprintf("SELECT * FROM main.\"%w\"", sheet->table);
    sheet->rows = prepare(sheet, sql);
    sqlite3_free(sql);
    if (sheet->rows)
        return true;
    explain(sheet, error, error_size);
    return false;
}

struct sheet *sheet_open(const char *path, const char *table, const struct sheet_limits *limits, char *error,
                         size_t error_size)
{
    struct sheet *sheet;

    *error = '\0';
    if (!find_file(path, error, error_size))
        return NULL;
    sheet = mem_zero(sizeof *sheet);
    sheet->path = mem_text(path);
    sheet->limits = *limits;
    sheet->until_us = clock_monotonic_us() + (int64_t)(limits->seconds * 1e6);
    if (begin(sheet, table, error, error_size))
        return sheet;
    sheet_close(sheet);
    return NULL;
}

void sheet_close(struct sheet *sheet)
{
    if (!sheet)
        return;
    sqlite3_finalize(sheet->rows);
    sqlite3_close(sheet->connection);
    mem_free(sheet->path);
    mem_free(sheet->table);
    mem_free(sheet);
}

int sheet_width(const struct sheet *sheet)
{
    return sqlite3_column_count(sheet->rows);
}

const char *sheet_column(const struct sheet *sheet, int column)
{
    const char *name = sqlite3_column_name(sheet->rows, column);

    return name ? name : "";
}

bool sheet_next(struct sheet *sheet, char *error, size_t error_size)
{
    int result = sqlite3_step(sheet->rows);

    *error = '\0';
    if (result == SQLITE_DONE)
        return false;
    if (result != SQLITE_ROW) {
        explain(sheet, error, error_size);
        return false;
    }
    sheet->row_count++;
    for (int i = 0; i < sheet_width(sheet); i++)
        sheet->byte_count += (size_t)sqlite3_column_bytes(sheet->rows, i);
    if (sheet->row_count > sheet->limits.rows)
        snprintf(error, error_size, "\"%.80s\" has more than %zu rows", sheet->table, sheet->limits.rows);
    else if (sheet->byte_count > sheet->limits.bytes)
        snprintf(error, error_size, "\"%.80s\" holds more than %zu bytes", sheet->table, sheet->limits.bytes);
    return !*error;
}

const char *sheet_cell(struct sheet *sheet, int column, size_t *length)
{
    const char *text = (const char *)sqlite3_column_text(sheet->rows, column);

    *length = text ? (size_t)sqlite3_column_bytes(sheet->rows, column) : 0;
    return text;
}
