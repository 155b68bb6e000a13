/*
 * usage.h - adds ledger rows up: in all, and in groups of one dimension; or, by
 * request, holds the rows themselves. The only place that knows how; backends
 * hand it rows, and what was asked comes out. Sums stop at the ends of int64.
 */
#ifndef STORE_USAGE_H
#define STORE_USAGE_H

#include "store/store.h"

struct row;
struct usage;

struct usage_sums {
    int64_t requests, input_tokens, output_tokens, billed_tokens, cost_microusd, savings_microusd;
};

/* Adds a row to the sums, or what so many rows add up to. They stop at the ends of int64. */
void usage_sums_add(struct usage_sums *sums, const struct ledger_row *row, int64_t requests);

/* NULL: there is no dimension of that number. "model", ..., "request" in the order of enum store_by. */
const char *usage_by_name(int by);

struct usage *usage_new(const struct store_usage_query *query);
/* Any thread: keeps what came out for longer; to be freed once more. */
struct usage *usage_take(const struct usage *usage);
void usage_free(struct usage *usage); /* NULL is fine; the last one frees it */
const struct store_usage_query *usage_query(const struct usage *usage);

/* ---- for those who read ---- */

/* All that its query asks for, by the backend's own way or page by page. Blocks. False: cannot be read. */
bool usage_read(struct usage *usage, struct store *store);
/* Any thread: usage_read gives up soon. */
void usage_cancel(struct usage *usage);

/* ---- for backends ---- */

bool usage_is_cancelled(const struct usage *usage);
/* Counts the row, if it is one of those that are asked for. */
void usage_add(struct usage *usage, const struct ledger_row *row);
/* The same for what so many rows of one day, and else of one group, add up to. */
void usage_add_sums(struct usage *usage, const struct ledger_row *sums, int64_t requests);
/* By request: holds the row that is at that place. False: it has all it may have, or the row is not asked for. */
bool usage_add_row(struct usage *usage, struct row *row, struct store_place place);
/* Through the pages of rows that the backend's read_rows reads. */
bool usage_read_pages(struct usage *usage, struct store *store);
/* How many more rows it may hold. */
int64_t usage_room(const struct usage *usage);

/* ---- what came out ---- */

/* By request: of the rows it holds. */
const struct usage_sums *usage_totals(const struct usage *usage);
/* There were more groups than asked for, or there may be more rows; totals count them all the same. */
bool usage_is_over(const struct usage *usage);
size_t usage_count(const struct usage *usage); /* of groups or rows */
/* Days in their order; else the dearest first, of equals the one with more requests. Valid until usage_free. */
const struct usage_sums *usage_group(const struct usage *usage, size_t i, const char **name);
const struct ledger_row *usage_row(const struct usage *usage, size_t i);
/* Behind the last row. */
struct store_place usage_place(const struct usage *usage);

#endif
