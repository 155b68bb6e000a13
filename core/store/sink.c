/* sink.c - see sink.h. */
#include "store/sink.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/backend.h"
#include "store/batch.h"
#include "store/database.h"
#include "store/handover.h"
#include "store/journal.h"
#include "store/limits.h"
#include "store/statements.h"

struct sink {
    struct database *database;
    struct journal *journal;
    struct statements *statements; /* NULL: the database is not open */
    int heir;                      /* -1: the database is ours, open or to be opened */
    char problem[320];             /* why it does not open */
};

struct sink *sink_new(struct database *database, struct journal *journal)
{
    struct sink *sink = mem_zero(sizeof *sink);

    sink->database = database;
    sink->journal = journal;
    sink->heir = -1;
    sink->statements = statements_new(database);
    if (sink->statements)
        return sink;
    sink_free(sink);
    return NULL;
}

void sink_free(struct sink *sink)
{
    if (!sink)
        return;
    statements_free(sink->statements);
    journal_close(sink->journal);
    if (sink->heir >= 0)
        close(sink->heir);
    mem_free(sink);
}

struct statements *sink_statements(struct sink *sink)
{
    return sink->statements;
}

struct database *sink_database(const struct sink *sink)
{
    return sink->statements ? sink->database : NULL;
}

/* Opens what was released. */
static bool regain(struct sink *sink, struct batch *batch)
{
    if (sink->statements)
        return true;
    if (!database_regain(sink->database, sink->problem, sizeof sink->problem))
        return false;
    sink->statements = journal_return(sink->journal) ? statements_new(sink->database) : NULL;
    batch_use(batch, sink->statements);
    if (sink->statements)
        return true;
    snprintf(sink->problem, sizeof sink->problem, "the database %.200s cannot be had back", sink->database->path);
    database_release(sink->database);
    return false;
}

bool sink_write(struct sink *sink, struct batch *batch, int64_t forget_before)
{
    if (sink->heir >= 0)
        return handover_send(sink->heir, batch);
    return regain(sink, batch) && batch_write(batch, forget_before);
}

void sink_explain(const struct sink *sink, char *text, size_t size)
{
    if (sink->heir >= 0)
        snprintf(text, size, "the process that took over the database %.200s is gone", sink->database->path);
    else if (!sink->statements)
        snprintf(text, size, "%s", sink->problem);
    else
        database_explain(sink->database, text, size);
}

bool sink_hand_over(struct sink *sink, struct batch *batch, struct store *store, int socket, char *error,
                    size_t error_size)
{
    bool is_written;

    batch_fill(batch, NULL, store, true);
    batch_hand_over(batch, store);
    is_written = sink_write(sink, batch, 0);
    batch_clear(batch);
    if (!is_written) {
        limits_take_back(store->limits);
        sink_explain(sink, error, error_size);
        return false;
    }
    journal_leave(sink->journal);
    statements_free(sink->statements);
    sink->statements = NULL;
    batch_use(batch, NULL);
    database_release(sink->database);
    sink->heir = socket;
    return true;
}

void sink_take_back(struct sink *sink, struct batch *batch, struct store *store)
{
    if (sink->heir < 0)
        return;
    close(sink->heir);
    sink->heir = -1;
    limits_take_back(store->limits);
    batch_clear_tables(batch); /* they were differences */
    regain(sink, batch);
}
