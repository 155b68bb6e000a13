/*
 * backend.h - what store.c and its backends share. Counters, marks, learnt
 * limits and keys are tables in this process for each of them; a backend makes
 * them last, and keeps the ledger. One that shares tables with other processes
 * adds its operations here, and store.c asks it before its own tables.
 */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/answer.h"
#include "store/store.h"

struct imports;
struct limits;
struct marks;
struct keys;
struct row;
struct usage;
struct usage_thread;

struct store {
    const struct backend *backend;
    void *own; /* the backend's */
    struct limits *limits;
    struct marks *marks;
    struct keys *keys;
    struct imports *imports;
    struct usage_thread *usage;
    int predecessor; /* the socket of the process before, for a backend that heeds it and then sets -1; else -1 */
    _Atomic int64_t keep_days; /* of closed rows; 0: for ever. changed() is called when it does. */
};

struct backend {
    const char *scheme; /* of its addresses */
    /* Sets store->own and fills the tables. False: error says why. */
    bool (*open)(struct store *store, const char *place, char *error, size_t error_size);
    /* Sets store->own for each_row alone. NULL: there is nothing that another process could read. */
    bool (*open_reader)(struct store *store, const char *place, char *error, size_t error_size);
    /* Sets store->own for keep_key and keep_import alone, and fills the table of keys. NULL: open does it. */
    bool (*open_keys)(struct store *store, const char *place, char *error, size_t error_size);
    void (*close)(struct store *store);
    /* True: something is wrong, and text says what. */
    bool (*problem)(struct store *store, char *text, size_t size);
    /* As store_hand_over, store_take_back and store_inherits. All NULL: processes need nothing of each other. */
    bool (*hand_over)(struct store *store, int socket, char *error, size_t error_size);
    void (*take_back)(struct store *store);
    bool (*inherits)(struct store *store);
    /* As store_refuses. NULL: it takes every row. */
    bool (*refuses)(struct store *store, char *text, size_t size);
    /* Counters, marks or learnt limits changed: fetch them with the each_changed functions, soon. */
    void (*changed)(struct store *store);
    /* As their namesakes in store.h. All NULL: the counters of this process are the only ones. */
    void (*join)(struct store *store, struct loop *loop);
    void (*leave)(struct store *store);
    void (*reserve)(struct store *store, const struct store_call *call, int64_t now,
                    void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg);
    void (*fits)(struct store *store, const struct store_call *call, int64_t now, struct store_verdict *verdict);
    void (*settle)(struct store *store, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now);
    int64_t (*used)(struct store *store, const struct store_limit *limit, int64_t now, int64_t *window_end);
    /* A key that was added, or revoked (its settings are NULL then). */
    void (*keep_key)(struct store *store, const struct store_key *key, struct answer answer);
    /* NULL: it goes into the table of this process alone. */
    void (*keep_import)(struct store *store, const struct store_import *import, struct answer answer);
    /* As store_each_source and store_each_import. NULL: out of the table. */
    bool (*each_source)(struct store *store, void (*each)(void *arg, const struct store_import *), void *arg);
    bool (*each_import)(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                        void *arg);
    /* As their namesakes in store.h. NULL, both: it is always our turn. */
    void (*take_turn)(struct store *store, const char *name, int64_t milliseconds,
                      void (*on_turn)(void *arg, const struct store_turn *turn), void *arg);
    void (*tell_turn)(struct store *store, const char *name, int64_t milliseconds, const char *told);
    /* Rows come with their row_id. */
    void (*open_row)(struct store *store, const struct ledger_row *row);
    void (*close_row)(struct store *store, const struct ledger_row *row, struct answer answer);
    void (*forget_row)(struct store *store, const char *row_id); /* may be NULL: nobody asks it for that */
    void (*find_row)(struct store *store, const char *request_id, const struct row_answer *answer);
    /* Up to count rows behind the place into rows, each held for the caller; the place moves. -1: cannot be read. */
    int (*read_rows)(struct store *store, struct store_place *place, int64_t until, int count, struct row **rows);
    /* Adds the rows that its query asks for. May block. False: cannot be read. NULL: usage.c goes through read_rows. */
    bool (*usage)(struct store *store, struct usage *usage);
};

extern const struct backend backend_memory;
extern const struct backend backend_redis;
extern const struct backend backend_sqlite;

#endif
