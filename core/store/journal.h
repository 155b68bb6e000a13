/*
 * journal.h - the rows under way, in a file that is mapped into memory: noted
 * with plain stores, so that it costs no system call, and in the page cache, so
 * that they outlive the process that is killed (a power cut may lose notes of
 * the last seconds: rows that were committed are elsewhere). A backend adds a
 * row before the provider is called and removes it once its closed row is
 * safe; what is left was under way when the process before died.
 *
 * Kept of a row: its texts but outcome and detail, clipped where they are
 * longer than any name should be, its time, and its input tokens. Any thread
 * may call. Room is made 256 rows (256 KB) at a time and reserved on the disk
 * first, so a full one is an error and no signal. Called by ledger.c.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;
struct ledger_row;

/* Makes the file if there is none. One process at a time. NULL with a sentence in error. */
struct journal *journal_open(const char *path, char *error, size_t error_size);
void journal_close(struct journal *journal); /* NULL is fine; what was not removed stays */

/* The slot of the row, by which it is removed; 0: it could not be noted, and journal_problem says why. */
uint32_t journal_add(struct journal *journal, const struct ledger_row *row);
void journal_remove(struct journal *journal, uint32_t slot); /* 0 is fine */
/*
 * The rows that the process before left, for as long as nothing was added; none of their slots is used again until it
 * is removed. The row is valid inside each, which returns false to end the walk: then the answer is false.
 */
bool journal_each_left(struct journal *journal, bool (*each)(void *arg, uint32_t slot, const struct ledger_row *row),
                       void *arg);
/*
 * Lets another process have the file, from now on its owner: nothing is added or removed here, and the slots that were
 * given out stay as they are. Waits for notes that are just being written.
 */
void journal_leave(struct journal *journal);
/* Takes it back from a process that left all slots as they were. False: it cannot be had. */
bool journal_return(struct journal *journal);
/* Whether rows go unnoted now; then text says why. */
bool journal_problem(struct journal *journal, char *text, size_t size);

#endif
