/* health.c - moongate.core.health: circuit breakers, latency and error rate of targets, shared by all workers. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "gate/gate.h"
#include "gate/health.h"
#include "gate/worker.h"

static struct health *health_of(lua_State *L)
{
    return bind_worker(L)->gate->health;
}

/* admit(target): true if a call may begin; it must then be told how it went by one of the next three. */
static int health_lua_admit(lua_State *L)
{
    lua_pushboolean(L, health_admit(health_of(L), luaL_checkstring(L, 1), clock_recent_wall_ms()));
    return 1;
}

/* succeeded(target, milliseconds) */
static int health_lua_succeeded(lua_State *L)
{
    health_succeeded(health_of(L), luaL_checkstring(L, 1), luaL_checknumber(L, 2));
    return 0;
}

/* failed(target, failures, open_s): so many failures in a row open the breaker for so many seconds. */
static int health_lua_failed(lua_State *L)
{
    const char *target = luaL_checkstring(L, 1);
    int failures = (int)luaL_checkinteger(L, 2);

    health_failed(health_of(L), target, clock_recent_wall_ms(), failures, luaL_checknumber(L, 3));
    return 0;
}

static int health_lua_released(lua_State *L)
{
    health_released(health_of(L), luaL_checkstring(L, 1));
    return 0;
}

/* state(target): open, latency in ms or nil, error rate, seconds until an open breaker lets one through */
static int health_lua_state(lua_State *L)
{
    int64_t now = clock_recent_wall_ms();
    struct health_state state = health_state(health_of(L), luaL_checkstring(L, 1), now);

    lua_pushboolean(L, state.open);
    if (state.latency_ms < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, state.latency_ms);
    lua_pushnumber(L, state.error_rate);
    lua_pushnumber(L, state.open_until > now ? (lua_Number)(state.open_until - now) / 1000 : 0);
    return 4;
}

static const luaL_Reg functions[] = {
    { "admit", health_lua_admit },       { "succeeded", health_lua_succeeded }, { "failed", health_lua_failed },
    { "released", health_lua_released }, { "state", health_lua_state },         { NULL, NULL },
};

int bind_health_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
