/*
 * ledger_inside.h - the inside of a ledger, for ledger.c, ledger_writer.c and
 * ledger_heirs.c alone: what is queued, what is under way, and what its thread is asked to do.
 */
#ifndef STORE_LEDGER_INSIDE_H
#define STORE_LEDGER_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ledger.h"
#include "store/retention.h"
#include "store/rows.h"

struct batch;
struct bell;
struct change;
struct daybook;
struct journal;
struct sink;
struct usage_hours;

/* What merely changed is written so much later at the latest; where it is entered first, what was entered too. */
enum { LEDGER_LINGER_US = 5 * 1000, LEDGER_ENTERED_US = 50 * 1000 };

/* What the thread is asked to do between two batches. */
enum wish { NO_WISH, HAND_OVER, TAKE_BACK };

struct ledger {
    struct store *store;
    struct database *database;
    struct sink *sink;
    struct journal *journal; /* the sink's */
    pthread_t thread;
    struct bell *bell;
    struct usage_hours *hours;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake;
    struct rows under_way; /* open, or closed and not yet written */
    struct change *first, **last;
    size_t bytes;            /* queued, and in the batch */
    size_t unanswered;       /* queued changes that somebody waits for */
    size_t urgent;           /* queued changes that are not entered */
    uint64_t asked, written; /* changes since the start */
    struct daybook *daybook; /* NULL: rows wait for their commit */
    bool is_entering;        /* else they do for now */
    bool is_given_up;        /* it ended with something unwritten */
    int64_t look_at;         /* when the thread looks by itself what changed; 0: it has to be woken */
    bool is_stopping;
    enum wish wish;
    int heir;              /* HAND_OVER: the socket */
    char refusal[320];     /* why it was not handed over; "": it was */
    pthread_cond_t heeded; /* there is no wish any more */
    uint64_t refused;      /* rows for which there was no room, since the trouble began */
    char problem[320];
    int64_t refused_since;  /* by the disk; 0: it takes what it is given */
    atomic_bool is_refused; /* the same, for those who do not lock */
    char unsynced[160];     /* why what was written is not on the disk; "": it is, or soon */
    atomic_bool is_changed; /* the tables hold something new */

    struct batch *batch; /* the thread's own */
    struct retention retention;
    int64_t forget_at;
    int64_t sync_at;  /* when what was written is synced; 0: it is */
    int64_t words_at; /* when what providers told is written next, unless it is urgent */
    bool words_wait;  /* there is some */
};

/* The thread: writes until the ledger is stopping and all is written. */
void *ledger_writer_run(void *ledger);
/* How long what merely changed may wait. */
int64_t ledger_linger(const struct ledger *ledger);
/* Rows and counters are entered from now on, where commits are not synced. False with a sentence: they cannot be. */
bool ledger_begin_daybook(struct ledger *ledger, char *error, size_t error_size);
/* No more are. is_written: so is what was entered, else it is to be posted. On the ledger's thread, or without it. */
void ledger_end_daybook(struct ledger *ledger, bool is_written);
/* Takes what the journal holds for rows that the process before has open. */
bool ledger_inherit(struct ledger *ledger);

#endif
