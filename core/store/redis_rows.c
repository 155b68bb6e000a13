/* redis_rows.c - see redis_rows.h. */
#include "store/redis_rows.h"

#include "base/mem.h"

struct redis_rows {
    struct redis *redis;
};

struct redis_rows *redis_rows_new(struct redis *redis, char *error, size_t error_size)
{
    struct redis_rows *rows = mem_zero(sizeof *rows);

    (void)error;
    (void)error_size;
    rows->redis = redis;
    return rows;
}

void redis_rows_free(struct redis_rows *rows)
{
    mem_free(rows);
}

const char *redis_rows_predecessor(const struct redis_rows *rows)
{
    (void)rows;
    return NULL;
}

bool redis_rows_problem(struct redis_rows *rows, char *text, size_t size)
{
    (void)rows;
    (void)text;
    (void)size;
    return false;
}

void redis_rows_open(struct redis_rows *rows, const struct ledger_row *row)
{
    (void)rows;
    (void)row;
}

void redis_rows_close(struct redis_rows *rows, const struct ledger_row *row, struct answer answer)
{
    (void)rows;
    (void)row;
    answer_give(&answer, true);
}

void redis_rows_find(struct redis_rows *rows, const char *request_id, const struct row_answer *answer)
{
    (void)rows;
    (void)request_id;
    answer_give_row(answer, NULL);
}

int redis_rows_read(struct redis_rows *rows, struct store_place *place, int64_t until, int count, struct row **read)
{
    (void)rows;
    (void)place;
    (void)until;
    (void)count;
    (void)read;
    return 0;
}

bool redis_rows_deliver(struct redis_rows *rows, struct redis_line *line)
{
    (void)rows;
    (void)line;
    return false;
}
