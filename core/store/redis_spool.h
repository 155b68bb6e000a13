/*
 * redis_spool.h - ledger rows on the local disk that Redis does not have: those
 * under way, and those closed while it could not take them. Each gateway has
 * one, moongate-spool-<n>.db, a store of its own in sqlite; n is the lowest
 * number whose file nobody holds, so a gateway that starts again finds what it
 * left, and those of gateways that do not come back are taken over.
 */
#ifndef STORE_REDIS_SPOOL_H
#define STORE_REDIS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "store/answer.h"
#include "store/store.h"

struct redis_line;
struct redis_spool;

/*
 * id names this gateway in Redis. on_rows: there is something to deliver now; on whatever thread. NULL with a sentence
 * in error.
 */
struct redis_spool *redis_spool_open(const char *folder, const char *id, void (*on_rows)(void *arg), void *arg,
                                     char *error, size_t error_size);
/* What was not delivered stays there. NULL is fine. */
void redis_spool_close(struct redis_spool *spool);
bool redis_spool_problem(struct redis_spool *spool, char *text, size_t size);
/* As store_refuses. */
bool redis_spool_refuses(struct redis_spool *spool, char *text, size_t size);

/* The rows under way, whose id is made already. */
void redis_spool_open_row(struct redis_spool *spool, const struct ledger_row *row);
/* It is kept here until it is delivered; answered when it is on the disk. */
void redis_spool_close_row(struct redis_spool *spool, const struct ledger_row *row, struct answer answer);
/* Redis has it. */
void redis_spool_forget(struct redis_spool *spool, const char *row_id);
/* As store_row_find, of what Redis may not have. */
void redis_spool_find(struct redis_spool *spool, const char *request_id, const struct row_answer *answer);

/* ---- on the keeper's thread ---- */

/*
 * Some milliseconds' work of what waits. True: there is more, call again at once. False: all is delivered, or Redis
 * does not take it now.
 */
bool redis_spool_deliver(struct redis_spool *spool, struct redis_line *line);
/* Looks whether a gateway that is gone has left rows in the same folder: they are then delivered too. */
void redis_spool_adopt(struct redis_spool *spool);
/* The id of a gateway that is known to be dead, since its spool is ours now; NULL: none, or no more. */
const char *redis_spool_dead(const struct redis_spool *spool);
/* That one has been buried. */
void redis_spool_buried(struct redis_spool *spool);

#endif
