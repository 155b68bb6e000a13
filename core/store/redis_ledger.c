/* redis_ledger.c - see redis_ledger.h. */
#include "store/redis_ledger.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/redis_mend.h"
#include "store/redis_scripts.h"
#include "store/redis_usage.h"
#include "store/row.h"

enum { MARKS_LAST_S = 35 * 24 * 3600, PAGE_ROWS = 100, PAGE_BYTES = 1024 * 1024, PIECE_BYTES = 256 * 1024 };

static const char STREAM[] = "moongate:ledger", TIMES[] = "moongate:ledger:times",
                  MARK[] = "moongate:row:", REQUEST[] = "moongate:request:";

/* ---- orders ---- */

/* All fields, always in the same order: then Redis keeps their names only once in a while. */
static void add_row(struct redis_words *words, const struct ledger_row *row)
{
    struct ledger_row fields = *row;

    redis_words_integer(words, row->time);
    redis_words_integer(words, (ROW_COLUMNS + 1) * INT64_C(2));
    for (int i = 0; i < ROW_COLUMNS; i++) {
        const char *text = row_columns[i].type == ROW_TEXT ? *row_text(&fields, &row_columns[i]) : NULL;

        redis_words_text(words, row_columns[i].name);
        if (row_columns[i].type == ROW_TEXT)
            redis_words_text(words, text ? text : "");
        else if (row_columns[i].type == ROW_BOOL)
            redis_words_text(words, row_integer(&fields, &row_columns[i]) ? "true" : "false");
        else
            redis_words_integer(words, row_integer(&fields, &row_columns[i]));
    }
    redis_words_text(words, "detail");
    redis_words_text(words, fields.detail ? fields.detail : "");
}

void redis_ledger_keep(struct redis_order *order, const struct ledger_row *const *rows, size_t count)
{
    redis_order_begin(order, &redis_script_keep_rows);
    redis_order_key(order, STREAM, NULL);
    redis_order_key(order, TIMES, NULL);
    for (size_t i = 0; i < count; i++) {
        redis_order_key(order, MARK, rows[i]->row_id);
        redis_order_key(order, REQUEST, rows[i]->request_id);
    }
    redis_words_integer(&order->words, MARKS_LAST_S);
    redis_words_text(&order->words, redis_usage_fields);
    for (size_t i = 0; i < count; i++)
        add_row(&order->words, rows[i]);
}

void redis_ledger_find(struct redis_order *order, const char *request_id)
{
    redis_order_begin(order, &redis_script_find_row);
    redis_order_key(order, REQUEST, request_id);
    redis_order_key(order, STREAM, NULL);
}

/* ---- replies ---- */

static void set_field(struct ledger_row *row, size_t guess, const char *name, const struct redis_reply *value)
{
    const char *text = redis_text(value, NULL);

    if (strcmp(name, "detail") == 0)
        row->detail = *text ? text : NULL;
    for (size_t i = 0; i < ROW_COLUMNS; i++) {
        const struct row_column *column = &row_columns[(guess + i) % ROW_COLUMNS];

        if (strcmp(column->name, name) != 0)
            continue;
        if (column->type == ROW_TEXT)
            *row_text(row, column) = *text ? text : NULL;
        else if (column->type == ROW_BOOL)
            row_set_integer(row, column, strcmp(text, "true") == 0);
        else
            row_set_integer(row, column, redis_integer(value));
        return;
    }
}

struct row *redis_ledger_row(const struct redis_reply *reply)
{
    struct ledger_row row = { 0 };
    size_t count = redis_count(reply);

    if (count < 2)
        return NULL;
    for (size_t i = 0; i + 1 < count; i += 2)
        set_field(&row, i / 2, redis_text(redis_item(reply, i), NULL), redis_item(reply, i + 1));
    if (!row.row_id)
        row.row_id = "";
    return row_copy(&row);
}

/* ---- waiting ---- */

