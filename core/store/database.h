/*
 * database.h - the SQLite file: that it is ours, that nobody else has it, and
 * its schema. One connection writes and makes checkpoints (SQLite before 3.51.3
 * can corrupt a WAL that two do), others only read. Called by sqlite.c, ledger.c
 * and reader.c.
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

struct sqlite3;

struct database {
    struct sqlite3 *connection;
    char *path;
    bool is_synced_later; /* commits are written at once, and on the disk after a while */
    int log_pages;        /* how long the log was after the last commit */
    int lock;             /* the descriptor of PATH.lock */
};

/* place: FILE, or FILE?sync=always (the same) or FILE?sync=second. NULL with a sentence in error. */
struct database *database_open(const char *place, char *error, size_t error_size);
/* Only to be read, beside whoever writes it: takes no lock. NULL with a sentence in error. */
struct database *database_open_beside(const char *place, char *error, size_t error_size);
/* Whether a process has it to write, as far as can be told. */
bool database_is_taken(const struct database *database);
/* Closes it, so that another process may have it; its readers go on. */
void database_release(struct database *database);
/* Opens a released one again. False with a sentence in error. */
bool database_regain(struct database *database, char *error, size_t error_size);
void database_close(struct database *database); /* NULL is fine */
/* A second connection that cannot write; NULL if it cannot be opened. */
struct sqlite3 *database_open_reader(const struct database *database);
void database_close_reader(struct sqlite3 *connection);
/* What went wrong last, in a sentence that names the file. */
void database_explain(const struct database *database, char *error, size_t error_size);
/*
 * Where the log is long, brings what is in it into the database, for some milliseconds: after whoever waited for the
 * last commit has been told. What cannot be done now is done the next time.
 */
void database_shorten_log(struct database *database);
/* Runs SQL without parameters. */
bool database_run(struct database *database, const char *sql);

#endif
