/*
 * store.h - the one contract for what must be exact and what must last:
 * counters, reservations, exhaustion marks, learnt limits, keys, imported
 * models, the ledger. Backends: memory.c, sqlite.c, redis.c.
 *
 * Any thread may call; a call never waits for a disk or a network. Answers that
 * have to wait come back through a home, or through the loop that a thread has
 * joined with: on the thread that asked. Money is in micro-dollars, times are
 * unix milliseconds, both integers.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/zone.h"

struct loop;
struct store;

/* Where an answer is delivered: post runs on_call(arg) on the asker's thread. Without a home it may be any thread. */
struct store_home {
    void (*post)(void *loop, void (*on_call)(void *arg), void *arg);
    void *loop;
};

/*
 * "memory:", "sqlite:PATH" or "redis://[:password@]host:port/db". NULL with a sentence in error: what is wrong and what
 * to do.
 */
struct store *store_open(const char *address, char *error, size_t error_size);
/*
 * For reading beside a gateway that runs, or without one: writes nothing and takes no lock. Only store_each_row,
 * store_usage_now, store_each_source, store_each_import, store_close and, when something could not be read,
 * store_problem may be called of it.
 */
struct store *store_open_reader(const char *address, char *error, size_t error_size);
/*
 * For keys and imports alone: only store_key_add, store_key_revoke, store_each_key, store_import, store_problem after
 * it failed, and store_close may be called of it, and those may wait. sqlite: only while no gateway runs.
 */
struct store *store_open_keys(const char *address, char *error, size_t error_size);
/*
 * As store_open, in a process that takes over from another one, which has answered store_hand_over with the other end
 * of the socket: what that one finishes is kept here. The socket is the store's from now on.
 */
struct store *store_open_after(const char *address, int predecessor, char *error, size_t error_size);
/*
 * Another process is to have the store: all is written, and what ends here from now on told to it. The socket is the
 * store's if this succeeds. False with a sentence: all is as before. Blocks while it writes.
 */
bool store_hand_over(struct store *store, int socket, char *error, size_t error_size);
/* That process never began to serve. */
void store_take_back(struct store *store);
/* Whether the process before still has something to tell. */
bool store_inherits(struct store *store);
/* Writes everything out first. Every thread that joined has left by then. */
void store_close(struct store *store);
/*
 * A thread that reserves joins with its loop before the loop runs, and leaves before the loop is freed: verdicts that
 * are still awaited come then, before this returns. A thread may join several stores.
 */
void store_join(struct store *store, struct loop *loop);
void store_leave(struct store *store);
/* NULL when all is well, else a sentence for /ready (disk full, ...), valid until the next call on this thread. */
const char *store_problem(struct store *store);
/*
 * NULL unless rows cannot be written now, so that what is begun could not be billed for certain; else why, valid until
 * the next call on this thread. Cheap enough to be asked before every call.
 */
const char *store_refuses(struct store *store);

/* ---- limits: reserve before a call, settle after it ---- */

struct store_limit {
    const char *key; /* "provider:groq:requests", "key:7f3a:tokens": names the counter; the window is part of it too */
    enum window window;
    bool sliding;            /* the last so many seconds instead of the calendar's window */
    const struct zone *zone; /* for day, week, month; NULL is UTC */
    int64_t max;             /* INT64_MAX: counted, never refused */
    bool strict;             /* money: with nobody to ask, refused rather than guessed */
    /* What finds its counter, where it was worked out beforehand (store_name_limit); zeros: each time anew. */
    const char *name;
    size_t name_length;
    uint64_t name_code;
};

struct store_claim {
    struct store_limit limit;
    int64_t amount;
};

/*
 * For a limit that is asked for again and again: works out what finds its counter, into room, which has to last as long
 * as the limit. False: it does not fit, and all is as before.
 */
bool store_name_limit(struct store_limit *limit, char *room, size_t size);

/* What one upstream call draws on. */
struct store_call {
    const struct store_claim *claims;
    size_t claim_count;
    const char *provider; /* whose learnt limits count too; NULL: none */
    const char *model;
    int64_t tokens; /* estimate drawn from learnt token limits; one request is drawn from learnt request limits */
};

struct store_verdict {
    bool granted;
    uint64_t reservation; /* to be settled exactly once */
    char blocked[160];    /* not granted: "provider:groq:requests minute" */
    int64_t wait_ms;      /* until that limit has room, 0 if unknown */
    bool away;            /* decided without the other gateways: Redis is away */
};

/*
 * All or nothing. The verdict comes exactly once: before this returns (memory and sqlite, always), or later on this
 * thread, within a few tens of milliseconds. It is valid inside on_verdict; the call need not outlive store_reserve.
 */
void store_reserve(struct store *store, const struct store_call *call, int64_t now,
                   void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg);
