/*
 * statements.h - every SQL statement that reads or writes a table, prepared (but
 * for the sums of usage_sql.c and the sweep of retention.c). For one thread at a
 * time; all return false when SQLite refuses.
 */
#ifndef STORE_STATEMENTS_H
#define STORE_STATEMENTS_H

#include "store/limits.h"
#include "store/marks.h"
#include "store/row.h"

struct database;
struct sqlite3;
struct sqlite3_stmt;
struct statements;

struct statements *statements_new(struct database *database); /* NULL: they do not fit the database */
void statements_free(struct statements *statements);

bool statements_begin(struct statements *statements);
bool statements_commit(struct statements *statements);
/* A row that is in the ledger already stays as it is. */
bool statements_close_row(struct statements *statements, const struct ledger_row *row);
bool statements_forget_row(struct statements *statements, const char *row_id);
/* Without settings: only that it was revoked. */
bool statements_keep_key(struct statements *statements, const struct store_key *key);
bool statements_keep_counters(struct statements *statements, const struct counter_state *states, size_t count);
bool statements_keep_mark(struct statements *statements, const struct mark_state *state);
bool statements_keep_learnt(struct statements *statements, const struct store_learnt *word);
/* Forgets counters that have not counted since that time. */
bool statements_forget_counters(struct statements *statements, int64_t before);

/* SELECT of the ledger row that was closed last of a request id, for any connection. */
struct sqlite3_stmt *statements_find_row(struct sqlite3 *connection);
/* SELECT of the next ledger rows behind a place. */
struct sqlite3_stmt *statements_page(struct sqlite3 *connection);
/* The same without their detail, and of those of an org and a key alone, which stay the caller's (NULL: of all). */
struct sqlite3_stmt *statements_plain_page(struct sqlite3 *connection, const char *org, const char *key);
/* As read_rows of the backend: one transaction, over before it returns. */
int statements_read_page(struct sqlite3_stmt *page, struct store_place *place, int64_t until, int count,
                         struct row **rows);
/* A new row, or NULL if there is none. */
struct row *statements_read_row(struct sqlite3_stmt *find_row, const char *request_id);

#endif
