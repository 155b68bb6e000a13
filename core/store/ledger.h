/*
 * ledger.h - the writer thread: takes all that was queued, writes it in one
 * transaction, says so to everyone who waits for it. Rows and keys are written
 * as soon as the transaction before is through and the loop that queued them
 * is at the end of its turn (bell.h); what merely changed (counters, marks)
 * within 5 ms or with the next row; what providers told of limits once a second,
 * but at once what lets no calls through any more, or lets them through again. A row under way is
 * noted in the journal (DATABASE-open) until its closed row is committed.
 *
 * Where commits are not synced, rows that end are entered into the daybook (DATABASE-daybook), and counters as they
 * move: a kill costs none of them, nobody waits for the commit, and it is made for all of 50 ms.
 *
 * When the disk refuses, everything stays queued and is tried again twice a
 * second. Who waits is told false once it has refused for three seconds. The
 * queue holds up to 64 MB; beyond it a row is refused, and if it had been
 * opened, the next start closes it as lost. Called by sqlite.c.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "store/answer.h"

struct database;
struct ledger;
struct row;
struct usage_hours;

/*
 * Closes as lost what the journal still holds, or, if inherits, takes it for rows that the process before has open.
 * NULL with a sentence in error.
 */
struct ledger *ledger_start(struct store *store, struct database *database, bool inherits, char *error,
                            size_t error_size);
/* Writes all, or gives up with a line in the log after three refusals. */
void ledger_stop(struct ledger *ledger); /* NULL is fine */

void ledger_open_row(struct ledger *ledger, const struct ledger_row *row);
void ledger_close_row(struct ledger *ledger, const struct ledger_row *row, struct answer answer);
void ledger_forget_row(struct ledger *ledger, const char *row_id); /* one that is closed must have been written */
void ledger_keep_key(struct ledger *ledger, const struct store_key *key, struct answer answer);
void ledger_keep_import(struct ledger *ledger, const struct store_import *import, struct answer answer);
void ledger_changed(struct ledger *ledger);
/* What takes the sums of hours; see usage_hours.h. */
struct usage_hours *ledger_hours(struct ledger *ledger);
/* Waits until all that was told before is written, unless the disk refuses it. Not for a loop's thread. */
void ledger_write_all(struct ledger *ledger);
/* The newest row of that request id that is open or not yet written (to be dropped), else NULL. */
struct row *ledger_row_under_way(struct ledger *ledger, const char *request_id);
bool ledger_problem(struct ledger *ledger, char *text, size_t size);
/* Whether the disk refuses rows now; text then says why. Costs next to nothing while it does not. */
bool ledger_refuses(struct ledger *ledger, char *text, size_t size);

/*
 * Another process takes the database over: all that is known is written, the database closed, and what ends from now on
 * told to that process over the socket, which is the ledger's from now on. Waits for that. False with a sentence: all
 * is as before.
 */
bool ledger_hand_over(struct ledger *ledger, int socket, char *error, size_t error_size);
/* It never began to serve. Waits until the database is ours again, or cannot be had for now. */
void ledger_take_back(struct ledger *ledger);
/* Closes as lost what the process before left open. */
void ledger_lose_inherited(struct ledger *ledger);

#endif
