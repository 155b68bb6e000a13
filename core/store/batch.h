/*
 * batch.h - what goes into one transaction. Stays as it is until it is
 * written: a refused one is tried again whole. Called by ledger.c alone, on its
 * thread.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/answer.h"

struct batch;
struct counter_state;
struct database;
struct mark_state;
struct row;
struct statements;

enum change_kind { CHANGE_CLOSE, CHANGE_FORGET, CHANGE_KEY, CHANGE_IMPORT };

struct change {
    struct change *next;
    enum change_kind kind;
    struct row *row;            /* held */
    struct store_key key;       /* its settings are its own */
    char row_id[ID_LENGTH + 1]; /* forget */
    struct store_import *import;
    size_t size;
    bool is_entered; /* in the daybook: nobody waits for it */
    struct answer answer;
};

void change_free(struct change *change); /* NULL is fine */

struct batch *batch_new(struct database *database, struct statements *statements);
void batch_free(struct batch *batch); /* NULL is fine */
/* Takes a list of changes over, and fetches what changed in the tables; true: but for words of providers that wait. */
bool batch_fill(struct batch *batch, struct change *changes, struct store *store, bool all_words);
/* Adds every counter as limits_hand_over tells it. */
void batch_hand_over(struct batch *batch, struct store *store);
/* What it has of the tables; count may be 0. */
const struct counter_state *batch_counters(const struct batch *batch, size_t *count);
const struct mark_state *batch_marks(const struct batch *batch, size_t *count);
const struct store_learnt *batch_learnt(const struct batch *batch, size_t *count);
/* Other statements from now on; NULL: none, and nothing may be written. */
void batch_use(struct batch *batch, struct statements *statements);
bool batch_is_empty(const struct batch *batch);
/* In one transaction; counters that were over at that time (0: none) are forgotten. False: nothing was written. */
bool batch_write(struct batch *batch, int64_t forget_before);
void batch_answer(struct batch *batch, bool kept);
struct change *batch_changes(const struct batch *batch);
/* Frees what it holds of tables; the changes stay. */
void batch_clear_tables(struct batch *batch);
/* Frees what it holds. */
void batch_clear(struct batch *batch);

#endif
