/*
 * store.c - see store.h. Opens the backend that an address names and passes
 * every call to the table that answers it, then tells the backend what changed.
 */
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/backend.h"
#include "store/imports.h"
#include "store/keys.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/row.h"
#include "store/usage.h"
#include "store/usage_thread.h"

enum { PAGE_ROWS = 500 };

static const struct backend *const backends[] = { &backend_memory, &backend_sqlite, &backend_redis };

static void free_tables(struct store *store)
{
    usage_thread_stop(store->usage);
    limits_free(store->limits);
    marks_free(store->marks);
    keys_free(store->keys);
    imports_free(store->imports);
    mem_free(store);
}

static const struct backend *backend_of(const char *address, const char **place)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        size_t length = strlen(backends[i]->scheme);

        if (strncmp(address, backends[i]->scheme, length) == 0 && address[length] == ':') {
            *place = address + length + 1;
            return backends[i];
        }
    }
    return NULL;
}

/* What a store is opened for. */
enum purpose { TO_SERVE, TO_READ, TO_KEEP_KEYS };

static bool open_for(enum purpose purpose, struct store *store, const char *place, char *error, size_t error_size)
{
    const struct backend *backend = store->backend;

    if (purpose == TO_READ)
        return backend->open_reader(store, place, error, error_size);
    if (purpose == TO_KEEP_KEYS && backend->open_keys)
        return backend->open_keys(store, place, error, error_size);
    return backend->open(store, place, error, error_size);
}

static struct store *open_store(const char *address, enum purpose purpose, int predecessor, char *error,
                                size_t error_size)
{
    const char *place;
    const struct backend *backend = backend_of(address, &place);
    struct store *store;

    if (!backend) {
        snprintf(error, error_size,
                 "there is no store \"%.200s\": it is \"memory:\", \"sqlite:PATH\" or \"redis://host:port/db\"",
                 address);
        return NULL;
    }
    if (purpose == TO_READ && !backend->open_reader) {
        snprintf(error, error_size,
                 "the store \"%s:\" is inside the running gateway and cannot be read from here: use \"sqlite:PATH\"",
                 backend->scheme);
        return NULL;
    }
    store = mem_zero(sizeof *store);
    store->backend = backend;
    store->limits = limits_new();
    store->marks = marks_new();
    store->keys = keys_new();
    store->imports = imports_new();
    store->usage = usage_thread_new(store);
    store->predecessor = predecessor;
    if (open_for(purpose, store, place, error, error_size))
        return store;
    free_tables(store);
    return NULL;
}

struct store *store_open_after(const char *address, int predecessor, char *error, size_t error_size)
{
    struct store *store = open_store(address, TO_SERVE, predecessor, error, error_size);

    if (predecessor >= 0 && (!store || store->predecessor >= 0)) {
        close(predecessor);
        if (store)
            store->predecessor = -1;
    }
    return store;
}

struct store *store_open(const char *address, char *error, size_t error_size)
{
    return open_store(address, TO_SERVE, -1, error, error_size);
}

struct store *store_open_reader(const char *address, char *error, size_t error_size)
{
    return open_store(address, TO_READ, -1, error, error_size);
}

struct store *store_open_keys(const char *address, char *error, size_t error_size)
{
    return open_store(address, TO_KEEP_KEYS, -1, error, error_size);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    usage_thread_stop(store->usage); /* it reads through the backend */
    store->usage = NULL;
    store->backend->close(store);
    free_tables(store);
}

bool store_hand_over(struct store *store, int socket, char *error, size_t error_size)
{
    if (store->backend->hand_over)
        return store->backend->hand_over(store, socket, error, error_size);
    close(socket);
    return true;
}

void store_take_back(struct store *store)
{
    if (store->backend->take_back)
        store->backend->take_back(store);
}

bool store_inherits(struct store *store)
{
    return store->backend->inherits && store->backend->inherits(store);
}

