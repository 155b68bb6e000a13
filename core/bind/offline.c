/*
 * offline.c - moongate.core.offline: the store of a gateway that is not
 * running, opened by a command (each call waits until the disk has it); and
 * the ledger of one that may be running, opened to be read.
 */
#include "bind/bind.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "bind/saving.h"
#include "store/store.h"
#include "store/usage.h"

static const char TYPE[] = "moongate.offline", READING[] = "moongate.reading";

enum { PAGE_ROWS = 200 };

static struct store *store_of(lua_State *L)
{
    struct store **handle = luaL_checkudata(L, 1, TYPE);

    if (!*handle)
        luaL_error(L, "this store is closed");
    return *handle;
}

/* There is no loop here: the store's own thread may run the answer. */
static void post(void *loop, void (*on_call)(void *), void *arg)
{
    (void)loop;
    on_call(arg);
}

static const struct store_home home = { post, NULL };

/* A handle on the store at the address, or nil and why not. */
static int push_store(lua_State *L, struct store *(*open)(const char *, char *, size_t), const char *type)
{
    const char *address = luaL_checkstring(L, 1);
    struct store **handle = lua_newuserdata(L, sizeof *handle);
    char error[512] = "";

    *handle = open(address, error, sizeof error);
    if (!*handle) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    luaL_getmetatable(L, type);
    lua_setmetatable(L, -2);
    return 1;
}

/* open(address): the keys of a store, or nil and why not */
static int offline_open(lua_State *L)
{
    return push_store(L, store_open_keys, TYPE);
}

/* add(prefix, hash, settings as JSON text): true, false if the disk refused it, nil if it is there already */
static int offline_add(lua_State *L)
{
    struct saving saving = SAVING_NEW;
    struct store *store = store_of(L);
    struct store_key key = { 0 };
    size_t length;
    const char *hash = luaL_checklstring(L, 3, &length);

    snprintf(key.prefix, sizeof key.prefix, "%s", luaL_checkstring(L, 2));
    luaL_argcheck(L, length == STORE_HASH, 3, "a SHA-256 has 32 bytes");
    memcpy(key.hash, hash, STORE_HASH);
    key.settings = luaL_checkstring(L, 4);
    key.created = clock_wall_ms();
    if (!store_key_add(store, &key, &home, saving_done, &saving))
        return 0;
    lua_pushboolean(L, saving_wait(&saving));
    return 1;
}

/* revoke(prefix): how many keys in force begin with it; revoked only if one. false if the disk refused it */
static int offline_revoke(lua_State *L)
{
    struct saving saving = SAVING_NEW;
    struct store *store = store_of(L);
    size_t count = store_key_revoke(store, luaL_checkstring(L, 2), clock_wall_ms(), &home, saving_done, &saving);

    if (count == 1 && !saving_wait(&saving))
        lua_pushboolean(L, 0);
    else
        lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int offline_all(lua_State *L)
{
    bind_push_keys(L, store_of(L));
    return 1;
}

static int offline_close(lua_State *L)
{
    struct store **handle = luaL_checkudata(L, 1, TYPE);

    if (*handle)
        store_close(*handle);
    *handle = NULL;
    return 0;
}

/* Whoever cannot wait is told that nothing is lost; then it ends as that signal ends anything. */
static void on_interrupt(int number)
{
    static const char words[] = "\nmoongate: interrupted before the end; nothing was changed\n";
    int skipped = isatty(STDERR_FILENO) ? 0 : 1; /* only a terminal has a line that is not ended */
    ssize_t written = write(STDERR_FILENO, words + skipped, sizeof words - 1 - (size_t)skipped);

    (void)written;
    raise(number); /* the default by now, for SA_RESETHAND */
}

static void explain_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND }, before;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        sigaction(SIGINT, &action, NULL);
}

/* read(address): the ledger of that store, beside its gateway or without; or nil and why not */
static int offline_read(lua_State *L)
{
    explain_interrupt();
    return push_store(L, store_open_reader, READING);
}

static int reading_close(lua_State *L)
{
    struct store **handle = luaL_checkudata(L, 1, READING);

    if (*handle)
        store_close(*handle);
    *handle = NULL;
    return 0;
}

/* A walk through the ledger: one page of it is there as a Lua table. */
struct walk {
    struct store_place place;
    int64_t until;
    int at, count;
};

struct page {
    lua_State *L;
    int table, count;
};

static void on_row(void *arg, const struct ledger_row *row)
{
    struct page *page = arg;

    bind_push_row(page->L, row);
    lua_rawseti(page->L, page->table, ++page->count);
}

