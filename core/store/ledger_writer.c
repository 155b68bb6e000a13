/* ledger_writer.c - the ledger's thread: takes what is queued, writes it as one batch, says so. See ledger.h. */
#include "store/ledger_inside.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/backend.h"
#include "store/batch.h"
#include "store/database.h"
#include "store/daybook.h"
#include "store/journal.h"
#include "store/limits.h"
#include "store/row.h"
#include "store/sink.h"
#include "store/sqlite_files.h"
#include "store/usage_hours.h"

enum { RETRY_US = 500 * 1000, PATIENCE_US = 3 * 1000 * 1000, LAST_TRIES = 3, BATCH_CHANGES = 1000 };
/* What a provider tells of its limits comes with each answer, and the next one makes it void: not each is written. */
enum { WORDS_EVERY_US = 1000 * 1000 };
/* What is not synced with each commit is so much later, be the disk asked again and again. */
enum { SYNC_AFTER_US = 1000 * 1000 };
static const int64_t FORGET_EVERY_US = INT64_C(3600) * 1000000, DAY_MS = INT64_C(86400) * 1000;

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

static bool is_over(int64_t time)
{
    return time && clock_monotonic_us() >= time;
}

/* Whether something changed, now that it is time to look; where nothing did, the thread has to be woken. */
static bool is_time_to_look(struct ledger *ledger)
{
    if (ledger->words_wait && is_over(ledger->words_at))
        return true;
    if (!is_over(ledger->look_at))
        return false;
    ledger->look_at = 0;
    return atomic_load(&ledger->is_changed);
}

/* Waits for work. False: there is none, and there will be none. */
static bool wait_for_work(struct ledger *ledger)
{
    while (!ledger->urgent && !ledger->is_stopping && !ledger->wish && !is_time_to_look(ledger)) {
        if (usage_hours_are_waiting(ledger->hours) || is_over(ledger->retention.due) || is_over(ledger->sync_at))
            return true;
        wait_until(ledger, sooner(sooner(ledger->look_at, ledger->retention.due),
                                  sooner(ledger->sync_at, ledger->words_wait ? ledger->words_at : 0)));
    }
    return ledger->first || ledger->wish || ledger->words_wait || atomic_load(&ledger->is_changed);
}

/* Only beside a database that is ours. */
static void begin_daybook_again(struct ledger *ledger)
{
    char reason[320];

    if (!ledger->daybook && sink_database(ledger->sink) && !ledger_begin_daybook(ledger, reason, sizeof reason))
        log_line(LOG_ERROR, "answers wait for their commits", "reason", reason, NULL);
}

/* All that was entered is written: take_changes saw to that. */
static void hand_over(struct ledger *ledger, int heir, char *refusal, size_t size)
{
    ledger_end_daybook(ledger, true);
    if (!sink_hand_over(ledger->sink, ledger->batch, ledger->store, heir, refusal, size))
        begin_daybook_again(ledger);
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
    if (wish == TAKE_BACK) {
        sink_take_back(ledger->sink, ledger->batch, ledger->store);
        begin_daybook_again(ledger);
    } else if (!batch_is_empty(ledger->batch)) {
        sink_explain(ledger->sink, refusal, sizeof refusal);
    } else {
        hand_over(ledger, heir, refusal, sizeof refusal);
    }
    pthread_mutex_lock(&ledger->lock);
    ledger->is_entering = ledger->daybook != NULL;
    ledger->wish = NO_WISH;
    memcpy(ledger->refusal, refusal, sizeof refusal);
    pthread_cond_broadcast(&ledger->heeded);
    pthread_mutex_unlock(&ledger->lock);
}

/* Nobody waits for what is entered: who shares the processor comes first, for a while. */
enum { PATIENT_US = 20 * 1000 };

/* With a daybook, all: its pages are wiped when what is taken here is written. */
static struct change *take_changes(struct ledger *ledger)
{
    struct change *taken = ledger->first, *change = taken, *last = NULL;
    bool is_awaited = !ledger->is_entering || ledger->urgent > 0;

    for (int i = 0; change && (ledger->daybook || i < BATCH_CHANGES); i++, last = change, change = change->next) {
        ledger->unanswered -= change->answer.on_done != NULL;
        ledger->urgent -= !change->is_entered;
    }
    thread_be_patient(is_awaited ? 0 : PATIENT_US);
    if (ledger->daybook)
        daybook_turn(ledger->daybook);
    if (ledger->wish == HAND_OVER)
        ledger->is_entering = false;
    if (last)
        last->next = NULL;
    ledger->first = change;
    if (!change)
        ledger->last = &ledger->first;
    /* Where something was written, more will be: whoever changes it need not wake the thread. */
    ledger->look_at = clock_monotonic_us() + ledger_linger(ledger);
    return taken;
}

