/* rows.c - see rows.h. */
#include "store/rows.h"

#include <string.h>

#include "base/mem.h"
#include "store/row.h"

/* The rows of one request id. Lists, newest first: what a caller makes long costs nobody a search. */
struct namesakes {
    struct entry *open, *closed;
    char request_id[];
};

static struct namesakes *namesakes_of(const struct rows *rows, const char *request_id)
{
    return hash_get(&rows->by_request, request_id, strlen(request_id));
}

static void link_entry(struct rows *rows, struct entry *entry)
{
    const char *request_id = row_fields(entry->row)->request_id;
    size_t length = strlen(request_id);
    struct namesakes *namesakes = namesakes_of(rows, request_id);
    struct entry **newest;

    if (!namesakes) {
        namesakes = mem_zero(sizeof *namesakes + length + 1);
        memcpy(namesakes->request_id, request_id, length + 1);
        hash_put(&rows->by_request, namesakes->request_id, length, namesakes);
    }
    newest = entry->is_closed ? &namesakes->closed : &namesakes->open;
    entry->namesakes = namesakes;
    entry->newer = NULL;
    entry->older = *newest;
    if (*newest)
        (*newest)->newer = entry;
    *newest = entry;
}

static void unlink_entry(struct rows *rows, struct entry *entry)
{
    struct namesakes *namesakes = entry->namesakes;

    if (entry->newer)
        entry->newer->older = entry->older;
    else if (entry->is_closed)
        namesakes->closed = entry->older;
    else
        namesakes->open = entry->older;
    if (entry->older)
        entry->older->newer = entry->newer;
    if (namesakes->open || namesakes->closed)
        return;
    hash_remove(&rows->by_request, namesakes->request_id, strlen(namesakes->request_id));
    mem_free(namesakes);
}

struct entry *rows_get(const struct rows *rows, const char *row_id)
{
    return hash_get(&rows->by_id, row_id, strlen(row_id));
}

struct entry *rows_add(struct rows *rows, struct row *row, bool is_closed)
{
    const char *row_id = row_fields(row)->row_id;
    size_t length = strlen(row_id);
    struct entry *entry = mem_zero(sizeof *entry + length + 1);

    memcpy(entry->row_id, row_id, length + 1);
    entry->row = row_take(row);
    entry->is_closed = is_closed;
    hash_put(&rows->by_id, entry->row_id, length, entry);
    link_entry(rows, entry);
    return entry;
}

void rows_close(struct rows *rows, struct entry *entry, struct row *row)
{
    unlink_entry(rows, entry);
    row_drop(entry->row);
    entry->row = row_take(row);
    entry->is_closed = true;
    link_entry(rows, entry);
}

void rows_remove(struct rows *rows, struct entry *entry)
{
    unlink_entry(rows, entry);
    hash_remove(&rows->by_id, entry->row_id, strlen(entry->row_id));
    row_drop(entry->row);
    mem_free(entry);
}

struct row *rows_newest(const struct rows *rows, const char *request_id)
{
    const struct namesakes *namesakes = namesakes_of(rows, request_id);

    if (!namesakes)
        return NULL;
    return (namesakes->open ? namesakes->open : namesakes->closed)->row;
}

void rows_free(struct rows *rows)
{
    struct namesakes *namesakes;
    struct entry *entry;
    size_t at = 0;

    while ((entry = hash_next(&rows->by_id, &at))) {
        row_drop(entry->row);
        mem_free(entry);
    }
    at = 0;
    while ((namesakes = hash_next(&rows->by_request, &at)))
        mem_free(namesakes);
    hash_free(&rows->by_id);
    hash_free(&rows->by_request);
}
