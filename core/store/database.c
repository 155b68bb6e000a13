/* database.c - see database.h. */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "store/imports_sql.h"
#include "store/sqlite_files.h"
#include "store/usage_hours.h"
#include "store/usage_sql.h"

/* SQLite's own measure; where nobody waits meanwhile, a longer log brings fewer pages into the database twice. */
enum { LOG_PAGES = 1000, LOG_PAGES_UNAWAITED = 5000 };
enum { LOCK_TRIES = 10 };
enum { SCHEMA = 2, APPLICATION = 0x6d6f6f6e /* "moon" */ };

/*
 * Row ids begin with the time, and so do the request ids that are not a caller's: new rows go to the end of every tree
 * of the ledger. It keeps its rowid, which says what was closed last: without one, rows with a long detail take twice
 * the room and twice the time.
 */
static const char tables_of_ours[] =
    "CREATE TABLE ledger (row_id TEXT PRIMARY KEY NOT NULL, request_id TEXT NOT NULL, time INTEGER NOT NULL, org TEXT,"
    " \"key\" TEXT, label TEXT, tier TEXT, surface TEXT, task TEXT, policy TEXT, provider TEXT, model TEXT, outcome "
    "TEXT,"
    " status INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,"
    " cached_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,"
    " reasoning_tokens INTEGER NOT NULL, billed_tokens INTEGER NOT NULL, cost_microusd INTEGER NOT NULL,"
    " savings_microusd INTEGER NOT NULL, estimated INTEGER NOT NULL, latency_ms INTEGER NOT NULL, detail TEXT);"
    "CREATE INDEX ledger_request_id ON ledger (request_id);"
    "CREATE TABLE counters (\"key\" TEXT NOT NULL, window TEXT NOT NULL, sliding INTEGER NOT NULL, zone TEXT NOT NULL,"
    " slot INTEGER NOT NULL, at INTEGER NOT NULL, ends INTEGER NOT NULL, settled INTEGER NOT NULL,"
    " PRIMARY KEY (\"key\", window, sliding, zone, slot)) WITHOUT ROWID;"
    "CREATE TABLE marks (target TEXT PRIMARY KEY NOT NULL, until INTEGER NOT NULL, step INTEGER NOT NULL,"
    " reason TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE learnt (provider TEXT NOT NULL, model TEXT NOT NULL, metric TEXT NOT NULL, window TEXT NOT NULL,"
    " \"limit\" INTEGER NOT NULL, remaining INTEGER NOT NULL, reset_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,"
    " source TEXT NOT NULL, PRIMARY KEY (provider, model, metric, window)) WITHOUT ROWID;"
    "CREATE TABLE keys (hash BLOB PRIMARY KEY NOT NULL, prefix TEXT NOT NULL UNIQUE, settings TEXT NOT NULL,"
    " created INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;";

/* Schema 1 kept the rows under way in a table with the columns of the ledger: they were lost. */
static const char from_1[] = "UPDATE open_rows SET outcome = 'lost', estimated = 1;"
                             "INSERT OR IGNORE INTO ledger SELECT * FROM open_rows ORDER BY row_id;"
                             "DROP TABLE open_rows;";

bool database_run(struct database *database, const char *sql)
{
    return sqlite3_exec(database->connection, sql, NULL, NULL, NULL) == SQLITE_OK;
}

void database_explain(const struct database *database, char *error, size_t error_size)
{
    int code = database->connection ? sqlite3_errcode(database->connection) & 0xff : SQLITE_NOMEM;
    int system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN ? sqlite3_system_errno(database->connection) : 0;
    const char *path = database->path, *reason = sqlite3_errmsg(database->connection);

    errno = system;
    if (code == SQLITE_NOTADB)
        snprintf(error, error_size, "%.200s is not a SQLite database: name another file in `store`", path);
    else if (code == SQLITE_CORRUPT)
        snprintf(error, error_size,
                 "the database %.200s is damaged (%.80s): restore it from a backup, or move it away to begin anew",
                 path, reason);
    else if (code == SQLITE_FULL || system == ENOSPC || system == EDQUOT)
        snprintf(error, error_size, "the database %.200s cannot be written: the disk is full", path);
    else if (system == EFBIG)
        snprintf(error, error_size, "the database %.200s cannot be written: a limit of the system on its size", path);
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        snprintf(error, error_size, "the database %.200s is locked by another program: close that", path);
    else if (code == SQLITE_READONLY)
        snprintf(error, error_size,
                 "the database %.200s may only be read: give the gateway the right to write it, and its folder", path);
    else if (system)
        snprintf(error, error_size, "the database %.200s cannot be used: %.60s (%m)", path, reason);
    else
        snprintf(error, error_size, "the database %.200s cannot be used: %.120s", path, reason);
}

