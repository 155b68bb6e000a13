/*
 * handover.h - how a process tells the one that took its store over of rows
 * that end, of counters that move, and of what it learns of its targets (marks,
 * providers' words): batches over a Unix socket, each answered with a byte once
 * it is safe. Both run on one machine; a version that means
 * something else by these bytes has another number. Called by sink.c (the old
 * process) and inherit.c (the new one).
 */
#ifndef STORE_HANDOVER_H
#define STORE_HANDOVER_H

#include <stdbool.h>

#include "base/buf.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/store.h"

struct batch;
struct ledger_row;

/* SUCCESSOR_STORE in net/successor.h has the same number. */
enum { HANDOVER_VERSION = 2 };

/* Sends it and waits until it is safe there. Changes of keys and imports go unsent, and who waits for them is told so.
 */
bool handover_send(int socket, struct batch *batch);

enum handover_kind { HANDOVER_ROW, HANDOVER_COUNTER, HANDOVER_MARK, HANDOVER_LEARNT, HANDOVER_END, HANDOVER_BROKEN };

struct handover {
    enum handover_kind kind;
    struct ledger_row row; /* the texts of all of these are in `bytes` */
    struct counter_state counter;
    struct mark_state mark;
    struct store_learnt learnt;
    struct buf bytes;
};

/* The next piece; waits for it. BROKEN: the other side is gone, or speaks otherwise. bytes is to be freed at the end.
 */
enum handover_kind handover_receive(int socket, struct handover *piece);
/* Answers a batch. */
bool handover_answer(int socket, bool is_safe);

#endif
