/* row.c - see row.h. */
#include "store/row.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum { TEXT_MAX = 1024, DETAIL_MAX = 256 * 1024 };

#define COLUMN(name, type)                                                                                             \
    {                                                                                                                  \
#name, type, offsetof(struct ledger_row, name)                                                                 \
    }

const struct row_column row_columns[ROW_COLUMNS] = {
    COLUMN(row_id, ROW_TEXT),
    COLUMN(request_id, ROW_TEXT),
    COLUMN(time, ROW_INT64),
    COLUMN(org, ROW_TEXT),
    COLUMN(key, ROW_TEXT),
    COLUMN(label, ROW_TEXT),
    COLUMN(tier, ROW_TEXT),
    COLUMN(surface, ROW_TEXT),
    COLUMN(task, ROW_TEXT),
    COLUMN(policy, ROW_TEXT),
    COLUMN(provider, ROW_TEXT),
    COLUMN(model, ROW_TEXT),
    COLUMN(outcome, ROW_TEXT),
    COLUMN(status, ROW_INT),
    COLUMN(attempts, ROW_INT),
    COLUMN(input_tokens, ROW_INT64),
    COLUMN(cached_tokens, ROW_INT64),
    COLUMN(cache_write_tokens, ROW_INT64),
    COLUMN(output_tokens, ROW_INT64),
    COLUMN(reasoning_tokens, ROW_INT64),
    COLUMN(billed_tokens, ROW_INT64),
    COLUMN(cost_microusd, ROW_INT64),
    COLUMN(savings_microusd, ROW_INT64),
    COLUMN(estimated, ROW_BOOL),
    COLUMN(latency_ms, ROW_INT64),
};

struct row {
    struct ledger_row fields;
    atomic_int takers;
    size_t size;
    char texts[];
};

const char **row_text(struct ledger_row *fields, const struct row_column *column)
{
    return (const char **)(void *)((char *)fields + column->offset);
}

int64_t row_integer(const struct ledger_row *fields, const struct row_column *column)
{
    const void *field = (const char *)fields + column->offset;

    if (column->type == ROW_INT)
        return *(const int *)field;
    return column->type == ROW_BOOL ? *(const bool *)field : *(const int64_t *)field;
}

void row_set_integer(struct ledger_row *fields, const struct row_column *column, int64_t value)
{
    void *field = (char *)fields + column->offset;

    if (column->type == ROW_INT)
        *(int *)field = (int)value;
    else if (column->type == ROW_BOOL)
        *(bool *)field = value != 0;
    else
        *(int64_t *)field = value;
}

/* How much of a text is kept: a character is not cut in two. */
static size_t kept_length(const char *text)
{
    size_t length = strnlen(text, TEXT_MAX + 1);

    if (length <= TEXT_MAX)
        return length;
    for (length = TEXT_MAX; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
        length--;
    return length;
}

struct row *row_copy(const struct ledger_row *given)
{
    struct ledger_row fields = *given;
    size_t size = 0, lengths[ROW_COLUMNS], detail = given->detail ? strlen(given->detail) : 0;
    struct row *row;
    char *next;

    if (!fields.request_id)
        fields.request_id = "";
    for (int i = 0; i < ROW_COLUMNS; i++) {
        const char *text = row_columns[i].type == ROW_TEXT ? *row_text(&fields, &row_columns[i]) : NULL;

        lengths[i] = text ? kept_length(text) : 0;
        size += text ? lengths[i] + 1 : 0;
    }
    if (detail > DETAIL_MAX)
        fields.detail = NULL;
    size += fields.detail ? detail + 1 : 0;
    row = mem_alloc(sizeof *row + size);
    next = row->texts;
    for (int i = 0; i < ROW_COLUMNS; i++) {
        const char **text = row_columns[i].type == ROW_TEXT ? row_text(&fields, &row_columns[i]) : NULL;

        if (!text || !*text)
            continue;
        memcpy(next, *text, lengths[i]);
        next[lengths[i]] = '\0';
        *text = next;
        next += lengths[i] + 1;
    }
    if (fields.detail)
        fields.detail = memcpy(next, fields.detail, detail + 1);
    row->fields = fields;
    row->size = sizeof *row + size;
    atomic_init(&row->takers, 1);
    return row;
}

struct row *row_take(struct row *row)
{
    atomic_fetch_add(&row->takers, 1);
    return row;
}

void row_drop(struct row *row)
{
    if (row && atomic_fetch_sub(&row->takers, 1) == 1)
        mem_free(row);
}

const struct ledger_row *row_fields(const struct row *row)
{
    return &row->fields;
}

size_t row_size(const struct row *row)
{
    return row->size;
}
