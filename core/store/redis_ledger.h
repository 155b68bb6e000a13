/*
 * redis_ledger.h - the ledger as it lies in Redis: rows into the stream
 * moongate:ledger, each once, and out of it again. Its scripts, over whatever
 * connection the caller has; keeps nothing here.
 *
 * A row is an entry with a field for every column; `moongate:row:<row_id>`
 * marks for 35 days that it is there, `moongate:request:<request_id>` names for
 * as long the one that was closed last, and `moongate:ledger:times` holds all by
 * their time: the id, and behind a NUL each the fields that usage adds up.
 */
#ifndef STORE_REDIS_LEDGER_H
#define STORE_REDIS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#include "store/redis_order.h"
#include "store/store.h"

struct redis_line;
struct redis_reply;
struct row;

/*
 * The rows go in; answered by an integer, or an error (one that redis_mend_named may mend): then some of them may be
 * in.
 */
void redis_ledger_keep(struct redis_order *order, const struct ledger_row *const *rows, size_t count);
/* The newest row of a request; the answer is for redis_ledger_row. */
void redis_ledger_find(struct redis_order *order, const char *request_id);
/* A new row, or NULL if the reply holds none. */
struct row *redis_ledger_row(const struct redis_reply *reply);

/* The rest waits for the answer. */

enum { REDIS_LEDGER_ROWS = 64 };
/* Up to so many rows, in pieces that do not hold Redis up. False: it does not take them (the log says why). */
bool redis_ledger_send(struct redis_line *line, struct row *const *rows, size_t count);
/* Whether that row is there; true, too, if Redis does not say. */
bool redis_ledger_has(struct redis_line *line, const char *row_id);
/* As read_rows of the backend. */
int redis_ledger_read(struct redis_line *line, struct store_place *place, int64_t until, int count, struct row **rows);
/* Forgets up to count rows of before that time. How many; -1: Redis did not. */
int redis_ledger_trim(struct redis_line *line, int64_t before, int count);

#endif
