/*
 * lua.c - fuzz targets in Lua: FUZZ_SCRIPT returns a function of the input, which may raise nothing. They run in a
 * state as a worker has it. The lines it runs through are told to libFuzzer as counters, so that it knows what is new.
 */
#include "fuzz.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "bind/guard.h"
#include "bind/json.h"
#include "script/budget.h"
#include "script/vm.h"

#ifndef FUZZ_SCRIPT
#define FUZZ_SCRIPT "spec/fuzz/limits.lua"
#define FUZZ_WORD ""
#endif

enum { COUNTERS = 1 << 16 };

#ifdef FUZZ_COVERAGE
__attribute__((section("__libfuzzer_extra_counters")))
#endif
static uint8_t counters[COUNTERS];
static uint8_t seen[COUNTERS];

static struct vm *vm;
static int function;

static unsigned hash_of(const char *source)
{
    unsigned hash = 2166136261u;

    while (*source)
        hash = (hash ^ (unsigned char)*source++) * 16777619u;
    return hash;
}

static unsigned place_of(unsigned hash, int line)
{
    return (hash + (unsigned)line * 2654435761u) % COUNTERS;
}

static void on_line(lua_State *L, lua_Debug *now)
{
    /* Most lines follow one of their own file, whose name is one string for as long as the state lives. */
    static const char *last;
    static unsigned hash;
    unsigned place;

    lua_getinfo(L, "Sl", now);
    if (strncmp(now->source, "@lua/", 5) != 0)
        return;
    if (now->source != last)
        hash = hash_of(now->source);
    last = now->source;
    place = place_of(hash, now->currentline);
    seen[place] = 1;
    if (counters[place] < 255)
        counters[place]++;
}

/* fuzz_hook(): for scripts whose subject sets a hook of its own, and takes it away. */
static int set_hook(lua_State *L)
{
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    return 0;
}

static int with_trace(lua_State *L)
{
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

/* The lines of code of a loaded module, and how many of them were run. */
static void count_lines(lua_State *L, const struct vm_source *source, size_t *all, size_t *run)
{
    char path[256];

    snprintf(path, sizeof path, "@lua/%s.lua", source->name);
    for (char *dot = path; (dot = strchr(dot, '.')) && dot < path + strlen(path) - 4;)
        *dot = '/';
    lua_getglobal(L, "fuzz_lines");
    if (luaL_loadbuffer(L, source->text, source->length, path) != 0 || lua_pcall(L, 1, 1, 0) != 0) {
        lua_pop(L, 1);
        return;
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        (*all)++;
        *run += seen[place_of(hash_of(path), (int)lua_tointeger(L, -2))];
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void tell_coverage(void)
{
    lua_State *L = vm_state(vm);
    size_t all = 0, run = 0;

    lua_sethook(L, NULL, 0, 0);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    for (const struct vm_source *source = vm_sources; source->name; source++) {
        lua_getfield(L, -1, source->name);
        if (!lua_isnil(L, -1))
            count_lines(L, source, &all, &run);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    fprintf(stderr, "lua lines: %zu of %zu\n", run, all);
}

static void start(void)
{
    lua_State *L;

    budget_start();
    vm = vm_new(NULL);
    L = vm_state(vm);
    vm_preload(vm, "moongate.core.json", bind_json);
    vm_preload(vm, "moongate.core.guard", bind_guard);
    lua_register(L, "fuzz_hook", set_hook);
    lua_pushcfunction(L, with_trace);
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    if (luaL_dofile(L, "spec/fuzz/lines.lua") != 0 || luaL_loadfile(L, FUZZ_SCRIPT) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    lua_pushliteral(L, FUZZ_WORD);
    if (lua_pcall(L, 1, 1, 1) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_settop(L, 0);
    atexit(tell_coverage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L;

    if (!vm)
        start();
    L = vm_state(vm);
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    lua_pushcfunction(L, with_trace);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 1) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        fuzz_promise(false, "no input raises an error");
    }
    lua_settop(L, 0);
    return 0;
}
