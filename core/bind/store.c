/*
 * store.c - moongate.core.store: limits, exhaustion and learnt limits.
 * Times here are seconds, as everywhere in Lua; the store counts milliseconds.
 */
#include "bind/bind.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/zone.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "script/task.h"
#include "store/store.h"

enum { CLAIMS_MAX = 64, FIGURES = 5 };

static struct store *store_of(lua_State *L)
{
    return bind_worker(L)->gate->store;
}

static int64_t milliseconds(double seconds)
{
    return (int64_t)(seconds * 1000);
}

/* A claim as it was read: the limit, and which of a call's figures it takes (from 1; 0: none of them). */
struct prepared_claim {
    struct store_limit limit;
    unsigned place;
};

/* A list of claims, read: Lua's own strings, which it and its claims hold. */
struct prepared {
    const char *provider, *model; /* whose learnt limits count too; NULL: nobody's */
    size_t count;
    struct prepared_claim claims[];
};

struct store_limit bind_read_limit(lua_State *L, int index)
{
    struct store_limit limit = { 0 };
    const char *window, *zone;

    limit.key = bind_text(L, index, "key");
    window = bind_text(L, index, "window");
    zone = bind_text(L, index, "zone");
    if (!limit.key || !window || !window_parse(window, &limit.window))
        luaL_error(L, "a limit needs a key and a window");
    limit.sliding = bind_flag(L, index, "sliding");
    limit.zone = zone ? zone_find(zone) : NULL;
    limit.max = bind_integer(L, index, "max", INT64_MAX);
    limit.strict = bind_flag(L, index, "strict");
    return limit;
}

void bind_name_limit(lua_State *L, struct store_limit *limit)
{
    char room[256];

    if (!store_name_limit(limit, room, sizeof room)) {
        lua_pushnil(L);
        return;
    }
    lua_pushlstring(L, room, limit->name_length);
    limit->name = lua_tostring(L, -1);
}

/* A member that is there as long as the list is; NULL if there is none. */
static const char *held_text(lua_State *L, int list, const char *name)
{
    const char *text = bind_text(L, list, name);

    lua_pop(L, 1);
    return text;
}

/* What is kept at 0 of the table at index; NULL: nothing yet. The table goes on holding it. */
static const void *kept_at(lua_State *L, int index)
{
    const void *kept;

    lua_rawgeti(L, index, 0);
    kept = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return kept;
}

/* Reads the claim at index, and keeps what it read: it may be in many lists. */
static const struct prepared_claim *prepare_claim(lua_State *L, int index)
{
    struct prepared_claim *claim = lua_newuserdata(L, sizeof *claim);

    claim->limit = bind_read_limit(L, index);
    claim->place = (unsigned)bind_integer(L, index, "place", 0);
    luaL_argcheck(L, claim->place <= FIGURES, 1, "a claim takes one of five figures");
    lua_settop(L, index + 1);
    lua_createtable(L, 1, 0);
    bind_name_limit(L, &claim->limit);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    lua_rawseti(L, index, 0);
    return claim;
}

/* Reads the list of claims at index, and keeps what it read at 0 there. */
static const struct prepared *prepare(lua_State *L, int index)
{
    size_t count = lua_objlen(L, index);
    struct prepared *prepared;
    int top;

    luaL_argcheck(L, count <= CLAIMS_MAX, index, "at most 64 claims");
    luaL_checkstack(L, 10, "too many limits");
    prepared = lua_newuserdata(L, sizeof *prepared + count * sizeof *prepared->claims);
    *prepared = (struct prepared){ held_text(L, index, "provider"), held_text(L, index, "model"), count };
    top = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        const struct prepared_claim *claim;

        lua_rawgeti(L, index, (int)i + 1);
        luaL_argcheck(L, lua_istable(L, top + 1), index, "a claim is a table");
        claim = kept_at(L, top + 1);
        prepared->claims[i] = *(claim ? claim : prepare_claim(L, top + 1));
        lua_settop(L, top);
    }
    lua_rawseti(L, index, 0);
    return prepared;
}

