/* bulletin.c - moongate.core.bulletin: what the workers tell those who look on. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gate/bulletin.h"
#include "gate/gate.h"
#include "gate/worker.h"

static struct bulletin *bulletin_of(lua_State *L)
{
    return bind_worker(L)->gate->bulletin;
}

/* watch(): true if this onlooker may stay; it must leave() then */
static int lua_watch(lua_State *L)
{
    lua_pushboolean(L, bulletin_watch(bulletin_of(L)));
    return 1;
}

static int lua_leave(lua_State *L)
{
    bulletin_leave(bulletin_of(L));
    return 0;
}

/* watchers(): how many look on */
static int lua_watchers(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)bulletin_watchers(bulletin_of(L)));
    return 1;
}

/* post(notice): a text without line breaks */
static int lua_post(lua_State *L)
{
    struct bulletin *bulletin = bulletin_of(L);

    bulletin_post(bulletin, mem_text(luaL_checkstring(L, 1)));
    return 0;
}

static void on_notice(void *arg, const char *notice)
{
    buf_add_text(arg, notice);
    buf_add_char(arg, '\n');
}

/* since(number): the newest number, and the notices behind that one, a line each */
static int lua_since(lua_State *L)
{
    struct bulletin *bulletin = bulletin_of(L);
    int64_t number = (int64_t)luaL_checknumber(L, 1);
    struct buf notices = { 0 };

    lua_pushnumber(L, (lua_Number)bulletin_since(bulletin, number, on_notice, &notices));
    lua_pushlstring(L, notices.data ? notices.data : "", notices.length);
    buf_free(&notices);
    return 2;
}

/* keep(note): this worker's note, a JSON array */
static int lua_keep(lua_State *L)
{
    struct worker *worker = bind_worker(L);

    bulletin_keep(worker->gate->bulletin, (size_t)worker->index, mem_text(luaL_checkstring(L, 1)));
    return 0;
}

/* kept(): the notes of all workers */
static int lua_kept(lua_State *L)
{
    struct gate *gate = bind_worker(L)->gate;

    lua_createtable(L, (int)gate->worker_count, 0);
    for (size_t i = 0; i < gate->worker_count; i++) {
        char *note = bulletin_kept(gate->bulletin, i);

        lua_pushstring(L, note);
        lua_rawseti(L, -2, (int)i + 1);
        mem_free(note);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    { "watch", lua_watch }, { "leave", lua_leave }, { "watchers", lua_watchers }, { "post", lua_post },
    { "since", lua_since }, { "keep", lua_keep },   { "kept", lua_kept },         { NULL, NULL },
};

int bind_bulletin_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
