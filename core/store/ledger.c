/* ledger.c - see ledger.h. */
#include "store/ledger_inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/backend.h"
#include "store/batch.h"
#include "store/bell.h"
#include "store/database.h"
#include "store/daybook.h"
#include "store/imports.h"
#include "store/journal.h"
#include "store/limits.h"
#include "store/lost.h"
#include "store/row.h"
#include "store/rows.h"
#include "store/sink.h"
#include "store/usage_hours.h"

enum { QUEUE_BYTES = 64 * 1024 * 1024 };

/* ---- what others call ---- */

static struct entry *entry_of(struct ledger *ledger, const struct change *change)
{
    return rows_get(&ledger->under_way, row_fields(change->row)->row_id);
}

int64_t ledger_linger(const struct ledger *ledger)
{
    return ledger->is_entering ? LEDGER_ENTERED_US : LEDGER_LINGER_US;
}

/* Under the lock: the thread has to look for what merely changed, but for what it looks for anyway. */
static void be_looked_for(struct ledger *ledger)
{
    if (ledger->look_at)
        return;
    ledger->look_at = clock_monotonic_us() + ledger_linger(ledger);
    pthread_cond_signal(&ledger->wake);
}

static void enqueue(struct ledger *ledger, struct change *change)
{
    change->size = sizeof *change + (change->row ? row_size(change->row) : 0);
    *ledger->last = change;
    ledger->last = &change->next;
    ledger->bytes += change->size;
    ledger->unanswered += change->answer.on_done != NULL;
    ledger->asked++;
    ledger->urgent += !change->is_entered;
    if (change->is_entered && !atomic_exchange(&ledger->is_changed, true))
        be_looked_for(ledger);
    if (change->is_entered)
        return;
    if (change->answer.home.loop)
        bell_ask(ledger->bell, &change->answer.home);
    else
        pthread_cond_signal(&ledger->wake);
}

/* Without the lock, under which what it rings for was queued: the thread that wakes would have to wait for it. */
static void on_ring(void *arg)
{
    struct ledger *ledger = arg;

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

/* True: it is safe, though not written. */
static bool enter(struct ledger *ledger, struct change *change, struct entry *entry)
{
    if (!ledger->is_entering || !daybook_enter_row(ledger->daybook, row_fields(change->row)))
        return false;
    if (entry)
        journal_remove(ledger->journal, entry->slot);
    if (entry)
        entry->slot = 0;
    return true;
}

static void land(struct ledger *ledger, struct change *change, struct answer answer)
{
    struct entry *entry = entry_of(ledger, change);

    change->is_entered = enter(ledger, change, entry);
    if (!change->is_entered)
        change->answer = answer;
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
    bool has_room, is_entered;

    change->kind = CHANGE_CLOSE;
    change->row = row_copy(fields);
    pthread_mutex_lock(&ledger->lock);
    has_room = ledger->bytes < QUEUE_BYTES;
    if (has_room)
        land(ledger, change, answer);
    else
        refuse(ledger, change);
    is_entered = change->is_entered;
    pthread_mutex_unlock(&ledger->lock);
    if (!has_room)
        change_free(change);
    if (!has_room)
        answer_give(&answer, false);
    else if (is_entered)
        answer_give_here(&answer, true);
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
    be_looked_for(ledger);
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_write_all(struct ledger *ledger)
{
    uint64_t asked;

    pthread_mutex_lock(&ledger->lock);
    asked = ledger->asked;
    while (ledger->written < asked && !ledger->refused_since && !ledger->is_stopping) {
        ledger->look_at = clock_monotonic_us();
        pthread_cond_signal(&ledger->wake);
        pthread_cond_wait(&ledger->heeded, &ledger->lock);
    }
    pthread_mutex_unlock(&ledger->lock);
}

struct usage_hours *ledger_hours(struct ledger *ledger)
{
    return ledger->hours;
}

/* Under the lock: it looks for hours before it sleeps. */
static void on_hours(void *arg)
{
    struct ledger *ledger = arg;

    pthread_mutex_lock(&ledger->lock);
    pthread_cond_signal(&ledger->wake);
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
    else if (ledger->unsynced[0])
        snprintf(text, size, "%s", ledger->unsynced);
    is_there = is_there || ledger->unsynced[0];
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

/* ---- its daybook ---- */

/* Under the lock of the limits. */
static void on_moved(void *arg, const struct counter_state *state)
{
    daybook_enter_counter(arg, state);
}

bool ledger_begin_daybook(struct ledger *ledger, char *error, size_t error_size)
{
    char *path = mem_format("%s-daybook", ledger->database->path);
    struct daybook *daybook = ledger->database->is_synced_later ? daybook_open(path, error, error_size) : NULL;

    mem_free(path);
    if (!daybook)
        return !ledger->database->is_synced_later;
    limits_watch(ledger->store->limits, on_moved, daybook);
    pthread_mutex_lock(&ledger->lock);
    ledger->daybook = daybook;
    ledger->is_entering = true;
    pthread_mutex_unlock(&ledger->lock);
    return true;
}

void ledger_end_daybook(struct ledger *ledger, bool is_written)
{
    struct daybook *daybook = ledger->daybook;

    if (!daybook)
        return;
    limits_watch(ledger->store->limits, NULL, NULL);
    pthread_mutex_lock(&ledger->lock);
    ledger->daybook = NULL;
    ledger->is_entering = false;
    pthread_mutex_unlock(&ledger->lock);
    if (is_written) {
        daybook_turn(daybook);
        daybook_wipe(daybook);
    }
    daybook_close(daybook);
}

/* ---- its life ---- */

static void free_ledger(struct ledger *ledger)
{
    struct change *change;

    ledger_end_daybook(ledger, !ledger->first && !ledger->is_given_up);
    bell_take_down(ledger->bell);
    rows_free(&ledger->under_way);
    while ((change = ledger->first)) {
        ledger->first = change->next;
        change_free(change);
    }
    batch_free(ledger->batch);
    usage_hours_free(ledger->hours);
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
    if (!ledger->sink || !(inherits ? ledger_inherit(ledger)
                                    : lost_close(ledger->journal, ledger->database, sink_statements(ledger->sink)))) {
        database_explain(ledger->database, error, error_size);
        return false;
    }
    return ledger_begin_daybook(ledger, error, error_size);
}

struct ledger *ledger_start(struct store *store, struct database *database, bool inherits, char *error,
                            size_t error_size)
{
    struct ledger *ledger = mem_zero(sizeof *ledger);
    pthread_condattr_t clock;
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
    ledger->bell = bell_new(on_ring, ledger);
    ledger->hours = usage_hours_new(on_hours, ledger);
    if (!open_files(ledger, inherits, error, error_size)) {
        free_ledger(ledger);
        return NULL;
    }
    ledger->batch = batch_new(database, sink_statements(ledger->sink));
    failed = thread_start(&ledger->thread, ledger_writer_run, ledger);
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