/*
 * The claims at index: a list of { a limit's members, place }, with provider and model beside them where their word
 * counts. It is read once, and must not change.
 */
static const struct prepared *claims_at(lua_State *L, int index)
{
    const struct prepared *prepared;

    luaL_checktype(L, index, LUA_TTABLE);
    prepared = kept_at(L, index);
    return prepared ? prepared : prepare(L, index);
}

/* The figures of a call from first on: requests, those that were served, tokens, billed tokens, micro-dollars. */
static void read_figures(lua_State *L, int first, int64_t figures[static FIGURES + 1])
{
    figures[0] = 0; /* what takes none of them */
    for (int i = 0; i < FIGURES; i++)
        figures[i + 1] = bind_whole(lua_tonumber(L, first + i), 0);
}

/* The call that claims at 1 and the figures behind them tell of. */
static struct store_call read_call(lua_State *L, struct store_claim claims[static CLAIMS_MAX])
{
    const struct prepared *prepared = claims_at(L, 1);
    int64_t figures[FIGURES + 1];

    read_figures(L, 2, figures);
    for (size_t i = 0; i < prepared->count; i++)
        claims[i] = (struct store_claim){ prepared->claims[i].limit, figures[prepared->claims[i].place] };
    return (struct store_call){ .claims = claims,
                                .claim_count = prepared->count,
                                .provider = prepared->provider,
                                .model = prepared->model,
                                .tokens = figures[3] };
}

static int push_blocked(lua_State *L, const struct store_verdict *verdict)
{
    lua_pushnil(L);
    lua_pushstring(L, verdict->blocked);
    lua_pushnumber(L, (lua_Number)verdict->wait_ms / 1000);
    lua_pushboolean(L, verdict->away);
    return 4;
}

static int push_verdict(lua_State *L, const struct store_verdict *verdict)
{
    if (!verdict->granted)
        return push_blocked(L, verdict);
    /* A number in Lua holds 53 bits: the reservation travels as its bytes. */
    lua_pushlstring(L, (const char *)&verdict->reservation, sizeof verdict->reservation);
    return 1;
}

/* A reservation that is asked for. It may outlive its task: what is granted then goes back. */
struct asking {
    struct store *store;
    struct task *task; /* NULL: nobody waits */
    struct store_verdict verdict;
    bool is_asking; /* store_reserve has not returned */
    bool is_told;
};

static int push_asked(lua_State *L, void *arg)
{
    struct asking *asking = arg;

    return push_verdict(L, &asking->verdict);
}

static void on_verdict(void *arg, const struct store_verdict *verdict)
{
    static const int64_t nothing[CLAIMS_MAX];
    struct asking *asking = arg;

    asking->verdict = *verdict;
    asking->is_told = true;
    if (asking->is_asking)
        return;
    if (asking->task)
        task_wake(asking->task, push_asked, asking);
    else if (verdict->granted)
        store_settle(asking->store, verdict->reservation, nothing, CLAIMS_MAX, clock_recent_wall_ms());
    mem_free(asking);
}

static void on_cancel(void *arg)
{
    ((struct asking *)arg)->task = NULL;
}

/*
 * reserve(claims, requests, served, tokens, billed tokens, micro-dollars): a reservation; or nil, what blocks, seconds
 * until it does not (0 if unknown), and whether that was decided while Redis was away. Waits where the counters are
 * elsewhere.
 */
static int store_lua_reserve(lua_State *L)
{
    struct store_claim claims[CLAIMS_MAX];
    struct store_call call = read_call(L, claims);
    struct asking *asking = mem_zero(sizeof *asking);
    struct store_verdict verdict;

    asking->store = store_of(L);
    asking->is_asking = true;
    store_reserve(asking->store, &call, clock_recent_wall_ms(), on_verdict, asking);
    asking->is_asking = false;
    if (asking->is_told) {
        verdict = asking->verdict;
        mem_free(asking);
        return push_verdict(L, &verdict);
    }
    asking->task = task_here(L);
    return task_wait(L, on_cancel, asking);
}

