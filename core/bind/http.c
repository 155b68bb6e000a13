/*
 * http.c - moongate.core.http: a call in the background, for what no request of
 * a caller is about (quota checkers). Runs in a task; never reaches what a
 * provider charges for: that is for attempts alone, behind the firewall.
 */
#include "bind/bind.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/mem.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "net/upstream.h"
#include "script/task.h"
#include "script/vm.h"

static const char TYPE[] = "moongate.http";

enum { URL_MAX = 2048 };

struct call {
    struct worker *worker;
    struct task *task;
    struct transfer *transfer;
    struct loop_timer *timer; /* the deadline, then what wakes the task outside of the transfer's hooks */
    struct buf body;
    struct headers headers;
    char *request_body;
    char *message;
    const char *failure; /* NULL: it went well */
    size_t most;
    int status;
    int anchor;
};

/* Parts of paths behind which providers generate, and charge. */
static const char *const dear[] = { "chat",   "completion", "message", "response", "embed",  "generat",
                                    "image",  "audio",      "video",   "speech",   "rerank", "predict",
                                    "invoke", "converse",   "/run",    "moderat" };

/* Why this is no call for the background; NULL: it is. What only looks is free: a GET without a body. */
static const char *refusal(const char *method, const char *url, size_t body_length)
{
    const char *path = strstr(url, "://");
    char lower[URL_MAX];
    size_t length = 0;

    if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
        return "only http and https addresses can be asked";
    if (strlen(url) >= sizeof lower)
        return "the address is too long";
    if (strcmp(method, "GET") == 0)
        return body_length ? "a GET has no body" : NULL;
    if (strcmp(method, "POST") != 0)
        return "there are GET and POST";
    path = path ? strpbrk(path + 3, "/?#") : NULL;
    for (; path && *path && *path != '?' && *path != '#'; path++)
        lower[length++] = (char)tolower((unsigned char)*path);
    lower[length] = '\0';
    if (strpbrk(lower, "%\\"))
        return "the path of a POST is written plainly, without %";
    for (size_t i = 0; i < sizeof dear / sizeof dear[0]; i++)
        if (strstr(lower, dear[i]))
            return "a background call never asks a model for anything";
    return NULL;
}

static void drop(struct call *call)
{
    if (call->transfer)
        transfer_cancel(call->transfer);
    loop_forget(call->timer);
    call->transfer = NULL;
    call->timer = NULL;
    buf_free(&call->body);
    headers_free(&call->headers);
    mem_free(call->request_body);
    mem_free(call->message);
    call->request_body = call->message = NULL;
}

static int push_result(lua_State *L, void *arg)
{
    struct call *call = arg;

    if (call->failure) {
        lua_pushnil(L);
        lua_pushstring(L, call->failure);
        lua_pushstring(L, call->message);
    } else {
        lua_pushinteger(L, call->status);
        bind_push_headers(L, &call->headers);
        lua_pushlstring(L, call->body.data ? call->body.data : "", call->body.length);
    }
    /* Not before: any of these may collect what nothing holds. */
    luaL_unref(L, LUA_REGISTRYINDEX, call->anchor);
    return 3;
}

static void on_ready(void *arg)
{
    struct call *call = arg;

    call->timer = NULL;
    task_wake(call->task, push_result, call);
}

static void finish(struct call *call, const char *failure, const char *message)
{
    call->failure = failure;
    call->message = message ? mem_text(message) : NULL;
    loop_forget(call->timer);
    call->timer = loop_after(call->worker->loop, 0, on_ready, call);
}

static void on_deadline(void *arg)
{
    struct call *call = arg;

    call->timer = NULL;
    transfer_cancel(call->transfer);
    call->transfer = NULL;
    finish(call, "timeout", "no whole answer in time");
}

static void on_head(void *arg, int status, struct headers *headers)
{
    struct call *call = arg;

    call->status = status;
    headers_free(&call->headers);
    call->headers = *headers;
    *headers = (struct headers){ 0 };
}

static void on_data(void *arg, const char *data, size_t length)
{
    struct call *call = arg;

    /* What does not fit is not kept; that it did not is told at the end, which the deadline bounds. */
    if (call->failure)
        return;
    if (length > call->most - call->body.length)
        call->failure = "too_large";
    else
        buf_add(&call->body, data, length);
}

static void on_end(void *arg, enum transfer_end end, const char *message)
{
    struct call *call = arg;

    call->transfer = NULL;
    if (call->failure)
        finish(call, call->failure, "the answer is too large");
    else if (end != TRANSFER_DONE)
        finish(call, transfer_end_name(end), message);
    else
        finish(call, NULL, NULL);
}

static const struct transfer_hooks hooks = { .on_head = on_head, .on_data = on_data, .on_end = on_end };

static void on_cancel(void *arg)
{
    struct call *call = arg;

    luaL_unref(vm_state(call->worker->vm), LUA_REGISTRYINDEX, call->anchor);
    drop(call);
}

static int call_collected(lua_State *L)
{
    drop(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static struct call *push_call(lua_State *L)
{
    struct call *call = lua_newuserdata(L, sizeof *call);

    *call = (struct call){ .worker = bind_worker(L), .task = task_here(L) };
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    return call;
}

static void begin(lua_State *L, struct call *call, struct upstream_request *request, double seconds)
{
    struct headers headers = { 0 };
    struct transfer *transfer;

    lua_getfield(L, 1, "headers");
    bind_read_headers(L, lua_gettop(L), &headers);
    request->headers = &headers;
    request->connect_s = request->first_byte_s = request->idle_s = seconds;
    if (request->body)
        request->body = call->request_body = mem_copy(request->body, request->body_length);
    call->timer = loop_after(call->worker->loop, seconds, on_deadline, call);
    transfer = upstream_send(call->worker->upstream, request, &hooks, call);
    /* One that cannot be sent at all has ended before this. */
    if (!call->failure)
        call->transfer = transfer;
    headers_free(&headers);
}

/* call({ method, url, headers, body, seconds, most }): waits; status, headers and body, or nil, reason, message. most
 * bounds the answer, in bytes. */
static int http_call(lua_State *L)
{
    struct upstream_request request = { 0 };
    const char *why;
    struct call *call;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    request.method = bind_text(L, 1, "method");
    request.url = bind_text(L, 1, "url");
    luaL_argcheck(L, request.method && request.url, 1, "method and url are needed");
    lua_getfield(L, 1, "body");
    request.body = lua_tolstring(L, -1, &request.body_length);
    why = refusal(request.method, request.url, request.body_length);
    if (why) {
        lua_pushnil(L);
        lua_pushliteral(L, "refused");
        lua_pushstring(L, why);
        return 3;
    }
    call = push_call(L);
    call->most = (size_t)bind_integer(L, 1, "most", 1024 * 1024);
    lua_pushvalue(L, -1);
    call->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    begin(L, call, &request, bind_number(L, 1, "seconds", 10));
    return task_wait(L, on_cancel, call);
}

static const luaL_Reg functions[] = {
    { "call", http_call },
    { NULL, NULL },
};

int bind_http_module(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, call_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