static bool find_place(const char *path, char *error, size_t error_size)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    struct stat found;
    bool is_good = false;

    if (!*path || *path == ':') {
        snprintf(error, error_size, "\"sqlite:%.80s\" names no file: write \"sqlite:moongate.db\", or \"memory:\"",
                 path);
        return false;
    }
    folder = slash ? mem_copy(path, slash > path ? (size_t)(slash - path) : 1) : mem_text(".");
    if (stat(folder, &found) != 0)
        snprintf(error, error_size,
                 "the folder %.200s of the database cannot be reached (%m): create it, or change `store`", folder);
    else if (!S_ISDIR(found.st_mode))
        snprintf(error, error_size, "%.200s is no folder, so no database can be in it: change `store`", folder);
    else if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
        snprintf(error, error_size, "%.200s is not a file: name a file in `store`", path);
    else
        is_good = true;
    mem_free(folder);
    return is_good;
}

/* The lock outlives no process and the file stays: removing it would let two in. */
static int take_lock(const char *path, char *error, size_t error_size)
{
    char *name = mem_format("%s.lock", path), holder[24] = "";
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), failed = lock < 0;
    ssize_t length;

    /* Who only looks whether it is taken has it for a moment. */
    for (int tries = 0; lock >= 0 && (failed = flock(lock, LOCK_EX | LOCK_NB)) != 0 && tries < LOCK_TRIES; tries++)
        nanosleep(&pause, NULL);

    if (lock < 0) {
        snprintf(error, error_size, "%.200s cannot be written (%m): give the gateway the right to write in that folder",
                 name);
    } else if (failed) {
        length = pread(lock, holder, sizeof holder - 1, 0);
        holder[length > 0 ? strspn(holder, "0123456789") : 0] = '\0';
        snprintf(error, error_size,
                 "%.200s is in use by another moongate (pid %s): stop that one, or give this one another `store`", path,
                 *holder ? holder : "unknown");
        close(lock);
        lock = -1;
    } else if (ftruncate(lock, 0) != 0 || dprintf(lock, "%ld\n", (long)getpid()) < 0) {
        snprintf(error, error_size, "%.200s cannot be written: %m", name);
        close(lock);
        lock = -1;
    }
    mem_free(name);
    return lock;
}

bool database_is_taken(const struct database *database)
{
    char *name = mem_format("%s.lock", database->path);
    int lock = open(name, O_RDONLY | O_CLOEXEC);
    bool is_taken = lock < 0 ? errno != ENOENT : flock(lock, LOCK_SH | LOCK_NB) != 0;

    if (lock >= 0)
        close(lock);
    mem_free(name);
    return is_taken;
}

static bool make_file(const char *path, char *error, size_t error_size)
{
    /* Made here, since SQLite would let everybody read it; its WAL takes over these rights. */
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (file < 0) {
        snprintf(error, error_size, "the database %.200s cannot be written (%m): give the gateway the right to it",
                 path);
        return false;
    }
    close(file);
    return true;
}

/* The first integer of the answer; false: the question failed. */
static bool ask(struct database *database, const char *sql, int *answer)
{
    sqlite3_stmt *question = NULL;
    bool is_good = sqlite3_prepare_v2(database->connection, sql, -1, &question, NULL) == SQLITE_OK &&
                   sqlite3_step(question) == SQLITE_ROW;

    if (is_good)
        *answer = sqlite3_column_int(question, 0);
    sqlite3_finalize(question);
    return is_good;
}

/* Whether it is a database of ours, or an empty one, that this program understands. */
static bool check_owner(struct database *database, int *tables, int *schema, char *error, size_t error_size)
{
    int application;

    if (!ask(database, "SELECT count(*) FROM sqlite_master", tables) || !ask(database, "PRAGMA user_version", schema) ||
        !ask(database, "PRAGMA application_id", &application)) {
        database_explain(database, error, error_size);
        return false;
    }
    if (*tables > 0 && application != APPLICATION) {
        snprintf(error, error_size, "%.200s is the database of another program: name another file in `store`",
                 database->path);
        return false;
    }
    if (*schema > SCHEMA) {
        snprintf(error, error_size,
                 "the database %.200s was written by a newer moongate (schema %d, this one knows %d): run that one",
                 database->path, *schema, SCHEMA);
        return false;
    }
    return true;
}

static bool check_schema(struct database *database, char *error, size_t error_size)
{
    char mark[96];
    int tables, version;

    if (!check_owner(database, &tables, &version, error, error_size))
        return false;
    if (tables > 0 && version == SCHEMA)
        return true;
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION, SCHEMA);
    if (database_run(database, "BEGIN IMMEDIATE") && database_run(database, tables > 0 ? from_1 : tables_of_ours) &&
        database_run(database, mark))
        return true;
    database_explain(database, error, error_size);
    return false;
}

/* In the place of SQLite's own hook, which would shorten the log within the commit. */
static int on_commit(void *arg, sqlite3 *connection, const char *name, int pages)
{
    struct database *database = arg;

    (void)connection;
    (void)name;
    database->log_pages = pages;
    return SQLITE_OK;
}

