/* imports_sql.c - see imports_sql.h. */
#include "store/imports_sql.h"

#include <sqlite3.h>

#include "store/database.h"

const char imports_sql_tables[] =
    "CREATE TABLE IF NOT EXISTS models (source TEXT PRIMARY KEY NOT NULL, time INTEGER NOT NULL, models TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS model_changes (number INTEGER PRIMARY KEY, source TEXT NOT NULL, time INTEGER NOT NULL,"
    " changes TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS model_changes_time ON model_changes (time);";

static const char keep_models[] = "INSERT OR REPLACE INTO models (source, time, models) VALUES (?, ?, ?)";
static const char keep_changes[] = "INSERT INTO model_changes (source, time, changes) VALUES (?, ?, ?)";

static bool keep(struct database *database, const char *sql, const struct store_import *import, const char *text)
{
    sqlite3_stmt *statement = NULL;
    bool is_good = sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL) == SQLITE_OK;

    if (is_good) {
        sqlite3_bind_text(statement, 1, import->source, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, import->time);
        sqlite3_bind_text(statement, 3, text, -1, SQLITE_STATIC);
        is_good = sqlite3_step(statement) == SQLITE_DONE;
    }
    return sqlite3_finalize(statement) == SQLITE_OK && is_good;
}

bool imports_sql_keep(struct database *database, const struct store_import *import)
{
    return keep(database, keep_models, import, import->models) &&
           (!*import->changes || keep(database, keep_changes, import, import->changes));
}

/* Whether there are the tables: a file that no gateway of this version has opened yet lacks them. */
static bool has_tables(sqlite3 *connection)
{
    return sqlite3_table_column_metadata(connection, NULL, "model_changes", NULL, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

static bool read_all(const struct database *database, const char *sql, int64_t since, bool is_models,
                     void (*each)(void *arg, const struct store_import *), void *arg)
{
    sqlite3 *connection = database_open_reader(database);
    sqlite3_stmt *rows = NULL;
    bool is_good = connection != NULL;

    if (is_good && has_tables(connection)) {
        is_good = sqlite3_prepare_v2(connection, sql, -1, &rows, NULL) == SQLITE_OK;
        if (is_good && !is_models)
            sqlite3_bind_int64(rows, 1, since);
        while (is_good && sqlite3_step(rows) == SQLITE_ROW) {
            const char *text = (const char *)sqlite3_column_text(rows, 2);
            struct store_import import = { .source = (const char *)sqlite3_column_text(rows, 0),
                                           .time = sqlite3_column_int64(rows, 1),
                                           .models = is_models ? text : "",
                                           .changes = is_models ? "" : text };

            each(arg, &import);
        }
        is_good = sqlite3_finalize(rows) == SQLITE_OK && is_good;
    }
    database_close_reader(connection);
    return is_good;
}

bool imports_sql_each_source(const struct database *database, void (*each)(void *arg, const struct store_import *),
                             void *arg)
{
    return read_all(database, "SELECT source, time, models FROM models ORDER BY source", 0, true, each, arg);
}

bool imports_sql_each(const struct database *database, int64_t since,
                      void (*each)(void *arg, const struct store_import *), void *arg)
{
    return read_all(database, "SELECT source, time, changes FROM model_changes WHERE time >= ?1 ORDER BY number", since,
                    false, each, arg);
}
