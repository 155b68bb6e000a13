/*
 * memory.c - the backend that keeps nothing: tables live as long as the
 * process, and of the ledger the newest 10,000 rows.
 */
#include <pthread.h>

#include "base/mem.h"
#include "store/backend.h"
#include "store/row.h"
#include "store/rows.h"

enum { ROWS_KEPT = 10000 };

struct memory {
    pthread_mutex_t lock;
    struct rows rows;
    struct entry *ring[ROWS_KEPT]; /* the closed ones by age */
    size_t next;
};

static bool memory_open(struct store *store, const char *place, char *error, size_t error_size)
{
    struct memory *memory = mem_zero(sizeof *memory);

    (void)place;
    (void)error;
    (void)error_size;
    pthread_mutex_init(&memory->lock, NULL);
    store->own = memory;
    return true;
}

static void memory_close(struct store *store)
{
    struct memory *memory = store->own;

    rows_free(&memory->rows);
    pthread_mutex_destroy(&memory->lock);
    mem_free(memory);
}

static bool memory_problem(struct store *store, char *text, size_t size)
{
    (void)store;
    (void)text;
    (void)size;
    return false;
}

static void memory_changed(struct store *store)
{
    (void)store;
}

static void memory_keep_key(struct store *store, const struct store_key *key, struct answer answer)
{
    (void)store;
    (void)key;
    answer_give(&answer, true);
}

static void memory_open_row(struct store *store, const struct ledger_row *fields)
{
    struct memory *memory = store->own;
    struct row *row = row_copy(fields);

    pthread_mutex_lock(&memory->lock);
    rows_add(&memory->rows, row, false);
    pthread_mutex_unlock(&memory->lock);
    row_drop(row);
}

static struct entry *close_row(struct memory *memory, struct entry *entry, struct row *row)
{
    if (!entry)
        return rows_add(&memory->rows, row, true);
    rows_close(&memory->rows, entry, row);
    return entry;
}

static void memory_close_row(struct store *store, const struct ledger_row *fields, struct answer answer)
{
    struct memory *memory = store->own;
    struct row *row = row_copy(fields);
    struct entry *entry, **oldest;

    pthread_mutex_lock(&memory->lock);
    entry = rows_get(&memory->rows, row_fields(row)->row_id);
    if (!entry || !entry->is_closed) {
        oldest = &memory->ring[memory->next];
        if (*oldest)
            rows_remove(&memory->rows, *oldest);
        *oldest = close_row(memory, entry, row);
        memory->next = (memory->next + 1) % ROWS_KEPT;
    }
    pthread_mutex_unlock(&memory->lock);
    row_drop(row);
    answer_give(&answer, true);
}

static void memory_find_row(struct store *store, const char *request_id, const struct row_answer *answer)
{
    struct memory *memory = store->own;
    struct row *row;

    pthread_mutex_lock(&memory->lock);
    row = rows_newest(&memory->rows, request_id);
    if (row)
        row_take(row);
    pthread_mutex_unlock(&memory->lock);
    answer_give_row(answer, row);
}

const struct backend backend_memory = {
    .scheme = "memory",
    .open = memory_open,
    .close = memory_close,
    .problem = memory_problem,
    .changed = memory_changed,
    .keep_key = memory_keep_key,
    .open_row = memory_open_row,
    .close_row = memory_close_row,
    .find_row = memory_find_row,
};
