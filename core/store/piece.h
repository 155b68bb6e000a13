/*
 * piece.h - a ledger row or a counter as bytes, for another process of this
 * machine, or for a later one: numbers in 8 bytes, texts by length. Called by
 * handover.c and daybook.c; what these bytes mean is part of their versions.
 */
#ifndef STORE_PIECE_H
#define STORE_PIECE_H

#include <stdbool.h>

#include "base/buf.h"
#include "store/limits.h"
#include "store/store.h"

void piece_add_number(struct buf *bytes, int64_t number);
void piece_add_text(struct buf *bytes, const char *text); /* NULL comes back as NULL */
void piece_add_row(struct buf *bytes, const struct ledger_row *row);
void piece_add_counter(struct buf *bytes, const struct counter_state *counter);

/* What is left to be read; data NULL: it was not what it should be. */
struct piece {
    const char *data;
    size_t length;
};

int64_t piece_number(struct piece *piece);
const char *piece_text(struct piece *piece); /* where it lies in the piece */
/* Texts lie in the piece. False: it is not one, or is followed by something. */
bool piece_read_row(struct piece piece, struct ledger_row *row);
bool piece_read_counter(struct piece piece, struct counter_state *counter);

#endif
