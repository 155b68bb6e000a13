/*
 * redis_told.h - keys, marks and learnt limits as they lie in Redis: the orders
 * that put them there, and the JSON texts that come back. Keeps nothing.
 */
#ifndef STORE_REDIS_TOLD_H
#define STORE_REDIS_TOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "store/marks.h"
#include "store/redis_order.h"
#include "store/store.h"

extern const char REDIS_TOLD_KEYS[], REDIS_TOLD_PREFIXES[], REDIS_TOLD_MARKS[], REDIS_TOLD_PROVIDERS[];
extern const char REDIS_TOLD_LEARNT[]; /* and the provider's name: the hash of its words */

/* The strings that other tools read, of one provider; -1: not known. */
struct redis_told_plain {
    int64_t rpm_max, rpm_current, rpm_ms; /* ms: how long they hold, a minute at least */
    int64_t tpm_max, tpm_current, tpm_ms;
    int64_t balance, balance_ms; /* micro-dollars */
};

/* Answered by KEPT or TAKEN. key has its settings. */
void redis_told_key(struct redis_order *order, const struct store_key *key);
void redis_told_mark(struct redis_order *order, const struct mark_state *mark);
/* json: the mark as it was read. */
void redis_told_drop_mark(struct redis_order *order, const char *target, const char *json);
void redis_told_learnt(struct redis_order *order, const struct store_learnt *word,
                       const struct redis_told_plain *plain);

/* Back again; false: that is no such thing. What key and mark point to is the caller's to free. */
bool redis_told_read_key(const char *json, size_t length, struct store_key *key);
bool redis_told_read_mark(const char *json, size_t length, struct mark_state *mark);
bool redis_told_read_learnt(const char *json, size_t length, struct store_learnt *word);

#endif