/* What store_reserve would say now, taking nothing. */
void store_fits(struct store *store, const struct store_call *call, int64_t now, struct store_verdict *verdict);
/*
 * The real amounts, in the order of the claims; zeros give everything back. A second settle is ignored, and an amount
 * that is not given is the reserved one. If a window is over by then, the present one is charged only what was used
 * beyond the reserved amount.
 */
void store_settle(struct store *store, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now);
/*
 * What is used of a limit now, reservations included. window_end (may be NULL): when the window ends; of a sliding one,
 * when the first amount in it drops out (now if there is none).
 */
int64_t store_used(struct store *store, const struct store_limit *limit, int64_t now, int64_t *window_end);

/* ---- exhaustion: a target (provider or provider/model) that said "no more" ---- */

/*
 * until 0: not told, so 60 s, doubling each time it repeats after that wait (an hour at most). An expiry is only ever
 * raised. Returns it.
 */
int64_t store_exhaust(struct store *store, const char *target, int64_t until, const char *reason, int64_t now);
/* When the target may be tried again; 0: now. reason (may be NULL) gets up to size bytes. */
int64_t store_exhausted(struct store *store, const char *target, int64_t now, char *reason, size_t size);
/* It answered: the doubling starts over. */
void store_recovered(struct store *store, const char *target);
/* An operator says that it may be called again. True: it was out. */
bool store_pardon(struct store *store, const char *target, int64_t now);

/* ---- what providers told of their limits ---- */

struct store_learnt {
    char provider[64];
    char model[128];   /* "" : the provider as a whole */
    char metric[24];   /* requests, tokens, input_tokens, ... */
    char window[12];   /* minute, day, unknown, ... */
    char source[12];   /* header, checker, error, probe: see learnt.h */
    int64_t limit;     /* -1: unknown */
    int64_t remaining; /* -1: unknown; counted down by reservations until the next word of the provider */
    int64_t reset_at;  /* 0: unknown */
    int64_t seen_at;
};

void store_learn(struct store *store, const struct store_learnt *learnt);
/* Every one of that provider (NULL: of all). each runs under the store's lock: copy and return. */
void store_each_learnt(struct store *store, const char *provider, void (*each)(void *arg, const struct store_learnt *),
                       void *arg);

/* ---- keys ---- */

enum { STORE_HASH = 32 };

struct store_key {
    char prefix[24];                /* "mg-3f9c2a": shown, finds it for people */
    unsigned char hash[STORE_HASH]; /* SHA-256 of the whole key */
    const char *settings;           /* JSON object: name, org, tier, models, rpm, budget, policy, ... */
    int64_t created;
    int64_t revoked; /* 0: in force */
};

/*
 * False if there is such a prefix or hash already; no answer comes then. home and on_saved (may be NULL): when it is on
 * the disk.
 */
bool store_key_add(struct store *store, const struct store_key *key, const struct store_home *home,
                   void (*on_saved)(void *arg, bool saved), void *arg);
/* The settings of the unrevoked key with this hash as a new string; NULL if there is none. */
char *store_key_find(struct store *store, const unsigned char hash[static STORE_HASH]);
void store_each_key(struct store *store, void (*each)(void *arg, const struct store_key *), void *arg);
/* How many keys begin with prefix and were in force; only if it is exactly one, it is revoked, and an answer comes. */
size_t store_key_revoke(struct store *store, const char *prefix, int64_t now, const struct store_home *home,
                        void (*on_saved)(void *arg, bool saved), void *arg);
/* Counts up whenever a key is added or revoked: what was looked up before is then stale. */
uint64_t store_key_generation(struct store *store);

/* ---- models that were imported, and what each import changed ---- */

struct store_import {
    const char *source;  /* "openrouter": its models take the place of those that it brought before */
    int64_t time;        /* when */
    const char *models;  /* as text, a line each; whoever imports knows what is in a line */
    const char *changes; /* the same; "" where nothing changed */
};

/* on_saved (may be NULL) when it is on the disk, or cannot be. The texts are copied. */
void store_import(struct store *store, const struct store_import *import, const struct store_home *home,
                  void (*on_saved)(void *arg, bool saved), void *arg);
/*
 * The models of every source there is, by name, without their changes; and every import since that time that changed
 * something, the oldest first, without its models. False: they cannot be read. Blocks: not for a loop's thread.
 */
bool store_each_source(struct store *store, void (*each)(void *arg, const struct store_import *), void *arg);
bool store_each_import(struct store *store, int64_t since, void (*each)(void *arg, const struct store_import *),
                       void *arg);
/*
 * on_import comes when another gateway's import has changed the models of a source, and at once if that was since the
 * store was opened; on any thread, under a lock: note it and return. NULL: it comes no more.
 */
