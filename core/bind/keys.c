/*
 * keys.c - moongate.core.keys: callers' keys, by their hash. What changes one
 * waits until the change is safe. Times are unix seconds.
 */
#include "bind/bind.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"
#include "store/digest.h"
#include "store/store.h"

static struct store *store_of(lua_State *L)
{
    return bind_worker(L)->gate->store;
}

static void post(void *loop, void (*on_call)(void *), void *arg)
{
    loop_post(loop, on_call, arg);
}

/* random(count): so many bytes that nobody can guess, in hexadecimal digits */
static int keys_random(lua_State *L)
{
    unsigned char bytes[64];
    char digits[2 * sizeof bytes + 1];
    lua_Integer count = luaL_checkinteger(L, 1);

    luaL_argcheck(L, count > 0 && count <= (lua_Integer)sizeof bytes, 1, "1 to 64 bytes");
    id_random(bytes, (size_t)count);
    for (lua_Integer i = 0; i < count; i++)
        snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    lua_pushlstring(L, digits, 2 * (size_t)count);
    return 1;
}

/* hash(secret): SHA-256, 32 bytes */
static int keys_hash(lua_State *L)
{
    unsigned char hash[STORE_HASH];
    size_t length;
    const char *secret = luaL_checklstring(L, 1, &length);

    digest_sha256(secret, length, hash);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* find(hash): its settings as JSON text, or nil */
static int keys_find(lua_State *L)
{
    size_t length;
    const char *hash = luaL_checklstring(L, 1, &length);
    char *settings;

    luaL_argcheck(L, length == STORE_HASH, 1, "a SHA-256 has 32 bytes");
    settings = store_key_find(store_of(L), (const unsigned char *)hash);
    if (!settings)
        return 0;
    lua_pushstring(L, settings);
    mem_free(settings);
    return 1;
}

static int keys_generation(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)store_key_generation(store_of(L)));
    return 1;
}

/* A wait for the disk. It may outlive its task: then the answer is thrown away. */
struct saving {
    struct task *task; /* NULL: nobody waits any more */
    bool saved;
};

static int push_saved(lua_State *L, void *arg)
{
    lua_pushboolean(L, ((struct saving *)arg)->saved);
    return 1;
}

static void on_saved(void *arg, bool saved)
{
    struct saving *saving = arg;

    saving->saved = saved;
    if (saving->task)
        task_wake(saving->task, push_saved, saving);
    mem_free(saving);
}

static void on_cancel(void *arg)
{
    ((struct saving *)arg)->task = NULL;
}

/* add(prefix, hash, settings as JSON text): true once it is safe; nil if the prefix or key is there already */
static int keys_add(lua_State *L)
{
    struct store_home home = { post, bind_worker(L)->loop };
    struct store_key key = { 0 };
    struct saving *saving;
    struct task *task;
    size_t length;
    const char *hash = luaL_checklstring(L, 2, &length);

    snprintf(key.prefix, sizeof key.prefix, "%s", luaL_checkstring(L, 1));
    luaL_argcheck(L, length == STORE_HASH, 2, "a SHA-256 has 32 bytes");
    memcpy(key.hash, hash, STORE_HASH);
    key.settings = luaL_checkstring(L, 3);
    key.created = clock_wall_ms();
    task = task_here(L); /* may raise: before anything is taken */
    saving = mem_zero(sizeof *saving);
    saving->task = task;
    if (!store_key_add(store_of(L), &key, &home, on_saved, saving)) {
        mem_free(saving);
        return 0;
    }
    return task_wait(L, on_cancel, saving);
}

/* revoke(prefix): how many keys in force begin with it (revoked only if one), after it is safe */
static int keys_revoke(lua_State *L)
{
    struct store_home home = { post, bind_worker(L)->loop };
    const char *prefix = luaL_checkstring(L, 1);
    struct task *task = task_here(L);
    struct saving *saving = mem_zero(sizeof *saving);
    size_t count;

    saving->task = task;
    count = store_key_revoke(store_of(L), prefix, clock_wall_ms(), &home, on_saved, saving);
    if (count != 1) {
        mem_free(saving);
        lua_pushnumber(L, (lua_Number)count);
        return 1;
    }
    return task_wait(L, on_cancel, saving);
}

struct key_copy {
    char prefix[24];
    char *settings;
    int64_t created, revoked;
};

struct key_copies {
    struct key_copy *items;
    size_t count, capacity;
};

static void add_key(void *arg, const struct store_key *key)
{
    struct key_copies *list = arg;
    struct key_copy *copy;

    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->items = mem_resize(list->items, list->capacity * sizeof *list->items);
    }
    copy = &list->items[list->count++];
    memcpy(copy->prefix, key->prefix, sizeof copy->prefix);
    copy->settings = mem_text(key->settings);
    copy->created = key->created;
    copy->revoked = key->revoked;
}

void bind_push_keys(lua_State *L, struct store *store)
{
    struct key_copies list = { 0 };

    store_each_key(store, add_key, &list);
    lua_createtable(L, (int)list.count, 0);
    for (size_t i = 0; i < list.count; i++) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, list.items[i].prefix);
        lua_setfield(L, -2, "prefix");
        lua_pushstring(L, list.items[i].settings);
        lua_setfield(L, -2, "settings");
        lua_pushnumber(L, (lua_Number)list.items[i].created / 1000);
        lua_setfield(L, -2, "created");
        if (list.items[i].revoked > 0) {
            lua_pushnumber(L, (lua_Number)list.items[i].revoked / 1000);
            lua_setfield(L, -2, "revoked");
        }
        lua_rawseti(L, -2, (int)i + 1);
        mem_free(list.items[i].settings);
    }
    mem_free(list.items);
}

static int keys_all(lua_State *L)
{
    bind_push_keys(L, store_of(L));
    return 1;
}

static const luaL_Reg functions[] = {
    { "add", keys_add },   { "all", keys_all },       { "find", keys_find },     { "generation", keys_generation },
    { "hash", keys_hash }, { "random", keys_random }, { "revoke", keys_revoke }, { NULL, NULL },
};

int bind_keys_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
