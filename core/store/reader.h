/*
 * reader.h - looks ledger rows up on a thread and a connection of its own, in
 * transactions of one row: writing never waits for it. Called by sqlite.c.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/answer.h"

struct database;
struct reader;

struct reader *reader_start(const struct database *database); /* NULL: it could not be */
/* Answers what was asked, then ends. */
void reader_stop(struct reader *reader);
/* Any thread. */
void reader_find(struct reader *reader, const char *request_id, const struct row_answer *answer);

#endif
