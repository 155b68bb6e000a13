/*
 * sheet.h - a table of a SQLite file that others keep, read as rows of text.
 * Never writes to it. Called by bind/sheet.c, on the control thread.
 */
#ifndef STORE_SHEET_H
#define STORE_SHEET_H

#include <stdbool.h>
#include <stddef.h>

struct sheet;

struct sheet_limits {
    size_t rows, bytes;
    double seconds; /* a view may be a question that takes for ever */
};

/* A table or view; NULL leaves why not. */
struct sheet *sheet_open(const char *path, const char *table, const struct sheet_limits *limits, char *error,
                         size_t error_size);
void sheet_close(struct sheet *sheet); /* NULL is fine */
int sheet_width(const struct sheet *sheet);
const char *sheet_column(const struct sheet *sheet, int column);
/* Goes on to the next row; false at the end, or when there is no way on: then *error is not empty. */
bool sheet_next(struct sheet *sheet, char *error, size_t error_size);
/* A value of this row, valid until the next; NULL where there is none. */
const char *sheet_cell(struct sheet *sheet, int column, size_t *length);

#endif
