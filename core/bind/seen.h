/*
 * seen.h - what a view has read of a target: a userdata of Lua's, which holds
 * still what it has read. gauge.c shows it to Lua, gauge_told.c reads what the
 * provider told, json_seen.c writes it down.
 */
#ifndef BIND_SEEN_H
#define BIND_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "store/store.h"

/* A limit's name as policies read it. It is Lua's, and there to stay. */
struct gauge_name {
    const char *text;
    int number; /* its place among all names, from 1; 0: no name */
};

struct gauge_limit {
    struct store_limit limit;
    struct gauge_name name;
    double max;
    bool is_documented;
};

/* What reads how a target stands. Its environment holds its strings. */
struct gauge {
    const char *type;
    int index;
    int told_room; /* so many words a reading has room for */
    const char *id, *provider, *model;
    size_t count;
    struct gauge_limit limits[];
};

/* What somebody has asked for. */
enum seen_part {
    SEEN_WAIT = 1,
    SEEN_HEALTH = 2,
    SEEN_COUNTS = 4,
    SEEN_TOLD = 8,
    SEEN_BALANCE = 16,
    SEEN_READ = SEEN_WAIT | SEEN_HEALTH | SEEN_COUNTS | SEEN_TOLD /* all that is read here */
};

/* What remains of a limit, as its provider told. */
struct seen_told {
    struct gauge_name name;
    double remains;
};

/* Its environment is its gauge's. */
struct seen {
    const char *type;
    struct gauge *gauge;
    unsigned parts;
    bool is_open, has_balance;
    double wait_s;     /* that it is exhausted for; 0: usable */
    char *why;         /* NULL: it is usable */
    double latency_ms; /* below 0: not known yet */
    double error_rate, open_s, balance;
    int64_t *counts; /* what is used of each limit, in their order */
    int told_room, told_count;
    struct seen_told told[];
};

extern const char gauge_type[]; /* of gauges */
struct gauge *gauge_at(lua_State *L, int index);
struct seen *seen_at(lua_State *L, int index);
/* Pushes one of the gauge at index. Whether it is exhausted is known at once: only who is needs room for the reason. */
struct seen *seen_push(lua_State *L, int index);
/*
 * The reading at index, once these parts of it have been read, if they had not been before; another one is put in its
 * place where what was told needs more room.
 */
struct seen *seen_need(lua_State *L, int index, unsigned parts);

/* Upvalues of every function of moongate.core.gauge: what words mean, and all names in the order of their numbers. */
enum { GAUGE_UP_WORDS = 1, GAUGE_UP_NAMES, GAUGE_UPS = 2 };

/* Leaves the working memory, and the names. */
void gauge_push_words(lua_State *L);
/* The name on top of the stack, which it takes. */
struct gauge_name gauge_name(lua_State *L);
/* Sets the function on top of the stack, see gauge.meaning; takes it. */
void gauge_set_meaning(lua_State *L);
/*
 * What remains of limits, as the gauge's provider told: how many there are, of which as many are written as there is
 * room for. Calls Lua where a word is new.
 */
int gauge_read_told(lua_State *L, const struct gauge *gauge, struct seen_told *told, int room);

#endif
