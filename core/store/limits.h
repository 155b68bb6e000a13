/*
 * limits.h - every counter, reservation and learnt limit of the process, behind
 * one lock held for a microsecond. What changed is fetched by whoever keeps it.
 */
#ifndef STORE_LIMITS_H
#define STORE_LIMITS_H

#include "store/store.h"

struct limits;

/* A settled amount as it is written out and read back. */
struct counter_state {
    char *key; /* the receiver frees it */
    enum window window;
    bool sliding;
    const struct zone *zone;
    int slot;
    int64_t at;      /* the window's first millisecond; sliding: the number of the part */
    int64_t ends;    /* from here on it counts no more */
    int64_t settled; /* without reservations: those die with the process */
};

struct limits *limits_new(void);
void limits_free(struct limits *limits);

/* As store_reserve, and as store_fits. True: something changed that is to be kept. */
bool limits_reserve(struct limits *limits, const struct store_call *call, int64_t now, struct store_verdict *verdict);
bool limits_fits(struct limits *limits, const struct store_call *call, int64_t now, struct store_verdict *verdict);
bool limits_settle(struct limits *limits, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now);
/* One limit has no room: of several that of the longest wait is named, and one that never has room (0) before all. */
void limits_refuse(struct store_verdict *verdict, const struct store_limit *limit, int64_t wait);
bool limits_name(struct store_limit *limit, char *room, size_t size);
int64_t limits_used(struct limits *limits, const struct store_limit *limit, int64_t now, int64_t *window_end);
bool limits_learn(struct limits *limits, const struct store_learnt *word);
/* True: the process before has heard something new. */
bool limits_inherit_learnt(struct limits *limits, const struct store_learnt *word);
void limits_each_learnt(struct limits *limits, const char *provider,
                        void (*each)(void *arg, const struct store_learnt *), void *arg);

void limits_load_counter(struct limits *limits, const struct counter_state *state);
void limits_load_learnt(struct limits *limits, const struct store_learnt *word);
/*
 * Hands over all that changed since the last time, its newest value only. Without all_words, those of providers may
 * wait as long as none lets calls through that did not, or the reverse: true then says that some do.
 */
bool limits_each_changed(struct limits *limits, bool all_words,
                         void (*on_counter)(void *arg, const struct counter_state *),
                         void (*on_learnt)(void *arg, const struct store_learnt *), void *arg);
/*
 * on_moved hears of every counter as it moves, as it then stands (the key is gone afterwards): under the lock, in the
 * order in which it happens. NULL: nobody does.
 */
void limits_watch(struct limits *limits, void (*on_moved)(void *arg, const struct counter_state *state), void *arg);
/*
 * Another process takes the store over: hands over every amount as it stands, what is reserved included. From then on
 * limits_each_changed tells differences to what was told, as `settled`.
 */
void limits_hand_over(struct limits *limits, void (*on_counter)(void *arg, const struct counter_state *), void *arg);
/* It does not after all: everything is told anew, as it was before. */
void limits_take_back(struct limits *limits);
/* Adds such a difference. True: something changed that is to be kept. */
bool limits_add(struct limits *limits, const struct counter_state *difference);
/* The time that was told last; 0: none yet. What was over a day before that can be forgotten. */
int64_t limits_now(struct limits *limits);

#endif
