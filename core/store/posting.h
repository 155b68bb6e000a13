/*
 * posting.h - brings into the database what a gateway that was killed had
 * entered into its daybook (PATH-daybook) and not committed. Called by
 * sqlite.c, before anything is loaded.
 */
#ifndef STORE_POSTING_H
#define STORE_POSTING_H

#include <stdbool.h>
#include <stddef.h>

struct database;

/* In one transaction, synced; then the daybook goes. False with a sentence: all is as before. */
bool posting_run(struct database *database, char *error, size_t error_size);
/*
 * Before a database that is only read: what had been entered beside it is in it afterwards, posted here if no gateway
 * runs, else awaited for a second or two. Blocks. False with a sentence: it cannot be posted.
 */
bool posting_await(const struct database *beside, char *error, size_t error_size);

#endif
