/* rows.c - see rows.h. */
#include "store/rows.h"

#include <string.h>

#include "base/mem.h"
#include "store/row.h"

/* The rows of one request id. Lists, newest first: what a caller makes long costs nobody a search. */
struct namesakes {
    struct entry *open, *closed;
    uint64_t code; /* of the request id */
    size_t length;
    char request_id[];
};

static struct namesakes *namesakes_of(struct rows *rows, const char *request_id)
{
    size_t length = strlen(request_id);
    uint64_t code = hash_code(request_id, length);
    struct namesakes *namesakes = hash_get_coded(&rows->by_request, code, request_id, length);

    if (namesakes)
        return namesakes;
    namesakes = mem_alloc(sizeof *namesakes + length + 1);
    *namesakes = (struct namesakes){ .code = code, .length = length };
    memcpy(namesakes->request_id, request_id, length + 1);
    hash_put_coded(&rows->by_request, code, namesakes->request_id, length, namesakes);
    return namesakes;
}

static void link_entry(struct namesakes *namesakes, struct entry *entry)
{
    struct entry **newest = entry->is_closed ? &namesakes->closed : &namesakes->open;

    entry->namesakes = namesakes;
    entry->newer = NULL;
    entry->older = *newest;
    if (*newest)
        (*newest)->newer = entry;
    *newest = entry;
}

static void unlink_entry(struct entry *entry)
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
}

static void drop_if_empty(struct rows *rows, struct namesakes *namesakes)
{
    if (namesakes->open || namesakes->closed)
        return;
    hash_remove_coded(&rows->by_request, namesakes->code, namesakes->request_id, namesakes->length);
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
    struct entry *entry = mem_alloc(sizeof *entry + length + 1);

    *entry = (struct entry){ .row = row_take(row), .is_closed = is_closed, .code = hash_code(row_id, length) };
    memcpy(entry->row_id, row_id, length + 1);
    hash_put_coded(&rows->by_id, entry->code, entry->row_id, length, entry);
    link_entry(namesakes_of(rows, row_fields(row)->request_id), entry);
    return entry;
}

void rows_close(struct rows *rows, struct entry *entry, struct row *row)
{
    struct namesakes *before = entry->namesakes;
    const char *request_id = row_fields(row)->request_id;

    unlink_entry(entry);
    row_drop(entry->row);
    entry->row = row_take(row);
    entry->is_closed = true;
    /* Hardly ever another one. */
    link_entry(strcmp(request_id, before->request_id) == 0 ? before : namesakes_of(rows, request_id), entry);
    drop_if_empty(rows, before);
}

void rows_remove(struct rows *rows, struct entry *entry)
{
    unlink_entry(entry);
    drop_if_empty(rows, entry->namesakes);
    hash_remove_coded(&rows->by_id, entry->code, entry->row_id, strlen(entry->row_id));
    row_drop(entry->row);
    mem_free(entry);
}

struct row *rows_newest(const struct rows *rows, const char *request_id)
{
    const struct namesakes *namesakes = hash_get(&rows->by_request, request_id, strlen(request_id));

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
