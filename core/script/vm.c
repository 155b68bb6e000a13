/*
 * vm.c - see vm.h. Library Lua and policies share one state; what policies may
 * reach of it is lua/moongate/sandbox.lua's business, but for two things made
 * here: `require` sees no file system, and the library functions that could run
 * long are those of strings.h.
 */
#include "script/vm.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/heap.h"
#include "script/strings.h"

/* Running out of memory ends the program in mem.c; the ceiling of a guarded call lies around the heap, in budget.c. */
struct vm {
    struct heap heap; /* first: whose it is */
    lua_State *L;
    void *owner;
};

static const char vm_key;

/* Which one a thread asked for last: everything bound to Lua asks, and a worker has but one. */
static _Thread_local struct {
    const void *registry;
    struct vm *vm;
} last;

static int on_panic(lua_State *L)
{
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);

    fprintf(stderr, "moongate: a Lua error outside of any protected call: %s\n", message);
    abort();
}

/* The only searcher behind package.preload: what is embedded. Policies are embedded too, but are no modules. */
static int find_embedded(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct vm_source *source;
    const char *path;

    for (source = vm_sources; source->name; source++)
        if (strcmp(source->name, name) == 0 && !strchr(name, '/'))
            break;
    if (!source->name) {
        lua_pushfstring(L, "\n\tno module '%s' in this program", name);
        return 1;
    }
    luaL_gsub(L, name, ".", "/");
    path = lua_pushfstring(L, "@lua/%s.lua", lua_tostring(L, -1));
    if (luaL_loadbufferx(L, source->text, source->length, path, "t") != 0)
        return lua_error(L);
    return 1;
}

static void restrict_require(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");
    lua_pushcfunction(L, find_embedded);
    lua_rawseti(L, -2, 2);
    for (int i = 3; i <= 4; i++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, i);
    }
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pushnil(L);
    lua_setfield(L, -2, "loadlib");
    lua_pop(L, 1);
}

/* Every state begins with the same seed otherwise: all workers would draw the same "random" provider. */
static void seed_random(lua_State *L)
{
    uint64_t seed;

    id_random(&seed, sizeof seed);
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushnumber(L, (lua_Number)(seed >> 11));
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

/*
 * A round of the collector looks at all that is alive, however little is not: it begins when there is as much garbage,
 * or GARBAGE_KB, whichever is more, but no more than three times as much.
 */
enum { GARBAGE_KB = 16 * 1024, SHARE_LEAST = 100, SHARE_MOST = 300 };

/* Makes something that nobody holds, with the metatable on top, which it takes: the next round ends with it. */
static void watch_round(lua_State *L)
{
    lua_newuserdata(L, 1);
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* The collector's last step of a round: what there is now is alive, and the next round is arranged by that. */
static int on_round(lua_State *L)
{
    int share = GARBAGE_KB / (lua_gc(L, LUA_GCCOUNT, 0) / 100 + 1);

    if (share < SHARE_LEAST)
        share = SHARE_LEAST;
    lua_gc(L, LUA_GCSETPAUSE, 100 + (share > SHARE_MOST ? SHARE_MOST : share));
    lua_getmetatable(L, 1);
    watch_round(L);
    return 0;
}

/* The collector goes at half its usual pace: as much work in all, but the requests that meet it pay half as much each.
 */
static void spread_collection(lua_State *L)
{
    lua_gc(L, LUA_GCSETSTEPMUL, 100);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, on_round);
    lua_setfield(L, -2, "__gc");
    watch_round(L);
}

struct vm *vm_new(void *owner)
{
    struct vm *vm = mem_zero(sizeof *vm);
    lua_State *L = lua_newstate(heap_resize, &vm->heap);

    if (!L) {
        fputs("moongate: no Lua state\n", stderr);
        abort();
    }
    vm->L = L;
    vm->owner = owner;
    lua_atpanic(L, on_panic);
    lua_pushlightuserdata(L, (void *)&vm_key);
    lua_pushlightuserdata(L, vm);
    lua_rawset(L, LUA_REGISTRYINDEX);
    luaL_openlibs(L);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    spread_collection(L);
    restrict_require(L);
    seed_random(L);
    strings_protect(L);
    tables_protect(L);
    lua_settop(L, 0);
    return vm;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    lua_close(vm->L);
    last.registry = NULL;
    heap_free(&vm->heap);
    mem_free(vm);
}

lua_State *vm_state(struct vm *vm)
{
    return vm->L;
}

struct vm *vm_of(lua_State *L)
{
    void *heap;
    const void *registry;

    /* Within a guarded call, and in a state that is none of ours, somebody else allocates. */
    if (lua_getallocf(L, &heap) == heap_resize)
        return heap;
    registry = lua_topointer(L, LUA_REGISTRYINDEX);
    if (last.registry == registry)
        return last.vm;
    lua_pushlightuserdata(L, (void *)&vm_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    last.vm = lua_touserdata(L, -1);
    last.registry = registry;
    lua_pop(L, 1);
    return last.vm;
}

void *vm_owner(lua_State *L)
{
    return vm_of(L)->owner;
}

void vm_preload(struct vm *vm, const char *module, lua_CFunction open)
{
    lua_State *L = vm->L;

    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, module);
    lua_pop(L, 2);
}

static bool system_allows_code;

/* As LuaJIT does it: written, then executed, never both at once. Where that is forbidden, LuaJIT ends the program. */
static void try_code(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    system_allows_code = mprotect(page, size, PROT_READ | PROT_EXEC) == 0;
    munmap(page, size);
    if (!system_allows_code)
        log_line(LOG_INFO, "Lua is interpreted: nothing may be executed here that was written", NULL);
}

bool vm_compile(struct vm *vm, bool wanted)
{
    static pthread_once_t tried = PTHREAD_ONCE_INIT;

    if (wanted)
        pthread_once(&tried, try_code);
    wanted = wanted && system_allows_code;
    luaJIT_setmode(vm->L, 0, LUAJIT_MODE_ENGINE | (wanted ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
    if (!wanted)
        luaJIT_setmode(vm->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    return wanted;
}

size_t vm_bytes(const struct vm *vm)
{
    return vm->heap.bytes;
}
