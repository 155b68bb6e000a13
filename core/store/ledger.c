/* ledger.c - see ledger.h. */
#include "store/ledger_inside.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/backend.h"
#include "store/batch.h"
#include "store/database.h"
#include "store/imports.h"
#include "store/journal.h"
#include "store/limits.h"
#include "store/lost.h"
#include "store/retention.h"
#include "store/row.h"
#include "store/rows.h"
#include "store/sink.h"

enum {
    LINGER_US = 5 * 1000,
    RETRY_US = 500 * 1000,
    PATIENCE_US = 3 * 1000 * 1000,
    LAST_TRIES = 3,
    BATCH_CHANGES = 1000,
    QUEUE_BYTES = 64 * 1024 * 1024,
};
static const int64_t FORGET_EVERY_US = INT64_C(3600) * 1000000, DAY_MS = INT64_C(86400) * 1000;

/* ---- what others call ---- */

static struct entry *entry_of(struct ledger *ledger, const struct change *change)
{
    return rows_get(&ledger->under_way, row_fields(change->row)->row_id);
}

static void linger(struct ledger *ledger)
{
    if (ledger->linger_until)
        return;
    ledger->linger_until = clock_monotonic_us() + LINGER_US;
    pthread_cond_signal(&ledger->wake);
}

static void enqueue(struct ledger *ledger, struct change *change)
{
    change->size = sizeof *change + (change->row ? row_size(change->row) : 0);
    *ledger->last = change;
    ledger->last = &change->next;
    ledger->bytes += change->size;
    ledger->unanswered += change->answer.on_done != NULL;
    ledger->queued++;
    pthread_cond_signal(&ledger->wake);
}

void ledger_open_row(struct ledger *ledger, const struct ledger_row *fields)
{
    struct row *row = row_copy(fields);
    uint32_t slot = journal_add(ledger->journal, fields);

    pthread_mutex_lock(&ledger->lock);
    rows_add(&ledger->under_way, row, false)->slot = slot;
    pthread_mutex_unlock(&ledger->lock);
    row_drop(row);
}

static void land(struct ledger *ledger, struct change *change)
{
    struct entry *entry = entry_of(ledger, change);

    if (!entry)
        entry = rows_add(&ledger->under_way, change->row, true);
    else if (!entry->is_closed)
        rows_close(&ledger->under_way, entry, change->row);
    entry->unwritten++;
    enqueue(ledger, change);
}

/* There is no room. It stays in the journal. */
static void refuse(struct ledger *ledger, const struct change *change)
{
    struct entry *entry = entry_of(ledger, change);

    ledger->refused++;
    if (entry && !entry->is_closed)
        rows_remove(&ledger->under_way, entry);
}

void ledger_close_row(struct ledger *ledger, const struct ledger_row *fields, struct answer answer)
{
    struct change *change = mem_zero(sizeof *change);
    bool has_room;

    change->kind = CHANGE_CLOSE;
    change->row = row_copy(fields);
    change->answer = answer;
    pthread_mutex_lock(&ledger->lock);
    has_room = ledger->bytes < QUEUE_BYTES;
    if (has_room)
        land(ledger, change);
    else
        refuse(ledger, change);
    pthread_mutex_unlock(&ledger->lock);
    if (has_room)
        return;
    change_free(change);
    answer_give(&answer, false);
}