/* fits(the same): true if it could be reserved now; or nil and the rest as reserve says it. Takes nothing. */
static int store_lua_fits(lua_State *L)
{
    struct store_claim claims[CLAIMS_MAX];
    struct store_call call = read_call(L, claims);
    struct store_verdict verdict = { 0 };

    store_fits(store_of(L), &call, clock_recent_wall_ms(), &verdict);
    if (!verdict.granted)
        return push_blocked(L, &verdict);
    lua_pushboolean(L, 1);
    return 1;
}

/* settle(reservation, claims, the real figures): what is not told is 0, so without any all is given back */
static int store_lua_settle(lua_State *L)
{
    int64_t amounts[CLAIMS_MAX], figures[FIGURES + 1];
    const struct prepared *prepared = claims_at(L, 2);
    uint64_t reservation;
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);

    luaL_argcheck(L, length == sizeof reservation, 1, "not a reservation");
    memcpy(&reservation, bytes, sizeof reservation);
    read_figures(L, 3, figures);
    for (size_t i = 0; i < prepared->count; i++)
        amounts[i] = figures[prepared->claims[i].place];
    store_settle(store_of(L), reservation, amounts, prepared->count, clock_recent_wall_ms());
    return 0;
}

static int push_used(lua_State *L, const struct store_limit *limit)
{
    int64_t now = clock_recent_wall_ms(), end = 0, used = store_used(store_of(L), limit, now, &end);

    lua_pushnumber(L, (lua_Number)used);
    lua_pushnumber(L, end > now ? (lua_Number)(end - now) / 1000 : 0);
    return 2;
}

/* used(limit): what is used of it, and seconds until its window ends */
static int store_lua_used(lua_State *L)
{
    struct store_limit limit;

    luaL_checktype(L, 1, LUA_TTABLE);
    limit = bind_read_limit(L, 1);
    return push_used(L, &limit);
}

static int read_used(lua_State *L)
{
    return push_used(L, lua_touserdata(L, lua_upvalueindex(2)));
}

/* reader(limit): a function that answers what used(limit) does, time and again. The limit is read once. */
static int store_lua_reader(lua_State *L)
{
    struct store_limit *limit;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    limit = lua_newuserdata(L, sizeof *limit);
    *limit = bind_read_limit(L, 1);
    lua_settop(L, 2);
    bind_name_limit(L, limit);
    lua_pushcclosure(L, read_used, 3); /* the limit's strings are held by the table and the name */
    return 1;
}

/* exhaust(target, seconds or nil, reason): seconds until it is tried again */
static int store_lua_exhaust(lua_State *L)
{
    int64_t now = clock_recent_wall_ms(), until = 0;
    const char *target = luaL_checkstring(L, 1);

    if (!lua_isnoneornil(L, 2))
        until = now + milliseconds(luaL_checknumber(L, 2));
    until = store_exhaust(store_of(L), target, until, luaL_optstring(L, 3, ""), now);
    lua_pushnumber(L, until > now ? (lua_Number)(until - now) / 1000 : 0);
    return 1;
}

/* exhausted(target): seconds left (0: usable) and the reason */
static int store_lua_exhausted(lua_State *L)
{
    int64_t now = clock_recent_wall_ms(), until;
    char reason[256] = "";

    until = store_exhausted(store_of(L), luaL_checkstring(L, 1), now, reason, sizeof reason);
    lua_pushnumber(L, until > now ? (lua_Number)(until - now) / 1000 : 0);
    lua_pushstring(L, reason);
    return 2;
}

static int store_lua_recovered(lua_State *L)
{
    store_recovered(store_of(L), luaL_checkstring(L, 1));
    return 0;
}

