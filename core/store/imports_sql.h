/*
 * imports_sql.h - imported models in SQLite: written by the ledger's thread, read
 * through a connection of the reader's own. Called by batch.c, database.c and
 * sqlite.c.
 */
#ifndef STORE_IMPORTS_SQL_H
#define STORE_IMPORTS_SQL_H

#include "store/store.h"

struct database;

/* Makes the tables where they are missing. */
extern const char imports_sql_tables[];

/* Within the transaction that is under way. False: SQLite refuses. */
bool imports_sql_keep(struct database *database, const struct store_import *import);
/* False: they cannot be read. A file that has never seen an import has none. */
bool imports_sql_each_source(const struct database *database, void (*each)(void *arg, const struct store_import *),
                             void *arg);
bool imports_sql_each(const struct database *database, int64_t since,
                      void (*each)(void *arg, const struct store_import *), void *arg);

#endif
