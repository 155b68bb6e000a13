/* redis_ledger.c - see redis_ledger.h. */
#include "store/redis_ledger.h"

#include <string.h>

#include "base/log.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/redis_scripts.h"
#include "store/row.h"

enum { MARKS_LAST_S = 35 * 24 * 3600, PAGE_ROWS = 100, PAGE_BYTES = 1024 * 1024 };

const char REDIS_LEDGER_STREAM[] = "moongate:ledger";
static const char TIMES[] = "moongate:ledger:times";

/* ---- orders ---- */

static void begin(struct redis_order *order, struct redis_script *script)
{
    order->script = script;
    order->key_count = 0;
    redis_words_clear(&order->words);
}

/* All fields, always in the same order: then Redis keeps their names only once in a while. */
static void add_row(struct redis_words *words, const struct ledger_row *row)
{
    struct ledger_row fields = *row;

    redis_words_add_integer(words, row->time);
    redis_words_add_integer(words, (ROW_COLUMNS + 1) * INT64_C(2));
    for (int i = 0; i < ROW_COLUMNS; i++) {
        redis_words_add(words, row_columns[i].name);
        if (row_columns[i].type == ROW_TEXT)
            redis_words_add(words, *row_text(&fields, &row_columns[i]));
        else if (row_columns[i].type == ROW_BOOL)
            redis_words_add(words, row_integer(&fields, &row_columns[i]) ? "true" : "false");
        else
            redis_words_add_integer(words, row_integer(&fields, &row_columns[i]));
    }
    redis_words_add(words, "detail");
    redis_words_add(words, fields.detail);
}

void redis_ledger_keep(struct redis_order *order, const struct ledger_row *const *rows, size_t count)
{
    begin(order, &redis_script_keep_rows);
    redis_words_add(&order->words, REDIS_LEDGER_STREAM);
    redis_words_add(&order->words, TIMES);
    for (size_t i = 0; i < count; i++) {
        redis_words_add_format(&order->words, "moongate:row:%s", rows[i]->row_id);
        redis_words_add_format(&order->words, "moongate:request:%s", rows[i]->request_id);
    }
    order->key_count = redis_words_count(&order->words);
    redis_words_add_integer(&order->words, MARKS_LAST_S);
    for (size_t i = 0; i < count; i++)
        add_row(&order->words, rows[i]);
}

void redis_ledger_find(struct redis_order *order, const char *request_id)
{
    begin(order, &redis_script_find_row);
    redis_words_add_format(&order->words, "moongate:request:%s", request_id);
    redis_words_add(&order->words, REDIS_LEDGER_STREAM);
    order->key_count = 2;
}

struct redis_reply *redis_ledger_run(struct redis_line *line, struct redis_order *order)
{
    return redis_line_run(line, order->script, order->key_count, redis_words_list(&order->words),
                          redis_words_count(&order->words));
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

/* How many entries were passed; the rows of those that are still there go into rows. got -1: it cannot be read. */
static int read_page(struct redis_line *line, struct store_place *place, int64_t until, int count, struct row **rows,
                     int *got)
{
    struct redis_order order = { 0 };
    struct redis_reply *reply;
    size_t found;

    begin(&order, &redis_script_read_rows);
    redis_words_add(&order.words, TIMES);
    redis_words_add(&order.words, REDIS_LEDGER_STREAM);
    redis_words_add_integer(&order.words, place->time);
    redis_words_add_integer(&order.words, place->number);
    redis_words_add_integer(&order.words, until);
    redis_words_add_integer(&order.words, count < PAGE_ROWS ? count : PAGE_ROWS);
    redis_words_add_integer(&order.words, PAGE_BYTES);
    order.key_count = 2;
    reply = redis_ledger_run(line, &order);
    redis_words_free(&order.words);
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

    begin(&order, &redis_script_trim_rows);
    redis_words_add(&order.words, TIMES);
    redis_words_add(&order.words, REDIS_LEDGER_STREAM);
    redis_words_add_integer(&order.words, before);
    redis_words_add_integer(&order.words, count);
    order.key_count = 2;
    reply = redis_ledger_run(line, &order);
    redis_words_free(&order.words);
    trimmed = redis_kind(reply) == REDIS_INTEGER ? (int)redis_integer(reply) : -1;
    redis_reply_free(reply);
    return trimmed;
}

bool redis_ledger_mend(struct redis_line *line, const struct redis_reply *reply)
{
    const char *text = redis_text(reply, NULL);
    struct redis_words words = { 0 };
    struct redis_reply *done;
    bool is_done;

    if (redis_kind(reply) != REDIS_ERROR || strncmp(text, "BROKEN ", 7) != 0)
        return false;
    redis_words_add(&words, "RENAME");
    redis_words_add(&words, text + 7);
    redis_words_add_format(&words, "%s:broken", text + 7);
    done = redis_line_call(line, redis_words_list(&words), redis_words_count(&words));
    is_done = redis_kind(done) == REDIS_STATUS;
    log_line(LOG_ERROR, is_done ? "a key in Redis held something else and was moved aside, to <key>:broken"
                                : "a key in Redis holds something else: remove or rename it",
             "key", text + 7, NULL);
    redis_reply_free(done);
    redis_words_free(&words);
    return is_done;
}