/* Where another process has the database, it serves, and is told all at once. */
static void fill_batch(struct ledger *ledger, struct change *changes, bool is_last)
{
    int64_t now = clock_monotonic_us();
    bool is_ours = sink_database(ledger->sink) != NULL;
    bool all_words = is_last || !is_ours || now >= ledger->words_at;

    if (all_words)
        ledger->words_at = now + WORDS_EVERY_US;
    ledger->words_wait = batch_fill(ledger->batch, changes, ledger->store, all_words);
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
        struct entry *entry =
            change->kind == CHANGE_CLOSE ? rows_get(&ledger->under_way, row_fields(change->row)->row_id) : NULL;

        ledger->bytes -= change->size;
        ledger->written++;
        if (!entry || !entry->is_closed || --entry->unwritten > 0)
            continue;
        journal_remove(ledger->journal, entry->slot);
        rows_remove(&ledger->under_way, entry);
    }
    pthread_cond_broadcast(&ledger->heeded);
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
    if (ledger->database->is_synced_later && !ledger->sync_at)
        ledger->sync_at = clock_monotonic_us() + SYNC_AFTER_US;
    note_success(ledger);
    batch_answer(ledger->batch, true);
    batch_clear(ledger->batch);
    return true;
}

/* Where commits are not synced by themselves; what could not be is not lost, unless the machine dies. */
static void sync_in_time(struct ledger *ledger)
{
    char reason[sizeof ledger->unsynced] = "";
    bool is_new;

    if (!is_over(ledger->sync_at))
        return;
    ledger->sync_at = 0;
    /* Whoever gives the database away has synced it. */
    if (sink_database(ledger->sink) && !sqlite_files_sync_log(ledger->database->connection)) {
        snprintf(reason, sizeof reason, "the database %.80s cannot be synced (%m): a power cut would lose rows",
                 ledger->database->path);
        ledger->sync_at = clock_monotonic_us() + SYNC_AFTER_US;
    }
    pthread_mutex_lock(&ledger->lock);
    is_new = strcmp(reason, ledger->unsynced) != 0;
    memcpy(ledger->unsynced, reason, sizeof reason);
    pthread_mutex_unlock(&ledger->lock);
    if (is_new && *reason)
        log_line(LOG_ERROR, "the store cannot sync", "reason", reason, NULL);
}

static void give_up(struct ledger *ledger)
{
    char bytes[24];

    pthread_mutex_lock(&ledger->lock);
    ledger->is_given_up = true;
    answer_queued(ledger);
    snprintf(bytes, sizeof bytes, "%zu", ledger->bytes);
    pthread_mutex_unlock(&ledger->lock);
    log_line(LOG_ERROR, "the store was closed before all could be written", "reason", ledger->problem,
             ledger->daybook ? "bytes_for_the_next_start" : "bytes_lost", bytes, NULL);
}

void *ledger_writer_run(void *arg)
{
    struct ledger *ledger = arg;
    struct change *changes;
    bool is_last;

    for (;;) {
        pthread_mutex_lock(&ledger->lock);
        if (!wait_for_work(ledger) && ledger->is_stopping) {
            pthread_mutex_unlock(&ledger->lock);
            return NULL;
        }
        changes = take_changes(ledger);
        /* Before the tables are read: what changes from here on is a new change. */
        atomic_store(&ledger->is_changed, false);
        is_last = ledger->is_stopping;
        pthread_mutex_unlock(&ledger->lock);
        fill_batch(ledger, changes, is_last);
        if (!batch_is_empty(ledger->batch) && !write_batch(ledger)) {
            give_up(ledger);
            return NULL;
        }
        if (ledger->daybook)
            daybook_wipe(ledger->daybook);
        sync_in_time(ledger);
        heed(ledger);
        if (sink_database(ledger->sink)) {
            thread_be_patient(ledger->daybook ? PATIENT_US : 0);
            database_shorten_log(ledger->database);
            retention_sweep(&ledger->retention, ledger->database, ledger->store->keep_days);
        }
        usage_hours_write(ledger->hours, sink_database(ledger->sink));
    }
}