/* pardon(target): whether it was exhausted; it is not any more */
static int store_lua_pardon(lua_State *L)
{
    lua_pushboolean(L, store_pardon(store_of(L), luaL_checkstring(L, 1), clock_recent_wall_ms()));
    return 1;
}

static void copy_text(lua_State *L, const char *name, char *to, size_t size)
{
    const char *text = bind_text(L, 1, name);

    snprintf(to, size, "%s", text ? text : "");
    lua_pop(L, 1);
}

/* learn({ provider, model, metric, window, limit, remaining, reset_s, source }): nil members are unknown */
static int store_lua_learn(lua_State *L)
{
    struct store_learnt learnt = { 0 };
    double reset;

    luaL_checktype(L, 1, LUA_TTABLE);
    copy_text(L, "provider", learnt.provider, sizeof learnt.provider);
    copy_text(L, "model", learnt.model, sizeof learnt.model);
    copy_text(L, "metric", learnt.metric, sizeof learnt.metric);
    copy_text(L, "window", learnt.window, sizeof learnt.window);
    copy_text(L, "source", learnt.source, sizeof learnt.source);
    learnt.limit = bind_integer(L, 1, "limit", -1);
    learnt.remaining = bind_integer(L, 1, "remaining", -1);
    reset = bind_number(L, 1, "reset_s", -1);
    learnt.seen_at = clock_recent_wall_ms();
    learnt.reset_at = reset < 0 ? 0 : learnt.seen_at + milliseconds(reset);
    store_learn(store_of(L), &learnt);
    return 0;
}

struct learnt_list {
    struct store_learnt *items;
    size_t count, capacity;
};

static void add_learnt(void *arg, const struct store_learnt *learnt)
{
    struct learnt_list *list = arg;

    if (list->count < list->capacity)
        list->items[list->count] = *learnt;
    list->count++;
}

static void set_number(lua_State *L, const char *name, double number, bool known)
{
    if (!known)
        return;
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* learnt(provider or nil): an array in the shape that learn takes, and age_s */
static int store_lua_learnt(lua_State *L)
{
    struct learnt_list list = { 0 };
    const char *provider = luaL_optstring(L, 1, NULL);
    int64_t now = clock_recent_wall_ms();

    store_each_learnt(store_of(L), provider, add_learnt, &list);
    /* In memory of Lua's: what follows may raise where a policy has used up its own. */
    while (list.count > list.capacity) {
        list.capacity = list.count;
        list.items = lua_newuserdata(L, list.capacity * sizeof *list.items);
        list.count = 0;
        store_each_learnt(store_of(L), provider, add_learnt, &list);
    }
    lua_createtable(L, (int)list.count, 0);
    for (size_t i = 0; i < list.count; i++) {
        const struct store_learnt *learnt = &list.items[i];

        lua_createtable(L, 0, 9);
        set_text(L, "provider", learnt->provider);
        set_text(L, "model", learnt->model);
        set_text(L, "metric", learnt->metric);
        set_text(L, "window", learnt->window);
        set_text(L, "source", learnt->source);
        set_number(L, "limit", (double)learnt->limit, learnt->limit >= 0);
        set_number(L, "remaining", (double)learnt->remaining, learnt->remaining >= 0);
        set_number(L, "reset_s", learnt->reset_at > now ? (double)(learnt->reset_at - now) / 1000 : 0,
                   learnt->reset_at > 0);
        set_number(L, "age_s", (double)(now - learnt->seen_at) / 1000, true);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    { "exhaust", store_lua_exhaust }, { "exhausted", store_lua_exhausted }, { "fits", store_lua_fits },
    { "learn", store_lua_learn },     { "learnt", store_lua_learnt },       { "pardon", store_lua_pardon },
    { "reader", store_lua_reader },   { "recovered", store_lua_recovered }, { "reserve", store_lua_reserve },
    { "settle", store_lua_settle },   { "used", store_lua_used },           { NULL, NULL },
};

int bind_store_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
