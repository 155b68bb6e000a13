/* affinity.c - moongate.core.affinity: which target served a conversation last. Conversations are named by a digest. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "gate/affinity.h"
#include "gate/gate.h"
#include "gate/worker.h"

static const char *check_digest(lua_State *L)
{
    size_t length;
    const char *digest = luaL_checklstring(L, 1, &length);

    luaL_argcheck(L, length >= sizeof(uint64_t), 1, "a digest has at least 8 bytes");
    return digest;
}

/* remember(digest, target) */
static int affinity_lua_remember(lua_State *L)
{
    const char *digest = check_digest(L);

    affinity_remember(bind_worker(L)->gate->affinity, digest, luaL_checkstring(L, 2), clock_recent_wall_ms());
    return 0;
}

/* recall(digest): the target, or nil */
static int affinity_lua_recall(lua_State *L)
{
    char target[AFFINITY_TARGET_SIZE];

    if (!affinity_recall(bind_worker(L)->gate->affinity, check_digest(L), clock_recent_wall_ms(), target))
        return 0;
    lua_pushstring(L, target);
    return 1;
}

static const luaL_Reg functions[] = {
    { "recall", affinity_lua_recall },
    { "remember", affinity_lua_remember },
    { NULL, NULL },
};

int bind_affinity_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