void database_shorten_log(struct database *database)
{
    if (database->log_pages < (database->is_synced_later ? LOG_PAGES_UNAWAITED : LOG_PAGES))
        return;
    database->log_pages = 0;
    sqlite3_wal_checkpoint_v2(database->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static bool set_up(struct database *database, char *error, size_t error_size)
{
    sqlite3_stmt *mode = NULL;
    bool is_wal;

    sqlite3_busy_timeout(database->connection, 2000);
    sqlite3_wal_hook(database->connection, on_commit, database);
    if (!check_schema(database, error, error_size))
        return false;
    is_wal = sqlite3_prepare_v2(database->connection, "PRAGMA journal_mode = WAL", -1, &mode, NULL) == SQLITE_OK &&
             sqlite3_step(mode) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(mode, 0), "wal") == 0;
    sqlite3_finalize(mode);
    /*
     * A file made before there were these gets them now; what that sorts need not be in memory. What the index of time
     * alone was for, that of usage is too, and each index costs every row a page.
     */
    if (is_wal && database_run(database, usage_sql_index) && database_run(database, usage_hours_tables) &&
        database_run(database, imports_sql_tables) && database_run(database, "DROP INDEX IF EXISTS ledger_time") &&
        database_run(database,
                     database->is_synced_later ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL") &&
        database_run(database, "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
                               "PRAGMA journal_size_limit = 67108864"))
        return true;
    database_explain(database, error, error_size);
    return false;
}

bool database_regain(struct database *database, char *error, size_t error_size)
{
    database->lock = take_lock(database->path, error, error_size);
    if (database->lock < 0 || !make_file(database->path, error, error_size))
        goto failed;
    if (sqlite3_open_v2(database->path, &database->connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        sqlite_files_vfs()) != SQLITE_OK) {
        database_explain(database, error, error_size);
        goto failed;
    }
    if (set_up(database, error, error_size))
        return true;
failed:
    database_release(database);
    return false;
}

/* SQLite would count its memory, under a lock at each block that it takes or frees; nobody asks for that. */
static void count_no_memory(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* NULL with a sentence in error: what follows FILE is no choice of when its commits are on the disk. */
static struct database *new_database(const char *place, char *error, size_t error_size)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    const char *option = strrchr(place, '?');
    bool is_later = option && strcmp(option, "?sync=second") == 0;
    struct database *database;

    if (option && !is_later && strcmp(option, "?sync=always") != 0) {
        snprintf(error, error_size,
                 "the store \"sqlite:%.200s\" ends in \"%.80s\": what may stand there is \"?sync=always\" (the same as "
                 "nothing) or \"?sync=second\"",
                 place, option);
        return NULL;
    }
    pthread_once(&configured, count_no_memory);
    database = mem_zero(sizeof *database);
    database->path = mem_copy(place, option ? (size_t)(option - place) : strlen(place));
    database->is_synced_later = is_later;
    database->lock = -1;
    return database;
}

struct database *database_open(const char *place, char *error, size_t error_size)
{
    struct database *database = new_database(place, error, error_size);

    if (database && find_place(database->path, error, error_size) && database_regain(database, error, error_size))
        return database;
    database_close(database);
    return NULL;
}

struct database *database_open_beside(const char *place, char *error, size_t error_size)
{
    struct database *database = new_database(place, error, error_size);
    int tables = 0, version;

    if (!database || !find_place(database->path, error, error_size))
        goto failed;
    if (access(database->path, F_OK) != 0) {
        snprintf(error, error_size, "there is no database %.200s yet: the gateway makes it when it first runs",
                 database->path);
        goto failed;
    }
    database->connection = database_open_reader(database);
    if (!database->connection)
        snprintf(error, error_size, "the database %.200s cannot be opened for reading", database->path);
    else if (check_owner(database, &tables, &version, error, error_size) && tables == 0)
        snprintf(error, error_size, "the database %.200s is empty: the gateway fills it when it runs", database->path);
    if (tables > 0 && !*error)
        return database;
failed:
    database_close(database);
    return NULL;
}

void database_release(struct database *database)
{
    if (database->is_synced_later && database->connection)
        sqlite_files_sync_log(database->connection);
    sqlite3_close(database->connection);
    database->connection = NULL;
    if (database->lock >= 0)
        close(database->lock);
    database->lock = -1;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    database_release(database);
    mem_free(database->path);
    mem_free(database);
}

struct sqlite3 *database_open_reader(const struct database *database)
{
    sqlite3 *connection = NULL;

    if (sqlite3_open_v2(database->path, &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        sqlite3_close(connection);
        return NULL;
    }
    sqlite3_busy_timeout(connection, 2000);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return connection;
}

void database_close_reader(struct sqlite3 *connection)
{
    sqlite3_close(connection);
}
