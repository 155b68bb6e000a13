/*
 * ledger_heirs.c - a ledger that passes from one process to the next: asking
 * its thread to hand the database over, and what comes of the rows that the
 * process before had open.
 */
#include "store/ledger_inside.h"

#include <stdio.h>

#include "base/mem.h"
#include "store/journal.h"
#include "store/row.h"

static bool inherit_row(void *arg, uint32_t slot, const struct ledger_row *fields)
{
    struct ledger *ledger = arg;
    struct row *row = row_copy(fields);
    struct entry *entry = rows_add(&ledger->under_way, row, false);

    entry->slot = slot;
    entry->is_inherited = true;
    row_drop(row);
    return true;
}

bool ledger_inherit(struct ledger *ledger)
{
    return journal_each_left(ledger->journal, inherit_row, ledger);
}

static void ask(struct ledger *ledger, enum wish wish, int heir)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->wish = wish;
    ledger->heir = heir;
    pthread_cond_signal(&ledger->wake);
    while (ledger->wish)
        pthread_cond_wait(&ledger->heeded, &ledger->lock);
    pthread_mutex_unlock(&ledger->lock);
}

bool ledger_hand_over(struct ledger *ledger, int socket, char *error, size_t error_size)
{
    ask(ledger, HAND_OVER, socket);
    if (!ledger->refusal[0])
        return true;
    snprintf(error, error_size, "%s", ledger->refusal);
    return false;
}

void ledger_take_back(struct ledger *ledger)
{
    ask(ledger, TAKE_BACK, -1);
}

void ledger_lose_inherited(struct ledger *ledger)
{
    struct row **lost;
    struct entry *entry;
    size_t at = 0, count = 0;

    pthread_mutex_lock(&ledger->lock);
    lost = mem_alloc((ledger->under_way.by_id.count + 1) * sizeof *lost);
    while ((entry = hash_next(&ledger->under_way.by_id, &at)))
        if (entry->is_inherited && !entry->is_closed)
            lost[count++] = row_take(entry->row);
    pthread_mutex_unlock(&ledger->lock);
    for (size_t i = 0; i < count; i++) {
        struct ledger_row fields = *row_fields(lost[i]);

        fields.outcome = "lost";
        fields.estimated = true;
        ledger_close_row(ledger, &fields, (struct answer){ 0 });
        row_drop(lost[i]);
    }
    mem_free(lost);
}
