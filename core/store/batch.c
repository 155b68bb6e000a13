/* batch.c - see batch.h. */
#include "store/batch.h"

#include <sqlite3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/backend.h"
#include "store/database.h"
#include "store/imports_sql.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/row.h"
#include "store/statements.h"

struct batch {
    struct database *database;
    struct statements *statements;
    struct change *changes;
    struct buf counters, learnt, marks; /* arrays of what the tables hand over */
};

void change_free(struct change *change)
{
    if (!change)
        return;
    row_drop(change->row);
    mem_free((char *)change->key.settings);
    mem_free(change->import);
    mem_free(change);
}

struct batch *batch_new(struct database *database, struct statements *statements)
{
    struct batch *batch = mem_zero(sizeof *batch);

    batch->database = database;
    batch->statements = statements;
    return batch;
}

const struct counter_state *batch_counters(const struct batch *batch, size_t *count)
{
    *count = batch->counters.length / sizeof(struct counter_state);
    return (const void *)batch->counters.data;
}

const struct mark_state *batch_marks(const struct batch *batch, size_t *count)
{
    *count = batch->marks.length / sizeof(struct mark_state);
    return (const void *)batch->marks.data;
}

const struct store_learnt *batch_learnt(const struct batch *batch, size_t *count)
{
    *count = batch->learnt.length / sizeof(struct store_learnt);
    return (const void *)batch->learnt.data;
}

static void on_counter(void *arg, const struct counter_state *state)
{
    struct batch *batch = arg;

    buf_add(&batch->counters, state, sizeof *state);
}

static void on_learnt(void *arg, const struct store_learnt *word)
{
    struct batch *batch = arg;

    buf_add(&batch->learnt, word, sizeof *word);
}

static void on_mark(void *arg, const struct mark_state *state)
{
    struct batch *batch = arg;

    buf_add(&batch->marks, state, sizeof *state);
}

bool batch_fill(struct batch *batch, struct change *changes, struct store *store, bool all_words)
{
    bool some_wait;

    batch->changes = changes;
    /* After the rows were taken: the counters of a row that is written are never behind it. */
    some_wait = limits_each_changed(store->limits, all_words, on_counter, on_learnt, batch);
    marks_each_changed(store->marks, on_mark, batch);
    return some_wait;
}

void batch_hand_over(struct batch *batch, struct store *store)
{
    limits_hand_over(store->limits, on_counter, batch);
}

void batch_use(struct batch *batch, struct statements *statements)
{
    batch->statements = statements;
}

bool batch_is_empty(const struct batch *batch)
{
    return !batch->changes && !batch->counters.length && !batch->learnt.length && !batch->marks.length;
}

static bool write_change(struct batch *batch, const struct change *change)
{
    struct statements *statements = batch->statements;

    if (change->kind == CHANGE_IMPORT)
        return imports_sql_keep(batch->database, change->import);
    if (change->kind == CHANGE_KEY)
        return statements_keep_key(statements, &change->key);
    if (change->kind == CHANGE_FORGET)
        return statements_forget_row(statements, change->row_id);
    return statements_close_row(statements, row_fields(change->row));
}

static bool write_all(struct batch *batch)
{
    const struct counter_state *counters;
    const struct mark_state *marks;
    const struct store_learnt *learnt;
    size_t count;
    bool is_good = true;

    for (const struct change *change = batch->changes; is_good && change; change = change->next) {
        is_good = write_change(batch, change);
        thread_pass();
    }
    counters = batch_counters(batch, &count);
    is_good = is_good && statements_keep_counters(batch->statements, counters, count);
    marks = batch_marks(batch, &count);
    for (size_t i = 0; is_good && i < count; i++)
        is_good = statements_keep_mark(batch->statements, &marks[i]);
    learnt = batch_learnt(batch, &count);
    for (size_t i = 0; is_good && i < count; i++)
        is_good = statements_keep_learnt(batch->statements, &learnt[i]);
    return is_good;
}

bool batch_write(struct batch *batch, int64_t forget_before)
{
    /* A transaction that SQLite could not end the last time is ended first. */
    if (!sqlite3_get_autocommit(batch->database->connection) && !database_run(batch->database, "ROLLBACK"))
        return false;
    return statements_begin(batch->statements) && write_all(batch) &&
           (forget_before <= 0 || statements_forget_counters(batch->statements, forget_before)) &&
           statements_commit(batch->statements);
}

void batch_answer(struct batch *batch, bool kept)
{
    for (struct change *change = batch->changes; change; change = change->next)
        answer_give(&change->answer, kept);
}

struct change *batch_changes(const struct batch *batch)
{
    return batch->changes;
}

void batch_clear_tables(struct batch *batch)
{
    const struct counter_state *counters;
    const struct mark_state *marks;
    size_t count;

    counters = batch_counters(batch, &count);
    for (size_t i = 0; i < count; i++)
        mem_free(counters[i].key);
    marks = batch_marks(batch, &count);
    for (size_t i = 0; i < count; i++) {
        mem_free(marks[i].target);
        mem_free(marks[i].reason);
    }
    buf_clear(&batch->counters);
    buf_clear(&batch->learnt);
    buf_clear(&batch->marks);
}

void batch_clear(struct batch *batch)
{
    struct change *change;

    while ((change = batch->changes)) {
        batch->changes = change->next;
        change_free(change);
    }
    batch_clear_tables(batch);
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    batch_clear(batch);
    buf_free(&batch->counters);
    buf_free(&batch->learnt);
    buf_free(&batch->marks);
    mem_free(batch);
}
