/*
 * redis_models.h - imported models as they lie in Redis: the hash
 * moongate:models has for each source when it was imported, a line end, and its
 * models; moongate:models:changes has what each import changed by its time, as
 * number, source and changes, a line each. Keeps nothing here.
 */
#ifndef STORE_REDIS_MODELS_H
#define STORE_REDIS_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/redis_order.h"
#include "store/store.h"

struct imports;

/* is_copy: only to be kept where Redis has nothing as new. Its answer is for redis_models_time. */
void redis_models_order(struct redis_order *order, const struct store_import *import, bool is_copy);
/* The time under which Redis has it; -1: it does not take it. */
int64_t redis_models_time(const struct redis_reply *reply);

/* ---- the rest waits for the answer ---- */

/* What is kept; -1: it is not. A key that holds something else is moved aside. */
int64_t redis_models_keep(struct redis_line *line, const struct store_import *import, bool is_copy);
/* Moves aside what else is under these names. */
bool redis_models_mend(struct redis_line *line);
/* What Redis has into the table, and into Redis what the table alone has, or newer. False: it does not answer. */
bool redis_models_load(struct imports *imports, struct redis_line *line);
/* The same of one source, from Redis alone. */
bool redis_models_fetch(struct imports *imports, struct redis_line *line, const char *source);
/* As store_each_import. */
bool redis_models_each_import(struct redis_line *line, int64_t since,
                              void (*each)(void *arg, const struct store_import *), void *arg);

#endif
