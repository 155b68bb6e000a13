/*
 * learnt.h - what providers told of their limits, and what was drawn since.
 * Called by limits.c under its lock; has none of its own.
 *
 * Each source's newest word on a limit is kept. What a call may draw is what the
 * most trusted says whose word still holds: header, checker (an API for
 * quotas), error, probe. All of them are drawn from.
 */
#ifndef STORE_LEARNT_H
#define STORE_LEARNT_H

#include "base/hash.h"
#include "store/store.h"

struct learnt_entry;

struct learnt {
    struct hash providers; /* name -> the first entry of that provider */
    struct learnt_entry *dirty;
    bool is_urgent; /* one of them is new, or lets calls through until another time than before */
};

/* What one reservation took from one entry. */
struct learnt_draw {
    struct learnt_entry *entry;
    uint64_t word; /* which word of the provider it was taken from */
    int64_t amount;
};

/* False if there is a newer word of the same source already. */
bool learnt_put(struct learnt *learnt, const struct store_learnt *word);
/* As another process tells it, less what it drew itself. False: the same word, or a newer one, is here. */
bool learnt_inherit(struct learnt *learnt, const struct store_learnt *word);
/* As read from the disk. */
void learnt_load(struct learnt *learnt, const struct store_learnt *word);
/* False: the call does not fit, and the verdict says why. The longest wait wins. */
bool learnt_allows(struct learnt *learnt, const struct store_call *call, int64_t now, struct store_verdict *verdict);
/* Draws what the call takes; how many draws were put into draws (a new block, NULL if none). */
size_t learnt_take(struct learnt *learnt, const struct store_call *call, int64_t now, struct learnt_draw **draws);
/* Gives a draw back, unless the provider has spoken since. */
void learnt_give_back(struct learnt *learnt, const struct learnt_draw *draw);
void learnt_each(const struct learnt *learnt, const char *provider,
                 void (*each)(void *arg, const struct store_learnt *), void *arg);
/*
 * Every entry that changed since the last time; of several on one limit, the one that was heard last. Not all: none,
 * unless it is urgent; true then says that some wait.
 */
bool learnt_each_dirty(struct learnt *learnt, bool all, void (*each)(void *arg, const struct store_learnt *),
                       void *arg);
void learnt_free(struct learnt *learnt);

#endif
