/*
 * memory.c - the backend that keeps nothing: tables live as long as the
 * process, and of the ledger the newest 10,000 rows.
 */
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/backend.h"
#include "store/row.h"

enum { ROWS_KEPT = 10000 };

struct memory {
    pthread_mutex_t lock;
    struct hash open;
    struct hash closed;
    struct row *ring[ROWS_KEPT]; /* the closed ones by age */
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
    struct row *row;
    size_t at = 0;

    while ((row = hash_next(&memory->open, &at)))
        row_drop(row);
    for (size_t i = 0; i < ROWS_KEPT; i++)
        row_drop(memory->ring[i]);
    hash_free(&memory->open);
    hash_free(&memory->closed);
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
    const char *id = row_fields(row)->request_id;
    size_t length = strlen(id);

    pthread_mutex_lock(&memory->lock);
    if (!hash_get(&memory->open, id, length) && !hash_get(&memory->closed, id, length)) {
        hash_put(&memory->open, id, length, row);
        row = NULL;
    }
    pthread_mutex_unlock(&memory->lock);
    row_drop(row);
}

static void memory_close_row(struct store *store, const struct ledger_row *fields, struct answer answer)
{
    struct memory *memory = store->own;
    struct row *row = row_copy(fields), **oldest;
    const char *id = row_fields(row)->request_id;
    size_t length = strlen(id);

    pthread_mutex_lock(&memory->lock);
    row_drop(hash_remove(&memory->open, id, length));
    if (!hash_get(&memory->closed, id, length)) {
        oldest = &memory->ring[memory->next];
        if (*oldest)
            hash_remove(&memory->closed, row_fields(*oldest)->request_id, strlen(row_fields(*oldest)->request_id));
        row_drop(*oldest);
        *oldest = row;
        hash_put(&memory->closed, id, length, row);
        memory->next = (memory->next + 1) % ROWS_KEPT;
        row = NULL;
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
    row = hash_get(&memory->closed, request_id, strlen(request_id));
    if (!row)
        row = hash_get(&memory->open, request_id, strlen(request_id));
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
