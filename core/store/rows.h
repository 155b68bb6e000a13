/*
 * rows.h - ledger rows in memory, found by their own id and by request id; a
 * request id can have many. Its owner locks it. Called by ledger.c (what is
 * open or not yet written) and memory.c (all there is).
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

struct namesakes;
struct row;

struct rows {
    struct hash by_id;
    struct hash by_request;
};

struct entry {
    struct row *row; /* held */
    bool is_closed;
    bool is_inherited;  /* ledger.c: of the process before, and open there */
    uint32_t slot;      /* ledger.c: in the journal */
    unsigned unwritten; /* ledger.c: closes that are queued */
    struct namesakes *namesakes;
    struct entry *newer, *older; /* of the same request id, and as open or closed */
    uint64_t code;               /* of the row id */
    char row_id[];
};

/* NULL if there is none. */
struct entry *rows_get(const struct rows *rows, const char *row_id);
/* A row whose id is not among them yet. */
struct entry *rows_add(struct rows *rows, struct row *row, bool is_closed);
/* The row takes the place of the open one. */
void rows_close(struct rows *rows, struct entry *entry, struct row *row);
void rows_remove(struct rows *rows, struct entry *entry);
/* Of the open rows with that request id the one opened last, else of the others the one closed last; NULL: none. */
struct row *rows_newest(const struct rows *rows, const char *request_id);
void rows_free(struct rows *rows); /* back to empty */

#endif
