/* answer.h - takes an answer home: to the thread that asked, and only once. */
#ifndef STORE_ANSWER_H
#define STORE_ANSWER_H

#include "store/store.h"

struct row;

/* Who waits to hear that something was kept. Zero-initialised: nobody. */
struct answer {
    struct store_home home; /* post NULL: on_done is called where it is known */
    void (*on_done)(void *arg, bool kept);
    void *arg;
};

/* Who waits for a row. */
struct row_answer {
    struct store_home home;
    void (*on_row)(void *arg, const struct ledger_row *row);
    void *arg;
};

struct answer answer_of(const struct store_home *home, void (*on_done)(void *arg, bool kept), void *arg);
/* Tells it; nobody waits after that. */
void answer_give(struct answer *answer, bool kept);
/* The same before this returns, on the asker's own thread. */
void answer_give_here(struct answer *answer, bool kept);
/* row (NULL: there is none) is dropped when it has been seen. */
void answer_give_row(const struct row_answer *answer, struct row *row);

#endif
