/*
 * process.c - moongate.core.process: what start-up and commands need of the
 * machine. May block: it is for the control thread, never for a worker's tasks.
 */
#include "bind/bind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/zone.h"
#include "net/fetch.h"
#include "script/policyset.h"

enum { FILE_MAX = 4 * 1024 * 1024 };

/* env(name): the variable's value, or nil if it is unset or empty */
static int process_env(lua_State *L)
{
    const char *value = getenv(luaL_checkstring(L, 1));

    if (!value || !*value)
        return 0;
    lua_pushstring(L, value);
    return 1;
}

/* read(path, most): the file's text; or nil and why not. With most, only a file (no pipe) of so many bytes. */
static int process_read(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t most = (size_t)luaL_optnumber(L, 2, FILE_MAX), got;
    struct buf text = { 0 };
    struct stat about;
    FILE *file;

    if (!lua_isnoneornil(L, 2) && stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
        lua_pushnil(L);
        lua_pushliteral(L, "it is not a file");
        return 2;
    }
    file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &about) != 0 || S_ISDIR(about.st_mode)) {
        char words[128];
        const char *reason = file ? "it is a folder" : strerror_r(errno, words, sizeof words);

        if (file)
            fclose(file);
        lua_pushnil(L);
        lua_pushstring(L, reason);
        return 2;
    }
    do {
        buf_reserve(&text, 65536);
        got = fread(text.data + text.length, 1, 65536, file);
        text.length += got;
    } while (got > 0 && text.length <= most);
    fclose(file);
    if (text.length > most) {
        buf_free(&text);
        lua_pushnil(L);
        lua_pushfstring(L, "it is larger than %d MiB", (int)(most >> 20));
        return 2;
    }
    lua_pushlstring(L, text.data, text.length);
    buf_free(&text);
    return 1;
}

/* kind(path): "file", "folder", or nil */
static int process_kind(lua_State *L)
{
    struct stat about;

    if (stat(luaL_checkstring(L, 1), &about) != 0)
        return 0;
    lua_pushstring(L, S_ISDIR(about.st_mode) ? "folder" : "file");
    return 1;
}

/* processors(): how many this process may use */
static int process_processors(lua_State *L)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    lua_pushinteger(L, count > 0 ? (lua_Integer)count : 1);
    return 1;
}

/* is_zone(name): whether the system knows a time zone of that name */
static int process_is_zone(lua_State *L)
{
    lua_pushboolean(L, zone_find(luaL_checkstring(L, 1)) != NULL);
    return 1;
}

/* policies(folder or nil): its files as { path, text, version }, nil being those inside the program; or nil and why not
 */
static int process_policies(lua_State *L)
{
    const char *folder = luaL_optstring(L, 1, NULL);
    char error[512] = "";
    struct policyset *policies = folder ? policyset_read(folder, error, sizeof error) : policyset_builtin();

    if (!policies) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    bind_push_policies(L, policies);
    policyset_drop(policies);
    return 1;
}

/* print(text): a line on standard output; complain(text): one on standard error */
static int process_print(lua_State *L)
{
    puts(luaL_checkstring(L, 1));
    return 0;
}

static int process_complain(lua_State *L)
{
    fprintf(stderr, "%s\n", luaL_checkstring(L, 1));
    return 0;
}

/* fetch({ method, url, headers, body, seconds, certificate }): status and body, or nil and why not. Blocks; fetch.h. */
static int process_fetch(lua_State *L)
{
    struct headers headers = { 0 };
    struct buf reply = { 0 };
    char error[256] = "";
    struct fetch call = { .headers = &headers };
    int status;

    luaL_checktype(L, 1, LUA_TTABLE);
    call.method = bind_text(L, 1, "method");
    if (!call.method)
        call.method = "GET";
    call.url = bind_text(L, 1, "url");
    luaL_argcheck(L, call.url, 1, "url is needed");
    call.seconds = bind_number(L, 1, "seconds", 5);
    call.certificate = bind_text(L, 1, "certificate");
    lua_getfield(L, 1, "body");
    call.body = lua_tolstring(L, -1, &call.length);
    lua_getfield(L, 1, "headers");
    bind_read_headers(L, lua_gettop(L), &headers);
    status = fetch(&call, &reply, error, sizeof error);
    headers_free(&headers);
    if (status == 0) {
        lua_pushnil(L);
        lua_pushstring(L, error);
    } else {
        lua_pushinteger(L, status);
        lua_pushlstring(L, reply.data, reply.length);
    }
    buf_free(&reply);
    return 2;
}

static const luaL_Reg functions[] = {
    { "complain", process_complain }, { "env", process_env },
    { "fetch", process_fetch },       { "is_zone", process_is_zone },
    { "kind", process_kind },         { "policies", process_policies },
    { "print", process_print },       { "processors", process_processors },
    { "read", process_read },         { NULL, NULL },
};

int bind_process_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
