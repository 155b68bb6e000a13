/*
 * sink.h - where batches go: into the database, or, once another process has
 * taken it over, to that process. Called by ledger.c, on its thread but where
 * it says otherwise.
 */
#ifndef STORE_SINK_H
#define STORE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct database;
struct journal;
struct sink;
struct statements;
struct store;

/* The database stays the caller's, the journal becomes the sink's. NULL: the database refuses. Any thread. */
struct sink *sink_new(struct database *database, struct journal *journal);
void sink_free(struct sink *sink);                       /* NULL is fine; any thread */
struct statements *sink_statements(struct sink *sink);   /* before anything was handed over */
struct database *sink_database(const struct sink *sink); /* NULL: it is not ours now */

/* False: nothing was written, as far as is known; sink_explain says why. */
bool sink_write(struct sink *sink, struct batch *batch, int64_t forget_before);
void sink_explain(const struct sink *sink, char *text, size_t size);

/*
 * Writes an empty batch's worth of what the tables hold, closes the database and lets go of the journal; batches then
 * go to the socket, which is the sink's from now on. False with a sentence: all is as before.
 */
bool sink_hand_over(struct sink *sink, struct batch *batch, struct store *store, int socket, char *error,
                    size_t error_size);
/* The other process never began to serve: the database is opened again, at the next write if need be. */
void sink_take_back(struct sink *sink, struct batch *batch, struct store *store);

#endif
