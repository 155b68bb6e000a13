/* redis_usage.c - see redis_usage.h. */
#include "store/redis_usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/redis.h"
#include "net/redis_line.h"
#include "store/row.h"
#include "store/usage.h"

/* Redis is held up by a page for less than a millisecond. */
enum { PAGE_ROWS = 500, FIELDS_MOST = 16 };

const char redis_usage_fields[] = "org key label tier task provider model input_tokens output_tokens billed_tokens "
                                  "cost_microusd savings_microusd";

static const struct row_column *column_of(const char *name, size_t length)
{
    for (size_t i = 0; i < ROW_COLUMNS; i++)
        if (strlen(row_columns[i].name) == length && memcmp(row_columns[i].name, name, length) == 0)
            return &row_columns[i];
    return NULL;
}

static size_t list_columns(const struct row_column *columns[FIELDS_MOST])
{
    size_t count = 0, length;

    for (const char *name = redis_usage_fields; *name; name += length + (name[length] == ' ')) {
        length = strcspn(name, " ");
        columns[count++] = column_of(name, length);
    }
    return count;
}

/* A member of the index: the entry's id and the fields, parted by NULs. False: it has not as many. */
static bool read_member(const struct redis_reply *member, const struct row_column *const *columns, size_t count,
                        struct ledger_row *row)
{
    size_t length;
    const char *at = redis_text(member, &length), *end = at + length;

    for (size_t i = 0; i < count; i++) {
        at += strlen(at) + 1;
        if (at > end)
            return false;
        if (columns[i]->type == ROW_TEXT)
            *row_text(row, columns[i]) = *at ? at : NULL;
        else
            row_set_integer(row, columns[i], strtoll(at, NULL, 10));
    }
    return true;
}

static struct redis_reply *ask_page(struct redis_line *line, const struct store_place *place, int64_t until)
{
    char from[24], before[24], passed[24], count[24];
    const char *const texts[] = {
        "ZRANGEBYSCORE", "moongate:ledger:times", from, before, "WITHSCORES", "LIMIT", passed, count
    };
    struct redis_word words[8];

    snprintf(from, sizeof from, "%" PRId64, place->time);
    snprintf(before, sizeof before, "(%" PRId64, until);
    snprintf(passed, sizeof passed, "%" PRId64, place->number);
    snprintf(count, sizeof count, "%d", PAGE_ROWS);
    for (size_t i = 0; i < 8; i++)
        words[i] = (struct redis_word){ texts[i], strlen(texts[i]) };
    return redis_line_call(line, words, 8);
}

bool redis_usage_read(struct redis_line *line, struct usage *usage)
{
    const struct row_column *columns[FIELDS_MOST];
    struct store_place place = { usage_query(usage)->from, 0 };
    size_t count = list_columns(columns), got;
    bool is_good;

    do {
        struct redis_reply *reply = ask_page(line, &place, usage_query(usage)->to);

        is_good = redis_kind(reply) == REDIS_ARRAY;
        got = redis_count(reply) / 2;
        for (size_t i = 0; i < got; i++) {
            struct ledger_row row = { .time = redis_integer(redis_item(reply, 2 * i + 1)) };

            place.number = row.time == place.time ? place.number + 1 : 1;
            place.time = row.time;
            if (read_member(redis_item(reply, 2 * i), columns, count, &row))
                usage_add(usage, &row);
        }
        redis_reply_free(reply);
    } while (is_good && got == PAGE_ROWS && !usage_is_cancelled(usage));
    return is_good && !usage_is_cancelled(usage);
}
