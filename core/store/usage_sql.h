/*
 * usage_sql.h - reads the rows that usage adds up out of SQLite: sums out of an
 * index that holds all they need, so that no row is touched; rows without their
 * detail. In short transactions: the write-ahead log can be emptied meanwhile.
 */
#ifndef STORE_USAGE_SQL_H
#define STORE_USAGE_SQL_H

#include <stdbool.h>

struct sqlite3;
struct usage;

/* The index, to be made where it is not there yet. */
extern const char usage_sql_index[];

/* False: SQLite refuses, or the usage was cancelled. */
bool usage_sql_read(struct sqlite3 *connection, struct usage *usage);

#endif
