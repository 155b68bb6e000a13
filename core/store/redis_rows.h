/* redis_rows.h - the ledger on Redis: its rows, and those that wait until Redis can take them. */
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

/* NULL with a sentence in error. Before the keeper starts. */
struct redis_rows *redis_rows_new(struct redis *redis, char *error, size_t error_size);
/* After the keeper has stopped; NULL is fine. */
void redis_rows_free(struct redis_rows *rows);
/* The id of the process that used these rows before and is known to be dead; NULL: there was none. */
const char *redis_rows_predecessor(const struct redis_rows *rows);

/* As in backend.h. */
bool redis_rows_problem(struct redis_rows *rows, char *text, size_t size);
void redis_rows_open(struct redis_rows *rows, const struct ledger_row *row);
void redis_rows_close(struct redis_rows *rows, const struct ledger_row *row, struct answer answer);
void redis_rows_find(struct redis_rows *rows, const char *request_id, const struct row_answer *answer);
int redis_rows_read(struct redis_rows *rows, struct store_place *place, int64_t until, int count, struct row **read);

/*
 * On the keeper's thread, whenever Redis is there: some milliseconds' work of what waits. True: there is more, call
 * again. A broken line ends it.
 */
bool redis_rows_deliver(struct redis_rows *rows, struct redis_line *line);

#endif
