/*
 * daybook.h - what was entered since the last commit: rows that ended, and
 * counters that moved. A file that is mapped into memory, written with plain
 * stores and no system call: it outlives the process that is killed, though not
 * a power cut. The ledger's thread turns to a new page, commits what is on the
 * ones before, and wipes them; what it has not wiped is posted by whoever
 * opens the database next (posting.h). Any thread may enter.
 *
 * A page has 512 KB, more than the longest row, and its room is reserved on the
 * disk before it is written to. Called by ledger.c and posting.c.
 */
#ifndef STORE_DAYBOOK_H
#define STORE_DAYBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/limits.h"
#include "store/store.h"

struct daybook;

/* Makes the file, in place of one that has nothing to post. NULL with a sentence in error. */
struct daybook *daybook_open(const char *path, char *error, size_t error_size);
/* NULL is fine. The file goes, unless there is something in it. */
void daybook_close(struct daybook *daybook);

/* False: there is no room on the disk. */
bool daybook_enter_row(struct daybook *daybook, const struct ledger_row *row);
/* As it stands, in the place of what was entered of it before. */
bool daybook_enter_counter(struct daybook *daybook, const struct counter_state *counter);

/* What is entered from now on is on new pages. */
void daybook_turn(struct daybook *daybook);
/* The pages before the last turn hold nothing that is not in the database. */
void daybook_wipe(struct daybook *daybook);

/* ---- of another process, or of one that was killed ---- */

struct daybook_reader {
    void (*on_row)(void *arg, const struct ledger_row *row); /* texts are valid inside */
    void (*on_counter)(void *arg, const struct counter_state *counter);
    void *arg;
};

/*
 * All entries that were written to their end, in the order in which they were made. False with a sentence: it cannot be
 * read. No file is an empty one.
 */
bool daybook_read(const char *path, const struct daybook_reader *reader, char *error, size_t error_size);
/* The oldest page that is not wiped and the newest one, by number; both 0: none. */
void daybook_pages(const char *path, uint64_t *oldest, uint64_t *newest);

#endif
