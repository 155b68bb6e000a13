/*
 * usage_hours.h - what the rows of whole hours add up to, kept beside them in
 * SQLite: usage of ten million rows is then read out of some thousands of sums.
 * Only hours that somebody asked for are kept.
 *
 * An hour that was read row by row is marked as wanted; the next time it is
 * read so, its sums are collected and kept. Triggers take mark and sums away as
 * soon as a row of that hour comes or goes, whoever writes it: what was
 * collected before is not kept then, since that mark is not there any more. One
 * that was made meanwhile bears another stamp.
 */
#ifndef STORE_USAGE_HOURS_H
#define STORE_USAGE_HOURS_H

#include <stdbool.h>
#include <stdint.h>

struct database;
struct ledger_row;
struct usage_hours;
struct usage_hour;

#define USAGE_HOUR_MS INT64_C(3600000)

/* The mark of an hour. In vain: its groups are about as many as its rows, or too many. */
enum usage_hour_mark { HOUR_UNMARKED = -1, HOUR_WANTED, HOUR_KEPT, HOUR_IN_VAIN };

/* Tables and triggers, to be made where they are not there yet. */
extern const char usage_hours_tables[];
/*
 * One hour (?1): its mark, and if it is kept, a line for each group: number of requests, input, output, billed tokens,
 * cost, savings, org, key, label, tier, task, provider, model. Then, always, the stamp of the mark.
 */
extern const char usage_hours_read[];

/* ---- collected by one reader, on its thread ---- */

/* An hour since 1970, and the stamp of its mark. */
struct usage_hour *usage_hour_new(int64_t hour, int64_t stamp);
void usage_hour_free(struct usage_hour *hour); /* NULL is fine */
void usage_hour_add(struct usage_hour *hour, const struct ledger_row *row);

/* ---- what readers hand to the ledger's thread ---- */

/* on_news comes on the thread of who hands something over, when there was nothing before. */
struct usage_hours *usage_hours_new(void (*on_news)(void *arg), void *arg);
void usage_hours_free(struct usage_hours *hours); /* NULL is fine */
/* Any thread. What there is no room for is dropped: it is asked for again. */
void usage_hours_want(struct usage_hours *hours, int64_t hour);
void usage_hours_keep(struct usage_hours *hours, struct usage_hour *hour); /* takes it over */
bool usage_hours_are_waiting(const struct usage_hours *hours);
/* The ledger's thread, between two batches: writes some of it. Without a database (NULL) all is dropped. */
void usage_hours_write(struct usage_hours *hours, struct database *database);

#endif