static bool send_piece(struct redis_line *line, struct redis_order *order, struct row *const *rows, size_t count)
{
    const struct ledger_row *list[REDIS_LEDGER_ROWS];
    struct redis_reply *reply;
    bool is_kept;

    for (size_t i = 0; i < count; i++)
        list[i] = row_fields(rows[i]);
    redis_ledger_keep(order, list, count);
    reply = redis_order_run(order, line);
    if (redis_mend_named(line, reply)) {
        redis_reply_free(reply);
        reply = redis_order_run(order, line);
    }
    is_kept = redis_kind(reply) == REDIS_INTEGER;
    if (!is_kept)
        log_line(LOG_WARN, "ledger rows wait on: Redis does not take them", "reason",
                 reply ? redis_text(reply, NULL) : "no answer", NULL);
    redis_reply_free(reply);
    return is_kept;
}

bool redis_ledger_send(struct redis_line *line, struct row *const *rows, size_t count)
{
    struct redis_order order = { 0 };
    bool is_good = true;

    for (size_t first = 0, i = 0; is_good && i < count; first = i) {
        size_t bytes = 0;

        while (i < count && bytes < PIECE_BYTES)
            bytes += row_size(rows[i++]);
        is_good = send_piece(line, &order, rows + first, i - first);
    }
    redis_order_free(&order);
    return is_good;
}

bool redis_ledger_has(struct redis_line *line, const char *row_id)
{
    char *mark = mem_format("%s%s", MARK, row_id);
    const struct redis_word words[] = { { "EXISTS", 6 }, { mark, strlen(mark) } };
    struct redis_reply *reply = redis_line_call(line, words, 2);
    bool is_missing = redis_kind(reply) == REDIS_INTEGER && redis_integer(reply) == 0;

    redis_reply_free(reply);
    mem_free(mark);
    return !is_missing;
}

/* How many entries were passed; the rows of those that are still there go into rows. got -1: it cannot be read. */
static int read_page(struct redis_line *line, struct store_place *place, int64_t until, int count, struct row **rows,
                     int *got)
{
    struct redis_order order = { 0 };
    struct redis_reply *reply;
    size_t found;

    redis_order_begin(&order, &redis_script_read_rows);
    redis_order_key(&order, TIMES, NULL);
    redis_order_key(&order, STREAM, NULL);
    redis_words_integer(&order.words, place->time);
    redis_words_integer(&order.words, place->number);
    redis_words_integer(&order.words, until);
    redis_words_integer(&order.words, count < PAGE_ROWS ? count : PAGE_ROWS);
    redis_words_integer(&order.words, PAGE_BYTES);
    reply = redis_order_run(&order, line);
    redis_order_free(&order);
    found = redis_kind(reply) == REDIS_ARRAY ? redis_count(reply) : 0;
    for (size_t i = 0; i + 1 < found; i += 2) {
        int64_t time = redis_integer(redis_item(reply, i));
        struct row *row = redis_ledger_row(redis_item(reply, i + 1));

        place->number = time == place->time ? place->number + 1 : 1;
        place->time = time;
        if (row)
            rows[(*got)++] = row;
    }
    if (redis_kind(reply) != REDIS_ARRAY)
        *got = -1;
    redis_reply_free(reply);
    return (int)(found / 2);
}

int redis_ledger_read(struct redis_line *line, struct store_place *place, int64_t until, int count, struct row **rows)
{
    int got = 0;

    while (read_page(line, place, until, count, rows, &got) > 0 && got == 0)
        ;
    return got;
}

int redis_ledger_trim(struct redis_line *line, int64_t before, int count)
{
    struct redis_order order = { 0 };
    struct redis_reply *reply;
    int trimmed;

    redis_order_begin(&order, &redis_script_trim_rows);
    redis_order_key(&order, TIMES, NULL);
    redis_order_key(&order, STREAM, NULL);
    redis_words_integer(&order.words, before);
    redis_words_integer(&order.words, count);
    reply = redis_order_run(&order, line);
    redis_order_free(&order);
    trimmed = redis_kind(reply) == REDIS_INTEGER ? (int)redis_integer(reply) : -1;
    redis_reply_free(reply);
    return trimmed;
}
