/*
 * redis_rows.h - the ledger on Redis. A row that closes goes there over the
 * worker's link; if Redis is away, late or full, to the spool (redis_spool.h),
 * from where the keeper delivers it: each row is in the ledger once, since
 * Redis takes none twice. Any thread, but where it says otherwise.
 */
#ifndef STORE_REDIS_ROWS_H
#define STORE_REDIS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/answer.h"
#include "store/store.h"

struct redis;
struct redis_line;
struct redis_rows;
struct row;
struct usage;

/* folder: where the spool is. NULL with a sentence in error. Before the keeper starts. */
struct redis_rows *redis_rows_new(struct redis *redis, const char *folder, char *error, size_t error_size);
/* After the keeper has stopped; NULL is fine. */
void redis_rows_free(struct redis_rows *rows);

/* As in backend.h. */
bool redis_rows_problem(struct redis_rows *rows, char *text, size_t size);
bool redis_rows_refuses(struct redis_rows *rows, char *text, size_t size);
void redis_rows_open(struct redis_rows *rows, const struct ledger_row *row);
void redis_rows_close(struct redis_rows *rows, const struct ledger_row *row, struct answer answer);
void redis_rows_find(struct redis_rows *rows, const char *request_id, const struct row_answer *answer);
/* Of sums, not by request. */
bool redis_rows_usage(struct redis_rows *rows, struct usage *usage);
int redis_rows_read(struct redis_rows *rows, struct store_place *place, int64_t until, int count, struct row **read);

/* ---- on the keeper's thread ---- */

/* Redis was away, or is another one now: if it has lost what it took last, that is delivered again. */
void redis_rows_come_back(struct redis_rows *rows, struct redis_line *line);
/*
 * Whenever Redis is there, and at least once a second: some milliseconds' work of what waits. True: there is more, call
 * again. A broken line ends it.
 */
bool redis_rows_deliver(struct redis_rows *rows, struct redis_line *line);
/* The id of a process that used a spool of ours before and is known to be dead; NULL: there is none left. */
const char *redis_rows_predecessor(const struct redis_rows *rows);
/* That one has been buried: the next may be asked for. */
void redis_rows_buried(struct redis_rows *rows);

#endif