const char *store_problem(struct store *store)
{
    static _Thread_local char text[512];

    return store->backend->problem(store, text, sizeof text) ? text : NULL;
}

const char *store_refuses(struct store *store)
{
    static _Thread_local char text[512];

    if (!store->backend->refuses)
        return NULL;
    return store->backend->refuses(store, text, sizeof text) ? text : NULL;
}

static void tell(struct store *store, bool changed)
{
    if (changed)
        store->backend->changed(store);
}

void store_join(struct store *store, struct loop *loop)
{
    if (store->backend->join)
        store->backend->join(store, loop);
}

void store_leave(struct store *store)
{
    if (store->backend->leave)
        store->backend->leave(store);
}

void store_reserve(struct store *store, const struct store_call *call, int64_t now,
                   void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg)
{
    struct store_verdict verdict;

    if (store->backend->reserve) {
        store->backend->reserve(store, call, now, on_verdict, arg);
        return;
    }
    tell(store, limits_reserve(store->limits, call, now, &verdict));
    on_verdict(arg, &verdict);
}

void store_fits(struct store *store, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    if (store->backend->fits)
        store->backend->fits(store, call, now, verdict);
    else
        tell(store, limits_fits(store->limits, call, now, verdict));
}

void store_settle(struct store *store, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now)
{
    if (store->backend->settle)
        store->backend->settle(store, reservation, amounts, count, now);
    else
        tell(store, limits_settle(store->limits, reservation, amounts, count, now));
}

bool store_name_limit(struct store_limit *limit, char *room, size_t size)
{
    return limits_name(limit, room, size);
}

int64_t store_used(struct store *store, const struct store_limit *limit, int64_t now, int64_t *window_end)
{
    if (store->backend->used)
        return store->backend->used(store, limit, now, window_end);
    return limits_used(store->limits, limit, now, window_end);
}

int64_t store_exhaust(struct store *store, const char *target, int64_t until, const char *reason, int64_t now)
{
    until = marks_exhaust(store->marks, target, until, reason, now);
    tell(store, true);
    return until;
}

int64_t store_exhausted(struct store *store, const char *target, int64_t now, char *reason, size_t size)
{
    return marks_exhausted(store->marks, target, now, reason, size);
}

void store_recovered(struct store *store, const char *target)
{
    tell(store, marks_recovered(store->marks, target));
}

bool store_pardon(struct store *store, const char *target, int64_t now)
{
    bool was_out = marks_pardon(store->marks, target, now);

    tell(store, was_out);
    return was_out;
}

void store_learn(struct store *store, const struct store_learnt *learnt)
{
    tell(store, limits_learn(store->limits, learnt));
}

void store_each_learnt(struct store *store, const char *provider, void (*each)(void *arg, const struct store_learnt *),
                       void *arg)
{
    limits_each_learnt(store->limits, provider, each, arg);
}

bool store_key_add(struct store *store, const struct store_key *key, const struct store_home *home,
                   void (*on_saved)(void *arg, bool saved), void *arg)
{
    struct store_key complete = *key;

    if (!complete.settings)
        complete.settings = "{}";
    complete.prefix[sizeof complete.prefix - 1] = '\0';
    if (!keys_add(store->keys, &complete))
        return false;
    store->backend->keep_key(store, &complete, answer_of(home, on_saved, arg));
    return true;
}

char *store_key_find(struct store *store, const unsigned char hash[static STORE_HASH])
{
    return keys_find(store->keys, hash);
}

void store_each_key(struct store *store, void (*each)(void *arg, const struct store_key *), void *arg)
{
    keys_each(store->keys, each, arg);
}

size_t store_key_revoke(struct store *store, const char *prefix, int64_t now, const struct store_home *home,
                        void (*on_saved)(void *arg, bool saved), void *arg)
{
    struct store_key revoked;
    size_t count = keys_revoke(store->keys, prefix, now, &revoked);

    if (count == 1)
        store->backend->keep_key(store, &revoked, answer_of(home, on_saved, arg));
    return count;
}