/* Upvalues: the reading, the walk, its page. */
static int walk_next(lua_State *L)
{
    struct store **handle = lua_touserdata(L, lua_upvalueindex(1));
    struct walk *walk = lua_touserdata(L, lua_upvalueindex(2));
    struct page page = { L, 0, 0 };

    if (walk->at == walk->count) {
        if (!*handle)
            return luaL_error(L, "this ledger is closed");
        lua_createtable(L, PAGE_ROWS, 0);
        page.table = lua_gettop(L);
        walk->at = 0;
        walk->count = store_each_row(*handle, &walk->place, walk->until, PAGE_ROWS, on_row, &page);
        if (walk->count < 0) {
            const char *problem = store_problem(*handle);

            lua_pushstring(L, problem ? problem : "the ledger cannot be read; is its disk in order?");
            return lua_error(L);
        }
        lua_replace(L, lua_upvalueindex(3));
    }
    if (walk->at == walk->count)
        return 0;
    lua_rawgeti(L, lua_upvalueindex(3), ++walk->at);
    return 1;
}

/* rows(since, until): for row in reading:rows(since, until) do, oldest first; unix seconds, since <= row.time < until
 */
static int reading_rows(lua_State *L)
{
    struct store **handle = luaL_checkudata(L, 1, READING);
    lua_Number since = luaL_checknumber(L, 2), until = luaL_checknumber(L, 3);
    struct walk *walk;

    luaL_argcheck(L, *handle, 1, "this ledger is closed");
    lua_settop(L, 1);
    walk = lua_newuserdata(L, sizeof *walk);
    *walk = (struct walk){ { (int64_t)(since * 1000), 0 }, (int64_t)(until * 1000), 0, 0 };
    lua_pushnil(L);
    lua_pushcclosure(L, walk_next, 3);
    return 1;
}

/* usage(query): what bind_push_usage leaves; or nil and why not */
static int reading_usage(lua_State *L)
{
    struct store **handle = luaL_checkudata(L, 1, READING);
    struct store_usage_query query = bind_read_usage_query(L, 2);
    struct usage *usage;

    luaL_argcheck(L, *handle, 1, "this ledger is closed");
    usage = store_usage_now(*handle, &query);
    if (!usage) {
        const char *problem = store_problem(*handle);

        lua_pushnil(L);
        lua_pushstring(L, problem ? problem : "the ledger cannot be read; is its disk in order?");
        return 2;
    }
    bind_push_usage(L, usage);
    usage_free(usage);
    return 1;
}

static const luaL_Reg readings[] = {
    { "close", reading_close },
    { "rows", reading_rows },
    { "usage", reading_usage },
    { NULL, NULL },
};

static const luaL_Reg methods[] = {
    { "add", offline_add },       { "all", offline_all }, { "close", offline_close },
    { "revoke", offline_revoke }, { NULL, NULL },
};

/* progress(text): over the present line of a terminal on standard error, as far as it fits; false if it is none */
static int offline_progress(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    bool is_terminal = isatty(STDERR_FILENO);
    struct winsize size = { 0 };

    if (is_terminal) {
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
        fprintf(stderr, "\r%.*s\033[K", size.ws_col > 1 ? size.ws_col - 1 : 79, text);
        fflush(stderr);
    }
    lua_pushboolean(L, is_terminal);
    return 1;
}

/* columns(): how wide the terminal on standard output is; nil if it is none */
static int offline_columns(lua_State *L)
{
    struct winsize size = { 0 };

    if (!isatty(STDOUT_FILENO))
        return 0;
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    lua_pushinteger(L, size.ws_col > 0 ? size.ws_col : 80);
    return 1;
}

/* flush(): true once all that was printed is out; or nil and why it is not */
static int offline_flush(lua_State *L)
{
    bool had_failed = ferror(stdout);
    char words[128];

    if (fflush(stdout) == 0 && !had_failed) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "the output could not be written: %s", strerror_r(errno, words, sizeof words));
    return 2;
}

static const luaL_Reg functions[] = {
    { "columns", offline_columns },   { "flush", offline_flush }, { "open", offline_open },
    { "progress", offline_progress }, { "read", offline_read },   { NULL, NULL },
};

static void add_type(lua_State *L, const char *type, const luaL_Reg *type_methods, lua_CFunction close)
{
    luaL_newmetatable(L, type);
    lua_newtable(L);
    luaL_register(L, NULL, type_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int bind_offline_module(lua_State *L)
{
    add_type(L, TYPE, methods, offline_close);
    add_type(L, READING, readings, reading_close);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