void store_watch_imports(struct store *store, void (*on_import)(void *arg), void *arg);

/* ---- what one of several gateways does for all ---- */

struct store_turn {
    bool is_ours;
    const char *told; /* not ours: what was told last, "" if nothing; valid inside on_turn */
    int64_t wait_ms;  /* not ours: for how long the turn is taken */
};

/*
 * Whether it is our turn to do what name says; it is for so many milliseconds, and goes on if it is asked for
 * meanwhile. With nobody to ask (one gateway, or Redis is away) it always is. The answer comes exactly once, before
 * this returns or later on this thread.
 */
void store_take_turn(struct store *store, const char *name, int64_t milliseconds,
                     void (*on_turn)(void *arg, const struct store_turn *turn), void *arg);
/* What came of our turn, for the others; the turn stays ours for so many milliseconds. Not waited for. */
void store_tell_turn(struct store *store, const char *name, int64_t milliseconds, const char *told);

/* ---- the ledger: a row opened at admission, closed at the end ---- */

struct ledger_row {
    const char *row_id;     /* made by the store, one for each row; NULL or "": not opened */
    const char *request_id; /* may be the caller's own, so rows can share it */
    int64_t time;
    const char *org, *key, *label, *tier, *surface, *task, *policy, *provider, *model;
    const char *outcome; /* ok, error, cancelled, lost */
    int status;          /* HTTP status that the caller saw */
    int attempts;
    int64_t input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens;
    int64_t billed_tokens;
    int64_t cost_microusd;
    int64_t savings_microusd;
    bool estimated;
    int64_t latency_ms;
    const char *detail; /* JSON: attempts and explanation */
};

/*
 * Noted, not waited for. row_id is what the row that closes it names. After a crash the next start closes it as lost,
 * estimated.
 */
void store_row_open(struct store *store, const struct ledger_row *row, char row_id[static ID_LENGTH + 1]);
/*
 * Closes the row of that row_id, once; without a row_id it is a row of its own. on_committed comes when it is as safe
 * as the backend makes it (sqlite: synced; with ?sync=second, entered where a kill leaves it), which may be before this
 * returns. False: it is not on the disk, but waits in memory until it can be, if there is room.
 */
void store_row_close(struct store *store, const struct ledger_row *row, const struct store_home *home,
                     void (*on_committed)(void *arg, bool committed), void *arg);
/* That row, open or closed, is kept elsewhere: it is given up here, without a `lost` one in its place. sqlite only. */
void store_row_forget(struct store *store, const char *row_id);
/*
 * The row of that request id: of several the one opened last of those under way, else the one closed last. NULL if
 * there is none. It is valid inside on_row.
 */
void store_row_find(struct store *store, const char *request_id, const struct store_home *home,
                    void (*on_row)(void *arg, const struct ledger_row *row), void *arg);
/* Where a reading of the ledger stands: it begins as { since, 0 }. */
struct store_place {
    int64_t time, number;
};
/*
 * The next closed rows before until, in the order of their time: each gets up to count of them, with no lock held, and
 * the place moves behind them. How many there were, 0 at the end; -1 if the ledger cannot be read. Blocks: not for a
 * loop's thread.
 */
int store_each_row(struct store *store, struct store_place *place, int64_t until, int count,
                   void (*each)(void *arg, const struct ledger_row *row), void *arg);
/* Closed rows older than so many days go, a few at a time (sqlite and redis; memory keeps its newest rows). 0: none
 * goes. */
void store_keep_rows(struct store *store, int64_t days);

/* ---- usage: what closed rows add up to ---- */

enum store_by {
    STORE_BY_MODEL,
    STORE_BY_PROVIDER,
    STORE_BY_TASK,
    STORE_BY_KEY,
    STORE_BY_LABEL,
    STORE_BY_ORG,
    STORE_BY_TIER,
    STORE_BY_DAY,    /* in UTC, by when a request came */
    STORE_BY_REQUEST /* no groups: the rows themselves, without their detail, in the order of time */
};

struct store_usage_query {
    enum store_by by;
    int64_t from, to;         /* rows of from <= time < to */
    const char *org, *key;    /* rows of these alone; NULL: of all */
    int64_t most;             /* groups or rows; at least 1 */
    struct store_place after; /* by request: the rows behind it */
};

/* Read with the functions of usage.h. */
struct usage;

/* on_usage gets NULL if the ledger cannot be read; else what it gets is valid inside it. */
void store_usage(struct store *store, const struct store_usage_query *query, const struct store_home *home,
                 void (*on_usage)(void *arg, const struct usage *usage), void *arg);
/* The same at once, also of a store that is only read: to be freed with usage_free. Blocks: not for a loop's thread. */
struct usage *store_usage_now(struct store *store, const struct store_usage_query *query);

#endif
