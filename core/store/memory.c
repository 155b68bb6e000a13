/*
 * memory.c - the backend that keeps nothing: tables live as long as the
 * process, and of the ledger the newest 10,000 rows.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/backend.h"
#include "store/row.h"
#include "store/rows.h"
#include "store/usage.h"

enum { ROWS_KEPT = 10000 };

struct memory {
    pthread_mutex_t lock;
    struct rows rows;
    struct entry *ring[ROWS_KEPT]; /* the closed ones by age */
    int64_t numbers[ROWS_KEPT];    /* in which turn each was closed, from 1 */
    int64_t closed;
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
        memory->numbers[memory->next] = ++memory->closed;
        memory->next = (memory->next + 1) % ROWS_KEPT;
    }
    pthread_mutex_unlock(&memory->lock);
    row_drop(row);
    answer_give_here(&answer, true);
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

struct place_of_row {
    struct store_place place;
    struct row *row;
};

static int compare_places(const void *a, const void *b)
{
    const struct store_place *first = &((const struct place_of_row *)a)->place;
    const struct store_place *second = &((const struct place_of_row *)b)->place;

    if (first->time != second->time)
        return first->time < second->time ? -1 : 1;
    return (first->number > second->number) - (first->number < second->number);
}

/* All rows behind the place, in their order: they are few enough. */
static size_t rows_behind(const struct memory *memory, const struct place_of_row *from, int64_t until,
                          struct place_of_row *found)
{
    size_t count = 0;

    for (size_t i = 0; i < ROWS_KEPT && memory->ring[i]; i++) {
        struct row *row = memory->ring[i]->row;

        found[count] = (struct place_of_row){ { row_fields(row)->time, memory->numbers[i] }, row };
        if (compare_places(&found[count], from) > 0 && found[count].place.time < until)
            count++;
    }
    qsort(found, count, sizeof *found, compare_places);
    return count;
}

static int memory_read_rows(struct store *store, struct store_place *place, int64_t until, int count, struct row **rows)
{
    struct memory *memory = store->own;
    struct place_of_row *found = mem_alloc(ROWS_KEPT * sizeof *found), from = { *place, NULL };
    int got;

    pthread_mutex_lock(&memory->lock);
    got = (int)rows_behind(memory, &from, until, found);
    if (got > count)
        got = count;
    for (int i = 0; i < got; i++) {
        rows[i] = row_take(found[i].row);
        *place = found[i].place;
    }
    pthread_mutex_unlock(&memory->lock);
    mem_free(found);
    return got;
}

/* The rows are taken all at once and added up without the lock. */
static bool memory_usage(struct store *store, struct usage *usage)
{
    const struct store_usage_query *query = usage_query(usage);
    struct memory *memory = store->own;
    struct place_of_row *found = mem_alloc(ROWS_KEPT * sizeof *found), from = { { query->from, 0 }, NULL };
    size_t count;

    if (query->by == STORE_BY_REQUEST)
        from.place = usage_place(usage);
    pthread_mutex_lock(&memory->lock);
    count = rows_behind(memory, &from, query->to, found);
    for (size_t i = 0; i < count; i++)
        row_take(found[i].row);
    pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i < count; i++) {
        if (query->by == STORE_BY_REQUEST)
            usage_add_row(usage, found[i].row, found[i].place);
        else
            usage_add(usage, row_fields(found[i].row));
        row_drop(found[i].row);
    }
    mem_free(found);
    return true;
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
    .read_rows = memory_read_rows,
    .usage = memory_usage,
};
