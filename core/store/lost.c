/* lost.c - see lost.h. */
#include "store/lost.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/database.h"
#include "store/journal.h"
#include "store/row.h"
#include "store/statements.h"

static bool keep(void *arg, uint32_t slot, const struct ledger_row *fields)
{
    struct ledger_row lost = *fields;
    struct row *row;

    (void)slot;
    lost.outcome = "lost";
    lost.estimated = true;
    row = row_copy(&lost);
    buf_add(arg, &row, sizeof row);
    return true;
}

static bool forget(void *arg, uint32_t slot, const struct ledger_row *fields)
{
    (void)fields;
    journal_remove(arg, slot);
    return true;
}

/* Row ids begin with the time: of one request id the newest is to be found. */
static int compare(const void *a, const void *b)
{
    const struct ledger_row *first = row_fields(*(struct row *const *)a);
    const struct ledger_row *second = row_fields(*(struct row *const *)b);

    return strcmp(first->row_id, second->row_id);
}

bool lost_close(struct journal *journal, struct database *database, struct statements *statements)
{
    struct buf list = { 0 };
    struct row **rows;
    size_t count;
    bool is_good = true;

    journal_each_left(journal, keep, &list);
    rows = (struct row **)(void *)list.data;
    count = list.length / sizeof(struct row *);
    if (count) {
        qsort(rows, count, sizeof(struct row *), compare);
        is_good = database_run(database, "BEGIN IMMEDIATE");
        /* A row whose commit came through before the end is in the ledger, and stays as it is. */
        for (size_t i = 0; is_good && i < count; i++)
            is_good = statements_close_row(statements, row_fields(rows[i]));
        is_good = is_good && database_run(database, "COMMIT");
    }
    if (is_good)
        journal_each_left(journal, forget, journal);
    for (size_t i = 0; i < count; i++)
        row_drop(rows[i]);
    buf_free(&list);
    return is_good;
}