void ledger_forget_row(struct ledger *ledger, const char *row_id)
{
    struct change *change = NULL;
    struct entry *entry;

    pthread_mutex_lock(&ledger->lock);
    entry = rows_get(&ledger->under_way, row_id);
    if (entry && !entry->is_closed) {
        journal_remove(ledger->journal, entry->slot);
        rows_remove(&ledger->under_way, entry);
    } else {
        change = mem_zero(sizeof *change);
        change->kind = CHANGE_FORGET;
        snprintf(change->row_id, sizeof change->row_id, "%s", row_id);
        enqueue(ledger, change);
    }
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_keep_key(struct ledger *ledger, const struct store_key *key, struct answer answer)
{
    struct change *change = mem_zero(sizeof *change);

    change->kind = CHANGE_KEY;
    change->key = *key;
    change->key.settings = mem_text(key->settings);
    change->answer = answer;
    pthread_mutex_lock(&ledger->lock);
    enqueue(ledger, change);
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_keep_import(struct ledger *ledger, const struct store_import *import, struct answer answer)
{
    struct change *change = mem_zero(sizeof *change);

    change->kind = CHANGE_IMPORT;
    change->import = imports_copy(import);
    change->answer = answer;
    pthread_mutex_lock(&ledger->lock);
    enqueue(ledger, change);
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_changed(struct ledger *ledger)
{
    if (atomic_exchange(&ledger->is_changed, true))
        return;
    pthread_mutex_lock(&ledger->lock);
    linger(ledger);
    pthread_mutex_unlock(&ledger->lock);
}

struct row *ledger_row_under_way(struct ledger *ledger, const char *request_id)
{
    struct row *row;

    pthread_mutex_lock(&ledger->lock);
    row = rows_newest(&ledger->under_way, request_id);
    if (row)
        row_take(row);
    pthread_mutex_unlock(&ledger->lock);
    return row;
}

bool ledger_problem(struct ledger *ledger, char *text, size_t size)
{
    bool is_there;

    pthread_mutex_lock(&ledger->lock);
    is_there = ledger->refused_since != 0;
    if (is_there)
        snprintf(text, size, "%s; what is to be written waits in memory (%zu KB; rows refused for want of room: %llu)",
                 ledger->problem, ledger->bytes / 1024, (unsigned long long)ledger->refused);
    pthread_mutex_unlock(&ledger->lock);
    return is_there || journal_problem(ledger->journal, text, size);
}

bool ledger_refuses(struct ledger *ledger, char *text, size_t size)
{
    bool is_there;

    if (!atomic_load(&ledger->is_refused))
        return false;
    pthread_mutex_lock(&ledger->lock);
    is_there = ledger->refused_since != 0;
    if (is_there)
        snprintf(text, size, "%s", ledger->problem);
    pthread_mutex_unlock(&ledger->lock);
    return is_there;
}

/* ---- the thread ---- */

/* Waits to be woken, or until that time (0: for ever). */
static void wait_until(struct ledger *ledger, int64_t time)
{
    struct timespec at = { .tv_sec = time / 1000000, .tv_nsec = time % 1000000 * 1000 };

    if (time)
        pthread_cond_timedwait(&ledger->wake, &ledger->lock, &at);
    else
        pthread_cond_wait(&ledger->wake, &ledger->lock);
}

static int64_t sooner(int64_t one, int64_t other)
{
    return one && (!other || one < other) ? one : other;
}

/* Waits for work. False: there is none, and there will be none. */
static bool wait_for_work(struct ledger *ledger)
{
    while (!ledger->queued && !ledger->is_stopping && !ledger->wish) {
        int64_t until = sooner(ledger->linger_until, ledger->retention.due);

        if (until && clock_monotonic_us() >= until)
            return true;
        wait_until(ledger, until);
    }
    return ledger->first || ledger->wish || atomic_load(&ledger->is_changed);
}

static void heed(struct ledger *ledger)
{
    char refusal[sizeof ledger->refusal] = "";
    enum wish wish;
    int heir;

    pthread_mutex_lock(&ledger->lock);
    wish = ledger->wish;
    heir = ledger->heir;
    pthread_mutex_unlock(&ledger->lock);
    if (!wish)
        return;
    if (wish == TAKE_BACK)
        sink_take_back(ledger->sink, ledger->batch, ledger->store);
    else if (!batch_is_empty(ledger->batch))
        sink_explain(ledger->sink, refusal, sizeof refusal);
    else
        sink_hand_over(ledger->sink, ledger->batch, ledger->store, heir, refusal, sizeof refusal);
    pthread_mutex_lock(&ledger->lock);
    ledger->wish = NO_WISH;
    memcpy(ledger->refusal, refusal, sizeof refusal);
    pthread_cond_signal(&ledger->heeded);
    pthread_mutex_unlock(&ledger->lock);
}

static struct change *take_changes(struct ledger *ledger)
{
    struct change *taken = ledger->first, *change = taken, *last = NULL;

    for (int i = 0; change && i < BATCH_CHANGES; i++, last = change, change = change->next) {
        ledger->queued--;
        ledger->unanswered -= change->answer.on_done != NULL;
    }
    if (last)
        last->next = NULL;
    ledger->first = change;
    if (!change)
        ledger->last = &ledger->first;
    ledger->linger_until = change ? clock_monotonic_us() : 0;
    return taken;
}

/* Who waits for something that is still queued is told that it was not kept: it is not on the disk, and may never be.
 */
static void answer_queued(struct ledger *ledger)
{
    struct answer *answers = mem_alloc(ledger->unanswered * sizeof *answers);
    size_t count = 0;

    for (struct change *change = ledger->first; change; change = change->next) {
        if (change->answer.on_done)
            answers[count++] = change->answer;
        change->answer = (struct answer){ 0 };
    }
    ledger->unanswered = 0;
    pthread_mutex_unlock(&ledger->lock);
    for (size_t i = 0; i < count; i++)
        answer_give(&answers[i], false);
    mem_free(answers);
    pthread_mutex_lock(&ledger->lock);
}

/* Whether it is time to stop waiting for the disk. */
static bool note_trouble(struct ledger *ledger)
{
    char text[sizeof ledger->problem];
    int64_t now = clock_monotonic_us();
    bool is_new, is_enough;

    sink_explain(ledger->sink, text, sizeof text);
    pthread_mutex_lock(&ledger->lock);
    is_new = strcmp(text, ledger->problem) != 0;
    memcpy(ledger->problem, text, sizeof text);
    if (!ledger->refused_since)
        ledger->refused_since = now;
    atomic_store(&ledger->is_refused, true);
    is_enough = ledger->is_stopping || now - ledger->refused_since >= PATIENCE_US;
    pthread_mutex_unlock(&ledger->lock);
    if (is_new)
        log_line(LOG_ERROR, "the store cannot write", "reason", text, NULL);
    return is_enough;
}

static void note_success(struct ledger *ledger)
{
    bool was_bad;

    pthread_mutex_lock(&ledger->lock);
    was_bad = ledger->refused_since != 0;
    ledger->problem[0] = '\0';
    ledger->refused_since = 0;
    atomic_store(&ledger->is_refused, false);
    ledger->refused = 0;
    for (struct change *change = batch_changes(ledger->batch); change; change = change->next) {
        struct entry *entry = change->kind == CHANGE_CLOSE ? entry_of(ledger, change) : NULL;

        ledger->bytes -= change->size;
        if (!entry || !entry->is_closed || --entry->unwritten > 0)
            continue;
        journal_remove(ledger->journal, entry->slot);
        rows_remove(&ledger->under_way, entry);
    }
    pthread_mutex_unlock(&ledger->lock);
    if (was_bad)
        log_line(LOG_INFO, "the store writes again", NULL);
}

/* Half a second until the next try, or until it is stopped. is_enough: nobody is to wait for it any longer. */
static void wait_to_retry(struct ledger *ledger, bool is_enough)
{
    int64_t until = clock_monotonic_us() + RETRY_US;

    pthread_mutex_lock(&ledger->lock);
    while (!ledger->is_stopping && !ledger->wish && clock_monotonic_us() < until) {
        if (is_enough && ledger->unanswered)
            answer_queued(ledger); /* which lets go of the lock: look again */
        else
            wait_until(ledger, until);
    }
    pthread_mutex_unlock(&ledger->lock);
}

/* False: it could not be written, and the gateway stops. */
static bool write_batch(struct ledger *ledger)
{
    int last_tries = 0;
    bool is_stopping, is_enough;

    for (;;) {
        int64_t now = clock_monotonic_us(), told = limits_now(ledger->store->limits);
        bool forget = told > 0 && now >= ledger->forget_at;

        if (sink_write(ledger->sink, ledger->batch, forget ? told - DAY_MS : 0)) {
            if (forget)
                ledger->forget_at = now + FORGET_EVERY_US;
            break;
        }
        is_enough = note_trouble(ledger);
        if (is_enough)
            batch_answer(ledger->batch, false);
        pthread_mutex_lock(&ledger->lock);
        is_stopping = ledger->is_stopping;
        pthread_mutex_unlock(&ledger->lock);
        if (is_stopping && ++last_tries >= LAST_TRIES)
            return false;
        wait_to_retry(ledger, is_enough);
        heed(ledger); /* it cannot be handed over like this, but taken back */
    }
    note_success(ledger);
    batch_answer(ledger->batch, true);
    batch_clear(ledger->batch);
    return true;
}

static void give_up(struct ledger *ledger)
{
    char bytes[24];

    pthread_mutex_lock(&ledger->lock);
    answer_queued(ledger);
    snprintf(bytes, sizeof bytes, "%zu", ledger->bytes);
    pthread_mutex_unlock(&ledger->lock);
    log_line(LOG_ERROR, "the store was closed before all could be written", "reason", ledger->problem, "bytes_lost",
             bytes, NULL);
}

static void *write_ledger(void *arg)
{
    struct ledger *ledger = arg;
    struct change *changes;

    for (;;) {
        pthread_mutex_lock(&ledger->lock);
        if (!wait_for_work(ledger) && ledger->is_stopping) {
            pthread_mutex_unlock(&ledger->lock);
            return NULL;
        }
        changes = take_changes(ledger);
        /* Before the tables are read: what changes from here on is a new change. */
        atomic_store(&ledger->is_changed, false);
        pthread_mutex_unlock(&ledger->lock);
        batch_fill(ledger->batch, changes, ledger->store);
        if (!batch_is_empty(ledger->batch) && !write_batch(ledger)) {
            give_up(ledger);
            return NULL;
        }
        heed(ledger);
        if (sink_database(ledger->sink))
            retention_sweep(&ledger->retention, ledger->database, ledger->store->keep_days);
    }
}

/* ---- its life ---- */

static void free_ledger(struct ledger *ledger)
{
    struct change *change;

    rows_free(&ledger->under_way);
    while ((change = ledger->first)) {
        ledger->first = change->next;
        change_free(change);
    }
    batch_free(ledger->batch);
    sink_free(ledger->sink);
    pthread_cond_destroy(&ledger->heeded);
    pthread_mutex_destroy(&ledger->lock);
    pthread_cond_destroy(&ledger->wake);
    mem_free(ledger);
}

static bool open_files(struct ledger *ledger, bool inherits, char *error, size_t error_size)
{
    char *path = mem_format("%s-open", ledger->database->path);

    ledger->journal = journal_open(path, error, error_size);
    mem_free(path);
    if (!ledger->journal)
        return false;
    ledger->sink = sink_new(ledger->database, ledger->journal);
    if (ledger->sink && inherits)
        return ledger_inherit(ledger);
    if (ledger->sink && lost_close(ledger->journal, ledger->database, sink_statements(ledger->sink)))
        return true;
    database_explain(ledger->database, error, error_size);
    return false;
}

struct ledger *ledger_start(struct store *store, struct database *database, bool inherits, char *error,
                            size_t error_size)
{
    struct ledger *ledger = mem_zero(sizeof *ledger);
    pthread_condattr_t clock;
    sigset_t all, before;
    int failed;

    ledger->store = store;
    ledger->database = database;
    ledger->last = &ledger->first;
    pthread_mutex_init(&ledger->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&ledger->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_cond_init(&ledger->heeded, NULL);
    if (!open_files(ledger, inherits, error, error_size)) {
        free_ledger(ledger);
        return NULL;
    }
    ledger->batch = batch_new(database, sink_statements(ledger->sink));
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&ledger->thread, NULL, write_ledger, ledger);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        return ledger;
    errno = failed;
    snprintf(error, error_size, "the thread that writes the database cannot be started: %m");
    free_ledger(ledger);
    return NULL;
}

void ledger_stop(struct ledger *ledger)
{
    if (!ledger)
        return;
    pthread_mutex_lock(&ledger->lock);
    ledger->is_stopping = true;
    pthread_cond_signal(&ledger->wake);
    pthread_mutex_unlock(&ledger->lock);
    pthread_join(ledger->thread, NULL);
    free_ledger(ledger);
}
