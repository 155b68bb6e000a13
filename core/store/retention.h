/*
 * retention.h - takes rows that are older than the configuration keeps out of
 * the ledger, a few at a time, each time in a short transaction. Called by
 * ledger.c alone, on its thread, between two batches.
 */
#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

struct database;

/* Zero-initialised: nothing was done yet. */
struct retention {
    int64_t keep_days; /* as of the last time */
    int64_t due;       /* monotonic microseconds: when there is something to do again; 0: never */
};

/* Whether its time has come, or the days were changed. */
bool retention_is_due(const struct retention *retention, int64_t keep_days);
/* Deletes some rows, if it is due. */
void retention_sweep(struct retention *retention, struct database *database, int64_t keep_days);

#endif
