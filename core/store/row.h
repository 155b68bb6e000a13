/*
 * row.h - ledger rows outside the database: counted copies, and the one table
 * that says which columns there are and where they lie in struct ledger_row.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "store/store.h"

enum row_type { ROW_TEXT, ROW_INT, ROW_INT64, ROW_BOOL };

struct row_column {
    const char *name;
    enum row_type type;
    size_t offset;
};

enum { ROW_COLUMNS = 25 };
extern const struct row_column row_columns[ROW_COLUMNS]; /* row_id is the first */

struct row;

/* A copy: texts longer than 1 KB are cut, a detail longer than 256 KB is left out. */
struct row *row_copy(const struct ledger_row *fields);
struct row *row_take(struct row *row);
void row_drop(struct row *row); /* NULL is fine; the last one frees it */
const struct ledger_row *row_fields(const struct row *row);
size_t row_size(const struct row *row); /* bytes of memory */

const char **row_text(struct ledger_row *fields, const struct row_column *column);
int64_t row_integer(const struct ledger_row *fields, const struct row_column *column);
void row_set_integer(struct ledger_row *fields, const struct row_column *column, int64_t value);

#endif
