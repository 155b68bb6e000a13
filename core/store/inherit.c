/* inherit.c - see inherit.h. */
#include "store/inherit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/backend.h"
#include "store/handover.h"
#include "store/ledger.h"
#include "store/limits.h"
#include "store/marks.h"

struct inherit {
    struct store *store;
    struct ledger *ledger;
    int socket;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_live;

    pthread_mutex_t lock;
    pthread_cond_t settled;
    unsigned waiting; /* rows of the batch that are not written yet */
    bool is_safe;     /* so far all were */
};

static void on_committed(void *arg, bool committed)
{
    struct inherit *inherit = arg;

    pthread_mutex_lock(&inherit->lock);
    inherit->is_safe &= committed;
    if (--inherit->waiting == 0)
        pthread_cond_signal(&inherit->settled);
    pthread_mutex_unlock(&inherit->lock);
}

static void keep_row(struct inherit *inherit, const struct ledger_row *row)
{
    pthread_mutex_lock(&inherit->lock);
    inherit->waiting++;
    pthread_mutex_unlock(&inherit->lock);
    ledger_close_row(inherit->ledger, row, answer_of(NULL, on_committed, inherit));
}

static bool end_batch(struct inherit *inherit)
{
    bool is_safe;

    pthread_mutex_lock(&inherit->lock);
    while (inherit->waiting)
        pthread_cond_wait(&inherit->settled, &inherit->lock);
    is_safe = inherit->is_safe;
    inherit->is_safe = true;
    pthread_mutex_unlock(&inherit->lock);
    return handover_answer(inherit->socket, is_safe);
}

/* What moved, or was learnt: it is written with the next batch, soon. */
static void keep_state(struct inherit *inherit, const struct handover *piece)
{
    bool is_news = true;

    if (piece->kind == HANDOVER_COUNTER)
        is_news = limits_add(inherit->store->limits, &piece->counter);
    else if (piece->kind == HANDOVER_LEARNT)
        is_news = limits_inherit_learnt(inherit->store->limits, &piece->learnt);
    else
        marks_inherit(inherit->store->marks, &piece->mark);
    if (is_news)
        ledger_changed(inherit->ledger);
}

static void *listen_to(void *arg)
{
    struct inherit *inherit = arg;
    struct handover piece = { 0 };
    bool goes_on = true;

    while (goes_on && handover_receive(inherit->socket, &piece) != HANDOVER_BROKEN) {
        if (piece.kind == HANDOVER_ROW)
            keep_row(inherit, &piece.row);
        else if (piece.kind == HANDOVER_END)
            goes_on = end_batch(inherit);
        else
            keep_state(inherit, &piece);
    }
    buf_free(&piece.bytes);
    pthread_mutex_lock(&inherit->lock);
    while (inherit->waiting)
        pthread_cond_wait(&inherit->settled, &inherit->lock);
    pthread_mutex_unlock(&inherit->lock);
    ledger_lose_inherited(inherit->ledger);
    atomic_store(&inherit->is_live, false);
    return NULL;
}

struct inherit *inherit_start(struct store *store, struct ledger *ledger, int socket)
{
    struct inherit *inherit = mem_zero(sizeof *inherit);

    inherit->store = store;
    inherit->ledger = ledger;
    inherit->socket = socket;
    inherit->is_safe = true;
    atomic_init(&inherit->is_live, true);
    pthread_mutex_init(&inherit->lock, NULL);
    pthread_cond_init(&inherit->settled, NULL);
    inherit->has_thread = thread_start(&inherit->thread, listen_to, inherit) == 0;
    if (inherit->has_thread)
        return inherit;
    log_line(LOG_ERROR, "the thread that listens to the process before does not start; its open rows are lost", NULL);
    ledger_lose_inherited(ledger);
    inherit_stop(inherit);
    return NULL;
}

bool inherit_is_live(const struct inherit *inherit)
{
    return inherit && atomic_load(&inherit->is_live);
}

void inherit_stop(struct inherit *inherit)
{
    if (!inherit)
        return;
    shutdown(inherit->socket, SHUT_RDWR);
    if (inherit->has_thread)
        pthread_join(inherit->thread, NULL);
    close(inherit->socket);
    pthread_mutex_destroy(&inherit->lock);
    pthread_cond_destroy(&inherit->settled);
    mem_free(inherit);
}
