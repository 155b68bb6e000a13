/*
 * usage_sql.h - reads the rows that usage adds up out of SQLite: what is kept of
 * whole hours (usage_hours.h), and of the others the rows, out of an index that
 * holds all that sums need; rows themselves without their detail. In short
 * transactions: the write-ahead log can be emptied meanwhile.
 */
#ifndef STORE_USAGE_SQL_H
#define STORE_USAGE_SQL_H

#include <stdbool.h>

struct sqlite3;
struct usage;
struct usage_hours;

/* The index, to be made where it is not there yet. */
extern const char usage_sql_index[];

/* What is to be kept is handed to hours; NULL: nothing is. False: SQLite refuses, or the usage was cancelled. */
bool usage_sql_read(struct sqlite3 *connection, struct usage *usage, struct usage_hours *hours);

#endif