uint64_t store_key_generation(struct store *store)
{
    return keys_generation(store->keys);
}

void store_import(struct store *store, const struct store_import *import, const struct store_home *home,
                  void (*on_saved)(void *arg, bool saved), void *arg)
{
    struct answer answer = answer_of(home, on_saved, arg);

    if (store->backend->keep_import) {
        store->backend->keep_import(store, import, answer);
        return;
    }
    imports_add(store->imports, import);
    answer_give(&answer, true);
}

bool store_each_source(struct store *store, void (*each)(void *arg, const struct store_import *), void *arg)
{
    if (store->backend->each_source)
        return store->backend->each_source(store, each, arg);
    imports_each_source(store->imports, each, arg);
    return true;
}

bool store_each_import(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                       void *arg)
{
    if (store->backend->each_import)
        return store->backend->each_import(store, since, each, arg);
    imports_each(store->imports, since, each, arg);
    return true;
}

void store_watch_imports(struct store *store, void (*on_import)(void *arg), void *arg)
{
    imports_watch(store->imports, on_import, arg);
}

void store_take_turn(struct store *store, const char *name, int64_t milliseconds,
                     void (*on_turn)(void *arg, const struct store_turn *turn), void *arg)
{
    if (store->backend->take_turn)
        store->backend->take_turn(store, name, milliseconds, on_turn, arg);
    else
        on_turn(arg, &(struct store_turn){ .is_ours = true, .told = "" });
}

void store_tell_turn(struct store *store, const char *name, int64_t milliseconds, const char *told)
{
    if (store->backend->tell_turn)
        store->backend->tell_turn(store, name, milliseconds, told);
}

void store_row_open(struct store *store, const struct ledger_row *row, char row_id[static ID_LENGTH + 1])
{
    struct ledger_row named = *row;

    id_make(row_id);
    named.row_id = row_id;
    store->backend->open_row(store, &named);
}

void store_row_close(struct store *store, const struct ledger_row *row, const struct store_home *home,
                     void (*on_committed)(void *arg, bool committed), void *arg)
{
    struct ledger_row named = *row;
    char row_id[ID_LENGTH + 1];

    if (!row->row_id || !*row->row_id) {
        id_make(row_id);
        named.row_id = row_id;
    }
    store->backend->close_row(store, &named, answer_of(home, on_committed, arg));
}

void store_row_forget(struct store *store, const char *row_id)
{
    store->backend->forget_row(store, row_id);
}

void store_row_find(struct store *store, const char *request_id, const struct store_home *home,
                    void (*on_row)(void *arg, const struct ledger_row *row), void *arg)
{
    struct row_answer answer = { .on_row = on_row, .arg = arg };

    if (home)
        answer.home = *home;
    store->backend->find_row(store, request_id, &answer);
}

int store_each_row(struct store *store, struct store_place *place, int64_t until, int count,
                   void (*each)(void *arg, const struct ledger_row *row), void *arg)
{
    struct row *rows[PAGE_ROWS];
    int got = store->backend->read_rows(store, place, until, count < PAGE_ROWS ? count : PAGE_ROWS, rows);

    for (int i = 0; i < got; i++) {
        each(arg, row_fields(rows[i]));
        row_drop(rows[i]);
    }
    return got;
}

void store_keep_rows(struct store *store, int64_t days)
{
    store->keep_days = days;
    store->backend->changed(store);
}

struct usage *store_usage_now(struct store *store, const struct store_usage_query *query)
{
    struct usage *usage = usage_new(query);

    if (usage_read(usage, store))
        return usage;
    usage_free(usage);
    return NULL;
}

void store_usage(struct store *store, const struct store_usage_query *query, const struct store_home *home,
                 void (*on_usage)(void *arg, const struct usage *usage), void *arg)
{
    usage_thread_ask(store->usage, usage_new(query), home, on_usage, arg);
}
