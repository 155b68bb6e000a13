/*
 * lost.h - the rows that were under way when the process before died: closed
 * in the ledger as lost, once. Called by ledger.c before anything is opened.
 */
#ifndef STORE_LOST_H
#define STORE_LOST_H

#include <stdbool.h>

struct database;
struct journal;
struct statements;

/* False: SQLite refuses, and they stay in the journal. */
bool lost_close(struct journal *journal, struct database *database, struct statements *statements);

#endif
