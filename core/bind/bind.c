/*
 * bind.c - the table of contents of what Lua can call, the small readers that
 * all of it uses, and the gate's way into Lua (bind_script).
 */
#include "bind/bind.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

#include "base/headers.h"
#include "base/log.h"
#include "base/mem.h"
#include "bind/guard.h"
#include "bind/json.h"
#include "bind/limit_headers.h"
#include "bind/words.h"
#include "gate/exchange.h"
#include "gate/gate.h"
#include "gate/settings.h"
#include "gate/worker.h"
#include "script/policyset.h"
#include "script/vm.h"

static const struct {
    const char *name;
    lua_CFunction open;
} modules[] = {
    { "moongate.core.affinity", bind_affinity_module },
    { "moongate.core.attempt", bind_attempt_module },
    { "moongate.core.bulletin", bind_bulletin_module },
    { "moongate.core.clock", bind_clock_module },
    { "moongate.core.exchange", bind_exchange_module },
    { "moongate.core.gate", bind_gate_module },
    { "moongate.core.gauge", bind_gauge_module },
    { "moongate.core.guard", bind_guard },
    { "moongate.core.health", bind_health_module },
    { "moongate.core.http", bind_http_module },
    { "moongate.core.json", bind_json },
    { "moongate.core.keys", bind_keys_module },
    { "moongate.core.ledger", bind_ledger_module },
    { "moongate.core.limit_headers", bind_limit_headers },
    { "moongate.core.log", bind_log_module },
    { "moongate.core.metrics", bind_metrics_module },
    { "moongate.core.models", bind_models_module },
    { "moongate.core.offline", bind_offline_module },
    { "moongate.core.orders", bind_orders_module },
    { "moongate.core.pages", bind_pages_module },
    { "moongate.core.process", bind_process_module },
    { "moongate.core.sheet", bind_sheet_module },
    { "moongate.core.store", bind_store_module },
    { "moongate.core.terminal", bind_terminal_module },
    { "moongate.core.turns", bind_turns_module },
    { "moongate.core.usage", bind_usage_module },
    { "moongate.core.words", bind_words },
};

void bind_open(struct vm *vm)
{
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
        vm_preload(vm, modules[i].name, modules[i].open);
}

struct worker *bind_worker(lua_State *L)
{
    struct worker *worker = vm_owner(L);

    if (!worker)
        luaL_error(L, "only a serving gateway can do this");
    return worker;
}

void *bind_handle(lua_State *L, int index, const char *type, size_t size)
{
    void *block = lua_touserdata(L, index);

    /* A light userdata has no length. */
    if (!block || lua_objlen(L, index) != size || *(const char *const *)block != type)
        luaL_typerror(L, index, type);
    return block;
}

void bind_read_headers(lua_State *L, int index, struct headers *headers)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        size_t name_length, value_length;
        const char *value = lua_tolstring(L, -1, &value_length), *name;

        if (!value || lua_type(L, -2) != LUA_TSTRING) {
            headers_free(headers); /* the error would leak it */
            luaL_argerror(L, index, "headers are strings");
        }
        name = lua_tolstring(L, -2, &name_length);
        headers_add_bytes(headers, name, name_length, value, value_length);
        lua_pop(L, 1);
    }
}

void bind_push_headers(lua_State *L, const struct headers *headers)
{
    lua_newtable(L);
    for (size_t i = 0; i < headers->count; i++) {
        const char *name = headers->fields[i].name;
        luaL_Buffer lower;

        luaL_buffinit(L, &lower);
        for (const char *c = name; *c; c++)
            luaL_addchar(&lower, (char)tolower((unsigned char)*c));
        luaL_pushresult(&lower);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushstring(L, headers->fields[i].value);
        } else if (lua_isstring(L, -1)) {
            lua_createtable(L, 2, 0);
            lua_insert(L, -2);
            lua_rawseti(L, -2, 1);
            lua_pushstring(L, headers->fields[i].value);
            lua_rawseti(L, -2, 2);
        } else {
            lua_pushstring(L, headers->fields[i].value);
            lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
        }
        lua_rawset(L, -3);
    }
}

double bind_number(lua_State *L, int index, const char *name, double otherwise)
{
    double number;

    lua_getfield(L, index, name);
    number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return number;
}

long long bind_integer(lua_State *L, int index, const char *name, long long otherwise)
{
    return bind_whole(bind_number(L, index, name, (double)otherwise), otherwise);
}

long long bind_whole(double number, long long otherwise)
{
    /* Doubles past 2^53 are no exact integers; "unlimited" arrives here as infinity. */
    if (number != number)
        return otherwise;
    if (number >= 9007199254740992.0)
        return 9223372036854775807LL;
    if (number <= -9007199254740992.0)
        return -9007199254740992LL;
    return (long long)number;
}

bool bind_flag(lua_State *L, int index, const char *name)
{
    bool flag;

    lua_getfield(L, index, name);
    flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

const char *bind_text(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* Leaves function `name` of lua/moongate/gateway.lua. */
static void push_entry(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "moongate.gateway");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static bool call_entry(struct worker *worker, int arguments)
{
    lua_State *L = vm_state(worker->vm);

    if (lua_pcall(L, arguments, 0, 0) == 0)
        return true;
    log_line(LOG_ERROR, "the gateway's own script failed", "error", lua_tostring(L, -1), NULL);
    lua_pop(L, 1);
    return false;
}

static bool on_start(struct worker *worker)
{
    lua_State *L = vm_state(worker->vm);

    bind_open(worker->vm);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moongate.gateway");
    if (lua_pcall(L, 1, 1, 0) != 0) {
        log_line(LOG_ERROR, "the gateway's own script does not load", "error", lua_tostring(L, -1), NULL);
        lua_pop(L, 1);
        return false;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "moongate.gateway");
    return true;
}

static void on_settings(struct worker *worker, struct settings *settings)
{
    lua_State *L = vm_state(worker->vm);

    push_entry(L, "configure");
    lua_pushstring(L, settings->json);
    call_entry(worker, 1);
    if (settings->target_count > TARGETS_MANY) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        mem_trim();
    }
}

static void on_policies(struct worker *worker, struct policyset *policies)
{
    lua_State *L = vm_state(worker->vm);

    push_entry(L, "install");
    bind_push_policies(L, policies);
    call_entry(worker, 1);
}

static void on_request(struct exchange *exchange)
{
    lua_State *L = vm_state(exchange->worker->vm);

    push_entry(L, "serve");
    bind_push_exchange(L, exchange);
}

static void on_refused(struct exchange *exchange, int status, const char *message)
{
    lua_State *L = vm_state(exchange->worker->vm);

    push_entry(L, "refuse");
    bind_push_exchange(L, exchange);
    lua_pushinteger(L, status);
    lua_pushstring(L, message);
    call_entry(exchange->worker, 3);
}

const struct gate_script bind_script = {
    .on_start = on_start,
    .on_settings = on_settings,
    .on_policies = on_policies,
    .on_request = on_request,
    .on_refused = on_refused,
};
