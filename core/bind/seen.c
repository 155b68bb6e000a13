/* seen.c - see seen.h. Read through the store and the health of the worker's gate. */
#include "bind/seen.h"

#include <math.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "bind/bind.h"
#include "gate/gate.h"
#include "gate/health.h"
#include "gate/worker.h"

enum { WHY_SIZE = 256 };

const char gauge_type[] = "moongate.gauge";
static const char TYPE[] = "moongate.seen";

/* A block of this kind at index: what it holds besides differs from one to the next. */
static void *block_at(lua_State *L, int index, const char *type, size_t least)
{
    void *block = lua_touserdata(L, index);

    if (!block || lua_objlen(L, index) < least || *(const char *const *)block != type)
        luaL_typerror(L, index, type);
    return block;
}

struct gauge *gauge_at(lua_State *L, int index)
{
    return block_at(L, index, gauge_type, sizeof(struct gauge));
}

struct seen *seen_at(lua_State *L, int index)
{
    return block_at(L, index, TYPE, sizeof(struct seen));
}

/* The seconds that the target or its provider is exhausted for, whichever waits longer, and why. */
static double read_wait(struct store *store, const struct gauge *gauge, int64_t now, char why[static WHY_SIZE])
{
    char other[WHY_SIZE];
    int64_t until = store_exhausted(store, gauge->id, now, why, WHY_SIZE);
    int64_t all = store_exhausted(store, gauge->provider, now, other, sizeof other);

    if (all > until) {
        until = all;
        memcpy(why, other, sizeof other);
    }
    return until > now ? (double)(until - now) / 1000 : 0;
}

/* Pushes one of which nothing has been read. environment: of its gauge or another reading. */
static struct seen *push_empty(lua_State *L, int environment, struct gauge *gauge, size_t why_size)
{
    size_t told = (size_t)gauge->told_room * sizeof(struct seen_told), counts = gauge->count * sizeof(int64_t);
    struct seen *seen = lua_newuserdata(L, sizeof *seen + told + counts + why_size);
    char *behind = (char *)seen->told + told;

    *seen = (struct seen){ .type = TYPE, .gauge = gauge, .told_room = gauge->told_room };
    seen->counts = (int64_t *)(void *)behind;
    seen->why = why_size ? behind + counts : NULL;
    lua_getfenv(L, environment);
    lua_setfenv(L, -2);
    return seen;
}

struct seen *seen_push(lua_State *L, int index)
{
    struct gauge *gauge = gauge_at(L, index);
    char why[WHY_SIZE];
    double wait_s = read_wait(bind_worker(L)->gate->store, gauge, clock_recent_wall_ms(), why);
    struct seen *seen = push_empty(L, index, gauge, wait_s > 0 ? strlen(why) + 1 : 0);

    seen->wait_s = wait_s;
    if (seen->why)
        memcpy(seen->why, why, strlen(why) + 1);
    return seen;
}

/* In few digits: what is recorded of a decision is what was seen, to the bit. */
static double rounded(double value, int places)
{
    return floor(value * places + 0.5) / places;
}

static void read_health(lua_State *L, struct seen *seen)
{
    int64_t now = clock_recent_wall_ms();
    struct health_state state = health_state(bind_worker(L)->gate->health, seen->gauge->id, now);

    seen->is_open = state.open;
    seen->latency_ms = state.latency_ms < 0 ? -1 : rounded(state.latency_ms, 100);
    seen->error_rate = rounded(state.error_rate, 10000);
    seen->open_s = state.open_until > now ? (double)(state.open_until - now) / 1000 : 0;
}

static void read_counts(lua_State *L, struct seen *seen)
{
    struct store *store = bind_worker(L)->gate->store;
    int64_t now = clock_recent_wall_ms();

    for (size_t i = 0; i < seen->gauge->count; i++)
        seen->counts[i] = store_used(store, &seen->gauge->limits[i].limit, now, NULL);
}

/* What has been read, into one that has more room. */
static void copy_seen(struct seen *to, const struct seen *from)
{
    struct seen own = *to;

    *to = *from;
    to->counts = own.counts;
    to->why = own.why;
    to->told_room = own.told_room;
    memcpy(to->counts, from->counts, from->gauge->count * sizeof *to->counts);
    if (to->why)
        memcpy(to->why, from->why, strlen(from->why) + 1);
}

/* The reading at index; another one is put in its place where what was told needs more room. */
static struct seen *need_told(lua_State *L, int index)
{
    struct seen *seen = seen_at(L, index), *larger;
    struct gauge *gauge = seen->gauge;

    while (!(seen->parts & SEEN_TOLD)) {
        int count = gauge_read_told(L, gauge, seen->told, seen->told_room);

        if (count <= seen->told_room) {
            seen->told_count = count;
            seen->parts |= SEEN_TOLD;
            break;
        }
        if (gauge->told_room < count)
            gauge->told_room = count;
        larger = push_empty(L, index, gauge, seen->why ? strlen(seen->why) + 1 : 0);
        copy_seen(larger, seen);
        seen = larger;
        lua_replace(L, index);
    }
    return seen;
}

struct seen *seen_need(lua_State *L, int index, unsigned parts)
{
    struct seen *seen = parts & SEEN_TOLD ? need_told(L, index) : seen_at(L, index);
    unsigned missing = parts & ~seen->parts;

    if (missing & SEEN_HEALTH)
        read_health(L, seen);
    if (missing & SEEN_COUNTS)
        read_counts(L, seen);
    seen->parts |= parts;
    return seen;
}
